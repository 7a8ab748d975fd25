"""What one line of a log, console or ticket says, without times, ids, addresses and stack frames."""

from __future__ import annotations

import re

from service.retrieval.distilling.troubles import troubles

QUIET = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE", "NORMAL", "I"})
LOUD = frozenset({"ERROR", "ERR", "FATAL", "CRIT", "CRITICAL", "SEVERE", "PANIC", "EMERG", "ALERT", "E", "F"})
WARNING = frozenset({"WARN", "WARNING", "W"})

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_STAMP = re.compile(
    r"\b\d{4}[-/]\d\d[-/]\d\d[T ,]{1,2}\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?: ?(?:Z\b|UTC\b|[+-]\d\d:?\d\d))?"
    rf"|\b{_MONTH}[a-z]{{0,6}} {{1,2}}\d{{1,2}} \d\d:\d\d:\d\d(?:\.\d{{1,9}})?\b"
    r"|\b\d{1,2}/\w{2,3}/\d{4}[: ]\d\d:\d\d:\d\d(?: ?[+-]\d{4})?"
    rf"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?\d{{1,2}} {_MONTH}[a-z]{{0,6}} \d{{4}}"
    r"(?:,? (?:at )?\d\d:\d\d(?::\d\d)?)?"
    r"|\b\d{1,2}\.\d{1,2}\.\d{4}(?:,? \d\d:\d\d(?::\d\d)?)?|\b\d{4}-\d\d-\d\d\b"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b|\b1[5-9]\d{8}(?:\.\d{1,9}|\d{3})?\b",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\bsha(?:256|512|1):[0-9a-f]{6,128}|\b0x[0-9a-fA-F]{4,16}\b"
    r"|\b(?=[0-9a-f]{0,7}[0-9])[0-9a-f]{8,128}\b"
    r"|\b(?:pid|tid|thread|trace_?id|span_?id|request_?id|req_?id|correlation_?id|session_?id)[=: ]{1,2}[\w-]{1,64}"
    r"|\bhttps?://\S{1,500}|\bwww\.\S{1,200}"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b"
    r"|(?<!\w)\+\d[\d ()/-]{7,20}\d|\[?#\d{4,12}\]?",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w-])[a-z][a-z0-9]*-[a-z0-9-]+(?![\w-])")
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{3,200}>?")
_KLOG = re.compile(r"\s*([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,9}\s{1,12}\d{1,9} [\w.-]{1,80}:\d{1,6}\] ")
_LEVEL = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|FATAL|CRIT(?:ICAL)?|SEVERE|PANIC|EMERG)\b:?"
    r"|[\[(<](trace|debug|info|notice|warn(?:ing)?|err(?:or)?|fatal|crit(?:ical)?)[\])>]"
)
_SYSLOG = re.compile(r"[\w.-]{1,80} ([\w./@-]{1,60})(?:\[\d{1,7}\])?: ")
_PREFIX = re.compile(r"\s*(?:\[[^\]]{0,120}\]|\d{1,9}(?=\s)|-{2,}|[|:>*](?=\s)|\w[\w.-]{0,60}\[\d{1,7}\]:?)\s*")
_FRAME = re.compile(
    r"\s*at (?:async |new )?[\w$.<>/@\[\]*-]{1,200} ?\(|\s*at (?:async )?\S{1,300}:\d|\s*File \"[^\"]{0,300}\", line \d"
    r"|\s*#\d{1,4} {1,4}(?:0x)?\w|\s*\.\.\. \d{1,5} more|\s*goroutine \d|\s*\S{1,300}\.(?:go|rs|c|cc|cpp|rb|php|py):\d"
    r"|\s*Traceback \(most recent|\s*[\w./*()-]{1,200}\((?:0x|\{0x|\.\.\.\))|[\^~\s=_+*.-]{0,200}$"
    r"|\s*-- (?:Logs|Reboot|No entries)\b"
)
_COMMAND = re.compile(r"\s*(?:[$>%]|PS [^>]{0,80}>|[\w.-]{1,40}@[\w.-]{1,60}[: ~][^$#]{0,80}[$#]) \S")
_FACT = re.compile(r"\s*[A-Z][\w /()-]{0,30}:(?:\s{2,}|\s*$)")
_STATES = re.compile(
    r"^(?:CrashLoopBackOff|Error|OOMKilled|Evicted|ImagePull\w*|ErrImagePull|NotReady\b.*|Failed\w*|Unknown|Warning"
    r"|BackOff|Unhealthy|Pending|Terminating|DiskPressure|MemoryPressure|Degraded)$"
)
_EDGES = " \t-|:;,[]<>=*#'\""
_LETTERS = re.compile(r"[^\W\d_]{2,}")


