"""Texts as they reach a triage desk: one telling text in the noise of logs, mails, consoles and ticket systems.

Everything comes from the given random numbers, so equal seeds give equal texts.
"""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

Wrap = Callable[[Random, str, str], str]

_SERVICES = ("checkout", "billing-worker", "ingress", "auth", "report-builder", "cache", "sessions", "scheduler")
_CHATTER = (
    "health check ok",
    "request completed status=200 duration=12ms",
    "connection pool stats active=3 idle=17",
    "cache hit ratio 0.97",
    "scheduled task finished, 0 failed",
    "reloaded feature flags",
    "user session refreshed",
    "heartbeat sent to peer",
    "metrics flushed",
    "leader lease renewed",
)
_GRUMBLE = ("slow query took 812ms", "retrying request attempt=1", "deprecated option used: legacy_mode")
_PEOPLE = ("Marta Vogel", "Tom Harris", "Aline Dubois", "Jonas Keller", "Priya Nair")
_FIRMS = ("Northwind Traders Ltd", "Contoso GmbH", "Fabrikam SAS")
_OLD_NEWS = (
    "Thanks for the quick reply, the invoice has arrived and we will pay it by Friday.",
    "Could you also tell us when the next maintenance window is planned?",
    "The workshop on Tuesday moves to room 4.12, please bring your laptops.",
    "As discussed on the phone, the contract is extended by twelve months.",
)
_JAVA = (
    "org.apache.catalina.core.StandardWrapperValve.invoke(StandardWrapperValve.java:{n})",
    "com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:{n})",
    "java.base/java.lang.Thread.run(Thread.java:{n})",
)


def _hex(random: Random, digits: int) -> str:
    return f"{random.getrandbits(4 * digits):0{digits}x}"


def _uuid(random: Random) -> str:
    value = _hex(random, 32)
    return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))


def _clock(random: Random) -> str:
    return f"{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}"


def _pod(random: Random) -> str:
    return f"{random.choice(_SERVICES)}-{_hex(random, 9)}-{_hex(random, 5)}"


def _frames(random: Random) -> list[str]:
    """The frames of a stack trace in one of four languages."""
    style = random.randrange(4)
    numbers = [random.randrange(10, 900) for _ in range(random.randrange(4, 25))]
    if style == 0:
        return [f"\tat {random.choice(_JAVA).format(n=n)}" for n in numbers] + ["\t... 31 more"]
    if style == 1:
        files = [f'  File "/usr/lib/python3.11/site-packages/urllib3/pool.py", line {n}, in urlopen' for n in numbers]
        return ["Traceback (most recent call last):", *(line for file in files for line in (file, "    self._call()"))]
    if style == 2:
        calls = [f"net/http.(*conn).serve(0xc000{_hex(random, 6)}, {{0x7f{_hex(random, 6)}}})" for _ in numbers]
        places = [f"\t/usr/local/go/src/net/http/server.go:{n} +0x{_hex(random, 3)}" for n in numbers]
        rows = (line for pair in zip(calls, places, strict=True) for line in pair)
        return [f"goroutine {numbers[0]} [running]:", *rows]
    return [f"    at async Server.handle (/app/node_modules/koa/lib/application.js:{n}:22)" for n in numbers]


def _log(random: Random, text: str, other: str) -> str:
    """An application's log: much chatter, the text as an error, a stack trace."""

    def line(level: str, message: str) -> str:
        stamp = f"2026-04-22T{_clock(random)}.{random.randrange(1000):03}Z"
        where = f"[{random.choice(_SERVICES)},{_hex(random, 16)},{_hex(random, 16)}] {random.randrange(99999)} ---"
        return f"{stamp} {level:5} {where} [nio-8080-exec-{random.randrange(20)}] : {message}"

    before = [line("INFO", random.choice(_CHATTER)) for _ in range(random.randrange(5, 60))]
    before += [line("WARN", random.choice(_GRUMBLE))]
    after = [line("INFO", random.choice(_CHATTER)) for _ in range(random.randrange(3, 40))]
    return "\n".join([*before, line("ERROR", text), *_frames(random), *after])


