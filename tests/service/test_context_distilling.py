"""Noise goes, what is wrong stays, and hostile input takes no time."""

from __future__ import annotations

import re
import sys
from types import FrameType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retrieval.distilling import MAX_QUERIES, MAX_QUERY_CHARACTERS, distill, distiller, lines, mails, unwrapping
from service.retrieval.distilling.unwrapping import LONGEST_LINE, MAX_LINES, unwrap

TICKET = """Hi team,

Customers cannot print labels since this morning. Nobody changed anything.

2026-04-22T10:31:07.123Z INFO  [worker-3] com.acme.Labels starting request_id=8f14e45f-ceea-467f-a8ba-2b8a3b1c9d10
2026-04-22T10:31:08.001Z ERROR [worker-3] upstream closed connection, code GH-5022
2026-04-22T10:31:09.002Z ERROR [worker-4] upstream closed connection, code GH-5022
java.net.ConnectException: Connection refused
    at com.acme.print.LabelClient.send(LabelClient.java:88)
    at com.acme.print.LabelJob.run(LabelJob.java:41)
    ... 23 more
Caused by: javax.net.ssl.SSLHandshakeException: certificate expired
0x00007f8a1c0de000 0x00007f8a1c0de010
"""


def test_a_ticket_becomes_a_few_telling_queries() -> None:
    queries = distill(TICKET)

    assert 2 <= len(queries) <= MAX_QUERIES
    assert "Customers cannot print labels since this morning" in queries[0]
    text = "\n".join(queries)
    assert "certificate expired" in text
    assert "GH-5022" in text
    for noise in ("10:31", "8f14e45f", "LabelClient.java", "0x00007f", "23 more", "Hi team"):
        assert noise not in text


def test_repeated_lines_come_once() -> None:
    assert [line.text for line in unwrap("disk 1 full\ndisk 2 full\n" * 500)] == ["disk 1 full"]
    assert distill("2026-04-22T10:31:08Z ERROR disk 1 full\n2026-04-22T10:31:09Z ERROR disk 2 full\n" * 300) == (
        "disk 1 full",
    )


def test_a_short_question_is_left_as_it_is() -> None:
    assert distill("  How do I restart\nthe gateway? ") == ("How do I restart the gateway?",)
    assert distill(" ?!… ") == ()


@given(st.text(max_size=3000))
def test_queries_are_few_short_distinct_and_the_same_again(text: str) -> None:
    queries = distill(text)

    assert len(queries) <= MAX_QUERIES
    assert len(set(queries)) == len(queries)
    assert all(query.strip() for query in queries)
    assert all(len(query) <= max(MAX_QUERY_CHARACTERS, 300) for query in queries)
    assert distill(text) == queries


