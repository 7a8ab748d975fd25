"""Plain lines out of what a text is wrapped in: HTML, JSON, `key="value"` logs. What a line says is not known here."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.retrieval.distilling.troubles import troubles

LONGEST_LINE = 2_000
MAX_LINES = 400
"""Lines looked at; of a longer text those at both ends and those that name trouble."""
_ENDS = 120
_DEEPEST = 12

_TAG = re.compile(
    r"</?(?:p|div|br|span|table|tbody|thead|tr|td|th|ul|ol|li|b|i|u|em|strong|font|a|img|hr|h[1-6]|html|head|body|meta"
    r"|style|script|pre|code|blockquote|o:p|title|link|center)(?:\s[^<>]{0,2000})?/?>",
    re.IGNORECASE,
)
_HIDDEN = (("<style", "</style>"), ("<script", "</script>"), ("<head>", "</head>"), ("<!--", "-->"))
_BLOCK = re.compile(r"<(?:/?(?:p|div|tr|li|h[1-6]|table|ul|ol|pre|blockquote)|br|hr)(?:\s[^<>]{0,2000})?/?>", re.I)
_FIELD = re.compile(r'\b(msg|message|error|err|reason|exception)=(?:"((?:[^"\\]|\\.){1,1500})"|([^\s"]{3,200}))')
_FIELD_LEVEL = re.compile(r"\b(?:level|lvl|severity)=\"?(\w{3,10})", re.IGNORECASE)
_TOLD = re.compile(
    r"(?:^|_)(?:msg|message|error|err|exception|reason|cause|details?|summary|description|title|subject|text|body|log"
    r"|alertname|stack|stack_?trace|problem)$",
    re.IGNORECASE,
)
_LEVELS = frozenset({"level", "lvl", "severity", "loglevel", "log.level", "levelname"})
_DIGITS = str.maketrans("123456789", "000000000")


@dataclass(frozen=True, slots=True)
class Line:
    """`level` as the wrapping gave it, in upper case, or ""; `told`: taken out of a field that holds a message."""

    text: str
    level: str = ""
    told: bool = False


def unwrap(text: str) -> list[Line]:
    """At most MAX_LINES lines of at most LONGEST_LINE characters, in the order of the text; repeats come once."""
    whole = _parsed(text)
    if whole is not None:
        lines = list(_told(whole, "", 0))
        if lines:
            return lines[:MAX_LINES]
    if len(_TAG.findall(text[:20_000])) >= 3:
        text = _plain(text)
    return [line for raw in _worth_reading(text) for line in _unwrap_line(raw)][:MAX_LINES]


def _worth_reading(text: str) -> list[str]:
    """Lines without repeats (but for their digits); the first, the last and those with trouble if there are many."""
    seen: set[str] = set()
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw[:LONGEST_LINE]
        shape = line.translate(_DIGITS)
        if not shape or shape.isspace():  # where a paragraph ends
            lines += [""] if lines and lines[-1] else []
        elif shape not in seen:
            seen.add(shape)
            lines.append(line)
    if len(lines) <= MAX_LINES:
        return lines
    middle = [line for line in lines[_ENDS:-_ENDS] if troubles(line)]
    return [*lines[:_ENDS], *middle[: MAX_LINES - 2 * _ENDS], *lines[-_ENDS:]]


def _unwrap_line(raw: str) -> Iterator[Line]:
    stripped = raw.strip()
    if stripped.endswith("}") and (start := stripped.find("{")) >= 0 and stripped[start + 1 : start + 2] in ('"', " "):
        value = _parsed(stripped[start:])
        lines = list(_told(value, "", 0)) if isinstance(value, dict) else []
        if lines:
            before = stripped[:start].rstrip()
            yield from [Line(before), *lines] if len(before.split()) > 3 else lines
            return
    fields = _FIELD.findall(raw)
    if fields:
        found = _FIELD_LEVEL.search(raw)
        told = ": ".join(dict.fromkeys(quoted or bare for _, quoted, bare in fields))
        yield Line(told, found.group(1).upper() if found else "", told=True)
        return
    yield Line(raw)


def _parsed(text: str) -> Any:
    """The JSON object or array that the text is, or None."""
    stripped = text.strip()
    if not stripped or stripped[0] + stripped[-1] not in ("{}", "[]"):
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _told(value: Any, level: str, depth: int) -> Iterator[Line]:
    """What the fields that hold messages say, with the level beside them."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for entry in value:
            yield from _told(entry, level, depth + 1)
        return
    if not isinstance(value, dict):
        return
    for key, entry in value.items():
        if str(key).casefold() in _LEVELS and isinstance(entry, str):
            level = entry.upper()
    for key, entry in value.items():
        if isinstance(entry, str) and _TOLD.search(str(key)):
            for part in entry.splitlines():
                if part.strip():
                    yield Line(part[:LONGEST_LINE], level, told=True)
        elif isinstance(entry, dict | list):
            yield from _told(entry, level, depth + 1)


def _plain(text: str) -> str:
    """The words of HTML, blocks on lines of their own."""
    for start, end in _HIDDEN:
        text = _without(text, start, end)
    text = _TAG.sub(" ", _BLOCK.sub("\n", text))
    return html.unescape(text).replace("\xa0", " ")


def _without(text: str, start: str, end: str) -> str:
    """Text without what stands between the marks, them included; each character is looked at once."""
    folded = text.lower()
    if len(folded) != len(text):  # a letter that has no lower case of one character
        return text
    kept: list[str] = []
    at = 0
    while (opening := folded.find(start, at)) >= 0 and (closing := folded.find(end, opening)) >= 0:
        kept.append(text[at:opening])
        at = closing + len(end)
    return " ".join([*kept, text[at:]])