def is_frame(text: str) -> bool:
    """Whether the line belongs to a stack trace, or is only drawn."""
    return _FRAME.match(text) is not None


def is_command(text: str) -> bool:
    """Whether the line is what somebody typed into a console."""
    return _COMMAND.match(text) is not None


def has_stamp(text: str) -> bool:
    """Whether the line begins as logs do."""
    return _STAMP.search(text[:60]) is not None or _KLOG.match(text) is not None


def read_line(text: str, level: str = "") -> tuple[str, str]:
    """What the line says, and its level or ""; both empty where it says nothing."""
    found = _KLOG.match(text)
    if found:
        return tidy(text[found.end() :]), found.group(1)
    cells = re.split(r"\s{2,}|\t", text.strip())
    if len(cells) >= 3:
        return _row(cells)
    if _FACT.match(text) and not troubles(text):
        return "", ""
    stamped = _STAMP.search(text[:60])
    if not level and (marked := _LEVEL.search(text[:200])):
        level = (marked.group(1) or marked.group(2)).upper()
        text = text[: marked.start()] + " " + text[marked.end() :]
        stamped = stamped or marked
    text = _STAMP.sub(" ", text)
    if stamped:
        text = _without_prefix(text.strip())
    return tidy(text), level


def tidy(text: str) -> str:
    """Text without ids and addresses, on one line; "" if no word is left."""
    text = _NOISE.sub(" ", _STAMP.sub(" ", text))
    if "@" in text:
        text = _ADDRESS.sub(" ", text)
    text = _NAME.sub(lambda name: _owner_of(name.group()), text)
    text = " ".join(text.split()).strip(_EDGES)
    return text if _LETTERS.search(text) else ""


def _without_prefix(text: str) -> str:
    """A log's message without thread, process and host; the program's name stays."""
    for _ in range(6):
        found = _PREFIX.match(text)
        if not found:
            break
        text = text[found.end() :]
    found = _SYSLOG.match(text)
    return f"{found.group(1)}: {text[found.end() :]}" if found else text


def _row(cells: list[str]) -> tuple[str, str]:
    """What a row of a printed table says: its sentence, or the name and the state if that is a bad one."""
    bad = [cell for cell in cells if _STATES.match(cell)]
    said = max(cells, key=lambda cell: len(cell.split()))
    if "Normal" in cells:
        return "", ""
    if len(said.split()) >= 3:
        return tidy(said), "WARNING" if bad else ""
    return (tidy(" ".join([cells[0], *bad])), "WARNING") if bad else ("", "")


def _owner_of(name: str) -> str:
    """The name of a pod without what a controller added to it: `checkout` of `checkout-7d4b9c6f58-x2vqp`."""
    parts = name.split("-")
    if len(parts) > 2 and len(parts[-1]) == 5 and _is_made_up(parts[-2]):
        return "-".join(parts[:-2])
    return "-".join(parts[:-1]) if _is_made_up(parts[-1]) else name


def _is_made_up(part: str) -> bool:
    return 8 <= len(part) <= 10 and any(char.isdigit() for char in part) and not part.isdigit()