WANTED = "Order queue is stuck. The broker refused the connection."
FORMS = {
    "html": "<div><p>Hello team,</p><p>Order queue is stuck.<br/>The broker refused the connection.</p>"
    "<p>Kind&nbsp;regards</p></div>",
    "json": '{"level": "info", "msg": "health check ok", "trace_id": "8f14e45fceea467fa8ba2b8a3b1c9d10"}\n'
    '{"level": "error", "msg": "Order queue is stuck. The broker refused the connection."}',
    "logfmt": 'ts=2026-04-22T10:31:07Z level=info msg="health check ok"\n'
    'ts=2026-04-22T10:31:08Z level=error msg="Order queue is stuck. The broker refused the connection."',
    "alert": '{"alerts": [{"labels": {"severity": "warning"}, "annotations": {"summary": "Order queue is stuck",'
    ' "description": "The broker refused the connection."}, "fingerprint": "8f14e45fceea467f"}]}',
    "journal": "Apr 22 10:31:07 node-3 kubelet[912]: metrics flushed\n"
    "Apr 22 10:31:08 node-3 orders[31]: Order queue is stuck. The broker refused the connection.",
    "klog": "I0422 10:31:07.000001       1 main.go:12] metrics flushed\n"
    "E0422 10:31:08.000001       1 queue.go:88] Order queue is stuck. The broker refused the connection.",
    "events": "Events:\n  Type     Reason   Age  From     Message\n  ----     ------   ---  ----     -------\n"
    "  Normal   Pulled   3m   kubelet  Successfully pulled image in 1.2s\n"
    "  Warning  Alert    2m   monitor  Order queue is stuck. The broker refused the connection.",
    "mail": "Hi all,\n\nI hope you are well.\n\nOrder queue is stuck. The broker refused the\nconnection.\n\n"
    "Kind regards,\nMarta Vogel\n\n-- \nMarta Vogel | Tel. +49 30 1234567\n\n"
    "On Mon, 20 Apr 2026 at 09:12, Tom <tom@example.com> wrote:\n> The printer is not working, paper failed.\n",
    "mail_de": "Sehr geehrte Damen und Herren,\n\nOrder queue is stuck. The broker refused the\nconnection.\n\n"
    "Mit freundlichen Grüßen\nJonas Keller\n\nAm 20.04.2026 um 09:12 schrieb Tom:\n> Der Drucker ist kaputt.\n",
    "mail_fr": "Bonjour,\n\nmerci de regarder le problème suivant :\n\nOrder queue is stuck. The broker refused the\n"
    "connection.\n\nCordialement,\nAline Dubois\n\nLe 20 avril 2026 à 09:12, Tom a écrit :\n> En panne depuis hier.\n",
    "forwarded": "Von: Tom <tom@example.com>\nGesendet: 22.04.2026 09:12\nAn: desk@example.org\n"
    "Betreff: WG: Ticket#1234567\n\n"
    "Order queue is stuck. The broker refused the connection.\n\nViele Grüße\nTom\n\n"
    "Von: Marta <m@example.com>\nGesendet: 20.04.2026 08:00\nAn: Tom\nBetreff: Drucker kaputt\n\n"
    "Der Drucker ist kaputt.",
    "python": "2026-04-22 10:31:08,123 ERROR [worker] Order queue is stuck. The broker refused the connection.\n"
    'Traceback (most recent call last):\n  File "/app/orders.py", line 88, in send\n    self._call(1)\n',
    "go": "2026-04-22T10:31:08Z ERROR Order queue is stuck. The broker refused the connection.\n"
    "goroutine 41 [running]:\n"
    "net/http.(*conn).serve(0xc00012, {0x7f12})\n\t/usr/local/go/src/net/http/server.go:1995 +0x612\n",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_is_wrong_is_found_in_every_wrapping(form: str) -> None:
    queries = distill(FORMS[form])

    said = " ".join(re.findall(r"[\w]+", queries[0]))
    assert "Order queue is stuck" in said
    assert "The broker refused the connection" in said
    for noise in ("metrics", "health", "regards", "Grüße", "Cordialement", "Drucker", "panne", "printer", "Vogel",
                  "Keller", "pulled", "8f14", "10:31", "server", "_call", "example"):  # fmt: skip
        assert not any(noise in query for query in queries), noise


def test_of_a_mail_with_nothing_but_a_thread_the_thread_is_read() -> None:
    text = (
        "FYI\n\n-----Original Message-----\nFrom: Tom\nSent: Monday\nTo: Marta\nSubject: Queue\n\nOrder queue is stuck."
    )

    assert any("Order queue is stuck" in query for query in distill(text))


def test_short_messages_stay_as_they_are() -> None:
    for message in ("I still have not received my new card, I ordered over a week ago.", "Meine Karte ist kaputt!"):
        assert distill(message) == (message,)


HOSTILE = [
    "error " * 16_000, "a_b" * 33_000, "at " * 33_000, "(" * 100_000, "12:34:56 " * 11_000, "x\n" * 50_000,
    "GH-5021 failed\n" * 6_000, "#1 " * 33_000, "A" * 100_000, " \t" * 50_000 + "x", "0x" + "f" * 99_000,
    "".join(f"line {n} failed with code E{n}X\n" for n in range(3000)), "<div>" * 20_000, "<style>" * 14_000,
    "<!--" * 25_000, "<p " * 33_000, "[" * 100_000, '{"a":' * 20_000 + "1" + "}" * 20_000, '{"msg": "' * 11_000 + "}",
    "> " * 50_000, "-" * 100_000, "a-" * 50_000, "a.b@" * 25_000, 'msg="' * 20_000, "1." * 50_000, "on x\n" * 20_000,
    "From: a\n" * 12_000, "a b  c  d  error\n" * 6_000, "ne " * 33_000, "\\" * 100_000, "&amp;<b>" * 12_000,
    "[a]" * 33_000, "".join(f"{chr(97 + n % 26)}{n} not there {'y' * (n % 40)}\n" for n in range(4000)),
    "[" + "1" * 99_990 + "]", "wrote:\n" * 14_000, "Jan 1 " * 16_000, "b: " * 33_000,
]  # fmt: skip
MOST_CALLS = 200_000
"""Two for each byte."""


def calls_of(text: str) -> int:
    """How many functions, Python's own among them, run while the text is distilled."""
    count = 0

    def tally(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tally)
    try:
        distill(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hundred_kilobytes_of_anything_take_a_bounded_number_of_steps(text: str) -> None:
    found = unwrap(text)

    assert len(found) <= MAX_LINES
    assert all(len(line.text) <= LONGEST_LINE for line in found)
    assert calls_of(text) <= MOST_CALLS


@pytest.mark.parametrize("module", [distiller, lines, mails, unwrapping])
def test_no_pattern_repeats_without_end_what_repeats_without_end(module: ModuleType) -> None:
    """Such a pattern can take a time that grows with a power of the text's length."""
    patterns = [value for value in vars(module).values() if isinstance(value, re.Pattern)]

    assert patterns
    for pattern in patterns:
        assert not _nested(_parse(pattern), inside=False), pattern.pattern
    assert _nested(_parse(re.compile(r"(a+b?)*c")), inside=False)


def _parse(pattern: re.Pattern[str]) -> Any:
    return re._parser.parse(pattern.pattern, pattern.flags)  # type: ignore[attr-defined]


def _nested(node: Any, *, inside: bool) -> bool:
    """Whether a repeat without bound stands inside another one."""
    if isinstance(node, tuple) and len(node) == 2 and str(node[0]) in ("MAX_REPEAT", "MIN_REPEAT"):
        _, most, body = node[1]
        endless = int(most) > 100_000
        return (inside and endless) or _nested(body, inside=inside or endless)
    if isinstance(node, str | bytes | int) or node is None:
        return False
    return any(_nested(entry, inside=inside) for entry in node)
