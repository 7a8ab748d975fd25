"""A few short queries out of a long noisy ticket, log or stack trace, by rules and without a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from service.retrieval.needles import find_identifiers

MAX_QUERIES = 4
MAX_QUERY_CHARACTERS = 400
_SHORT = 300
"""A text of at most so many characters on few lines is a question as it stands."""
_LONGEST_LINE = 2_000
_IDENTIFIERS = 6
_LINES = 2

_NOISE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"  # 2026-04-22T10:31:07.123Z
    r"|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w* +\d{1,2} \d\d:\d\d:\d\d\b"  # Apr 22 10:31:07
    r"|\b\d{1,2}/\w{2,3}/\d{4}[: ]\d\d:\d\d:\d\d(?: ?[+-]\d{4})?"  # 22/Apr/2026:10:31:07 +0000
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b|\b1[5-9]\d{8}(?:\.\d+|\d{3})?\b"  # clock times, Unix times
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"  # UUIDs
    r"|\b0x[0-9a-fA-F]{7,16}\b|\b[0-9a-f]{16,64}\b"  # addresses, digests
    r"|\b(?:pid|tid|thread|trace_?id|span_?id|request_?id|req_?id)[=: ]+[\w-]+",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"\s*(?:at \S+ ?\(.*\)$|at (?:async )?\S+:\d+|File \"[^\"]*\", line \d+|#\d+ +(?:0x)?\w+|\.\.\. \d+ more"
    r"|goroutine \d+|\S+\.(?:go|rs|c|cc|cpp|rb|php):\d+|Traceback \(most recent|[\^~\s-]*$)"
)
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRIT(?:ICAL)?|SEVERE)\b:?")
_QUIET = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE"})
_TROUBLE = re.compile(
    r"error|exception|fail|fatal|panic|caused by|timed? ?out|refused|denied|unable|cannot|can't|unavailable|exceeded"
    r"|exhausted|invalid|corrupt|killed|crash|stuck|down\b|full\b|expired|missing|rejected|unreachable|critical",
    re.IGNORECASE,
)
_SALUTATION = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|thanks|thank you|regards)\b.{0,30}$", re.I
)
_LABEL = re.compile(r"\s*(?:subject|title|summary|description|betreff|re|fwd?)\s*:\s*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_EDGES = " \t-|:;,[]()<>=*#\"'"


def distill(text: str) -> tuple[str, ...]:
    """One to MAX_QUERIES distinct queries, the most telling first: the opening sentence, the lines that name the
    trouble, and the identifiers and error codes. Empty if the text holds no word.
    """
    stripped = text.strip()
    if len(stripped) <= _SHORT and stripped.count("\n") <= 1:
        return (" ".join(stripped.split()),) if re.search(r"\w", stripped) else ()
    lines = list(clean_lines(text))
    queries = [*_opening(lines), *_telling(lines)]
    identifiers = dict.fromkeys(token for line, _ in lines for token in find_identifiers(line))
    if identifiers:
        queries.append(" ".join(list(identifiers)[:_IDENTIFIERS]))
    shortened = (_shorten(query) for query in queries)
    return tuple(dict.fromkeys(query for query in shortened if query))[:MAX_QUERIES]


def clean_lines(text: str) -> Iterator[tuple[str, str]]:
    """Lines without times, ids and addresses, each with its log level or ""; stack frames and repeats are left out."""
    seen: set[str] = set()
    for raw in text.splitlines():
        line = raw[:_LONGEST_LINE]
        if _FRAME.match(line):
            continue
        line = _NOISE.sub(" ", line)
        level = _LEVEL.search(line[:200])
        if level:
            line = line[: level.start()] + " " + line[level.end() :]
        line = " ".join(line.split()).strip(_EDGES)
        shape = re.sub(r"\d+", "0", line.casefold())
        if len(re.findall(r"[^\W\d_]{2,}", line)) >= 1 and shape not in seen:
            seen.add(shape)
            yield line, level.group(1) if level else ""


def _opening(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The first line of prose, up to two sentences of it."""
    for line, level in lines:
        prose = _LABEL.sub("", line, count=1)
        if not level and len(prose.split()) >= 3 and not _SALUTATION.match(prose):
            yield " ".join(_SENTENCE_END.split(prose)[:2])
            return


def _telling(lines: Iterable[tuple[str, str]]) -> list[str]:
    """The lines that say most about what is wrong, best first; equals in the order of the text."""
    scored = []
    for position, (line, level) in enumerate(lines):
        trouble = len({match.group().casefold() for match in _TROUBLE.finditer(line)})
        words = len(line.split())
        score = 2 * min(trouble, 3) + min(len(find_identifiers(line)), 3) + min(words, 20) / 20
        score += 1 if line.casefold().startswith("caused by") or line.endswith("?") else 0
        score -= 2 if level in _QUIET else 0
        if words >= 2 and trouble:
            scored.append((-score, position, line))
    return [line for _, _, line in sorted(scored)[:_LINES]]


def _shorten(query: str) -> str:
    if len(query) <= MAX_QUERY_CHARACTERS:
        return query
    return query[:MAX_QUERY_CHARACTERS].rsplit(" ", 1)[0]
