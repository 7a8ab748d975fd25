"""Noise goes, what is wrong stays, and hostile input takes no time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retrieval.distilling import MAX_QUERIES, MAX_QUERY_CHARACTERS, clean_lines, distill

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
    assert queries[0].startswith("Customers cannot print labels since this morning")
    text = "\n".join(queries)
    assert "certificate expired" in text
    assert "GH-5022" in text
    for noise in ("10:31", "8f14e45f", "LabelClient.java", "0x00007f", "23 more", "Hi team"):
        assert noise not in text


def test_repeated_lines_come_once_and_frames_not_at_all() -> None:
    lines = [line for line, _ in clean_lines(TICKET)]

    assert sum("upstream closed connection" in line for line in lines) <= 2
    assert not any("LabelJob" in line for line in lines)
    repeated = [line for line, _ in clean_lines("disk 1 full\ndisk 2 full\n" * 500)]
    assert repeated == ["disk 1 full"]


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


@pytest.mark.parametrize(
    "text",
    [
        "error " * 16_000, "a_b" * 33_000, "at " * 33_000, "(" * 100_000, "12:34:56 " * 11_000, "x\n" * 50_000,
        "GH-5021 failed\n" * 6_000, "#1 " * 33_000, "A" * 100_000, " \t" * 50_000 + "x", "0x" + "f" * 99_000,
        "".join(f"line {n} failed with code E{n}X\n" for n in range(3000)),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_hundred_kilobytes_of_anything_take_no_time(text: str) -> None:
    started = time.perf_counter()
    distill(text)

    assert time.perf_counter() - started < 3