def _json_log(random: Random, text: str, other: str) -> str:
    """Structured logs, one object a line."""

    def line(level: str, message: str) -> str:
        return json.dumps(
            {
                "ts": 1776852667 + random.randrange(9999) + random.random(),
                "level": level,
                "caller": f"{random.choice(_SERVICES)}/main.go:{random.randrange(400)}",
                "trace_id": _hex(random, 32),
                "kubernetes": {"pod": _pod(random), "namespace": "prod"},
                "msg": message,
            }
        )

    chatter = [line("info", random.choice(_CHATTER)) for _ in range(random.randrange(5, 50))]
    chatter.insert(random.randrange(len(chatter)), line("error", text))
    return "\n".join(chatter)


def _journal(random: Random, text: str, other: str) -> str:
    """What journalctl prints."""
    host = f"node-{random.randrange(40)}.prod.internal"

    def line(unit: str, message: str) -> str:
        return f"Apr 22 {_clock(random)} {host} {unit}[{random.randrange(9999)}]: {message}"

    rows = [line(random.choice(("systemd", "kubelet", "crio")), random.choice(_CHATTER)) for _ in range(25)]
    parts = re.split(r"(?<=[.!?]) ", text, maxsplit=1)
    for part in reversed(parts):
        rows.insert(12, line("monitor", part))
    return "\n".join(["-- Logs begin at Mon 2026-04-20 03:12:44 UTC, end at Wed 2026-04-22 --", *rows])


def _kubectl(random: Random, text: str, other: str) -> str:
    """What somebody pasted from a console."""
    pods = [f"{_pod(random):44} 1/1   Running   {random.randrange(4)}   {random.randrange(90)}d" for _ in range(12)]
    return "\n".join(
        [
            "$ kubectl get pods -n prod",
            f"{'NAME':44} READY STATUS   RESTARTS   AGE",
            *pods,
            f"$ kubectl describe pod {_pod(random)}",
            f"Node:         ip-10-0-{random.randrange(255)}-{random.randrange(255)}.ec2.internal",
            f"Labels:       pod-template-hash={_hex(random, 9)}",
            f"Container ID: cri-o://{_hex(random, 64)}",
            f"Image ID:     quay.io/prod/app@sha256:{_hex(random, 64)}",
            "QoS Class:    Burstable",
            "Events:",
            "  Type     Reason     Age    From       Message",
            "  ----     ------     ----   ----       -------",
            "  Normal   Pulled     3m     kubelet    Successfully pulled image in 1.2s",
            f"  Warning  Alert      2m     monitor    {text}",
            "  Normal   Created    2m     kubelet    Created container app",
        ]
    )


def _alert(random: Random, text: str, other: str) -> str:
    """The payload of an alert manager's web hook."""
    summary, _, rest = text.partition(". ")
    alert = {
        "status": "firing",
        "labels": {
            "severity": "warning",
            "namespace": "prod",
            "pod": _pod(random),
            "instance": f"10.0.{random.randrange(255)}.{random.randrange(255)}:9100",
            "prometheus": "monitoring/k8s",
        },
        "annotations": {"summary": summary, "description": rest or summary},
        "startsAt": f"2026-04-22T{_clock(random)}.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"https://prometheus.prod.internal/graph?g0.expr=up+%3D%3D+0&id={_uuid(random)}",
        "fingerprint": _hex(random, 16),
    }
    return json.dumps({"receiver": "triage", "version": "4", "alerts": [alert]}, indent=2)


def _mail_in(greeting: str, opening: str, closing: str, wrote: str, notice: str) -> Wrap:
    """A mail in one language: greeting, the text, signature, an older thread below."""

    def mail(random: Random, text: str, other: str) -> str:
        person, firm = random.choice(_PEOPLE), random.choice(_FIRMS)
        old = [*random.sample(_OLD_NEWS, 2), *([other] if random.random() < 0.3 else [])]
        quoted = [f"> {line}" for piece in old for line in textwrap.wrap(piece, 70)]
        return "\n".join(
            [
                greeting,
                "",
                opening,
                "",
                *textwrap.wrap(text, 72, break_long_words=False, break_on_hyphens=False),
                "",
                closing,
                person,
                "",
                "-- ",
                f"{person} | {firm} | Tel. +49 30 {random.randrange(10**6, 10**7)} | www.example.com",
                notice,
                "",
                wrote.format(person=random.choice(_PEOPLE), clock=_clock(random)[:5]),
                *quoted,
            ]
        )

    return mail


def _outlook_in(labels: tuple[str, str, str, str], closing: str) -> Wrap:
    """A forwarded mail: header lines, the text, and the thread below its own header lines."""

    def forwarded(random: Random, text: str, other: str) -> str:
        origin, sent, to, subject = labels
        person, second = random.sample(_PEOPLE, 2)
        old = random.choice(_OLD_NEWS)
        return "\n".join(
            [
                f"{origin}: {person} <{person.split()[0].lower()}@example.com>",
                f"{sent}: 22.04.2026 {_clock(random)[:5]}",
                f"{to}: servicedesk@example.org",
                f"{subject}: WG: Ticket#{random.randrange(10**6, 10**7)}",
                "",
                text,
                "",
                closing,
                person,
                "",
                f"{origin}: {second} <{second.split()[0].lower()}@example.com>",
                f"{sent}: 20.04.2026 {_clock(random)[:5]}",
                f"{to}: {person}",
                f"{subject}: Ticket#{random.randrange(10**6, 10**7)}",
                "",
                old,
            ]
        )

    return forwarded


def _web_ticket(random: Random, text: str, other: str) -> str:
    """A ticket as a web form stores it."""
    body = html.escape(text).replace(". ", ".<br/>\n")
    return (
        f'<div class="ticket" id="t-{_hex(random, 8)}" style="font-family:Arial, sans-serif; font-size:11pt">'
        f"<p>Ticket&nbsp;#{random.randrange(10**6)} &middot; priority&nbsp;normal</p>\n"
        f"<table><tr><td>Reporter</td><td>{random.choice(_PEOPLE)}</td></tr>"
        f"<tr><td>Created</td><td>2026-04-22 {_clock(random)}</td></tr></table>\n"
        f'<p>Hello team,</p><p><span style="color:#1f497d">{body}</span></p><p>Best regards</p>'
        f'<img src="https://mail.example.com/pixel.gif?u={_uuid(random)}" alt=""/></div>'
    )


def _short(random: Random, text: str, other: str) -> str:
    """A ticket's subject line before the text, as chat bridges send it."""
    return f"[#{random.randrange(10**6)}] {random.choice(_PEOPLE)} {_clock(random)}: {text}"


WRAPS: dict[str, Wrap] = {
    "log": _log,
    "json_log": _json_log,
    "journal": _journal,
    "kubectl": _kubectl,
    "alert": _alert,
    "mail": _mail_in(
        "Hi all,",
        "I hope you are well. Please have a look at this as soon as you can:",
        "Kind regards,",
        "On Mon, 20 Apr 2026 at {clock}, {person} <{person}@example.com> wrote:",
        "This e-mail is confidential and may be privileged. If you are not the intended recipient, delete it.",
    ),
    "mail_de": _mail_in(
        "Sehr geehrte Damen und Herren,",
        "ich bitte um schnelle Hilfe bei folgendem Problem:",
        "Mit freundlichen Grüßen",
        "Am 20.04.2026 um {clock} schrieb {person}:",
        "Diese E-Mail enthält vertrauliche Informationen. Sitz der Gesellschaft: Berlin, HRB 12345 B",
    ),
    "mail_fr": _mail_in(
        "Bonjour,",
        "merci de regarder le problème suivant dès que possible :",
        "Cordialement,",
        "Le 20 avril 2026 à {clock}, {person} a écrit :",
        "Ce message est confidentiel. Pensez à l'environnement avant d'imprimer.",
    ),
    "forwarded": _outlook_in(("From", "Sent", "To", "Subject"), "Best regards"),
    "forwarded_de": _outlook_in(("Von", "Gesendet", "An", "Betreff"), "Viele Grüße"),
    "web_ticket": _web_ticket,
    "chat": _short,
}


@dataclass(frozen=True, slots=True)
class Noisy:
    """A text that was wrapped: how, and what came of it."""

    kind: str
    text: str


def wrap_all(texts: Sequence[str], seed: int = 7) -> list[Noisy]:
    """Each text in one kind of noise, the kinds in turn; another text of the list may stand in its quoted thread."""
    kinds = list(WRAPS)
    wrapped = []
    for number, text in enumerate(texts):
        random = Random(f"{seed}:{number}")
        kind = kinds[(number + seed) % len(kinds)]
        other = texts[random.randrange(len(texts))]
        wrapped.append(Noisy(kind, WRAPS[kind](random, text, other)))
    return wrapped
