"""The queries of a noisy text: what its most telling lines say. How lines are cleaned is known next door."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.retrieval.distilling.lines import LOUD, QUIET, WARNING, has_stamp, is_command, is_frame, read_line, tidy
from service.retrieval.distilling.mails import Part, parts_of, subject_of, without_small_talk
from service.retrieval.distilling.troubles import troubles
from service.retrieval.distilling.unwrapping import Line, unwrap
from service.retrieval.needles import find_identifiers

MAX_QUERIES = 4
MAX_QUERY_CHARACTERS = 800
_SHORT = 300
"""A text of at most so many characters on few lines is a question as it stands."""
_IDENTIFIERS = 6
_NEAR_BEST = 2.0
"""Units that score at most so much less than the best one belong to the main query."""
_MAIN = 5
"""Units of the main query."""
_ENOUGH = 2.0
"""Where something that was written now scores so much, the thread below it is left out."""
_PROSE_WIDTH = 45
"""A line of prose of at least so many characters may go on in the next one."""
_DULL = re.compile(r"\d{1,4}(?:[./:-]\d{1,4}){1,3}|\d{3,4}|.{0,100}\.(?:java|py|go|js|ts|rb|c|cpp)(?::\d{1,6}){0,2}")
_CODELIKE = re.compile(r"\b[A-Za-z]{1,20}[-_./:]?\d[\w.-]{0,40}|\b[a-z]{1,30}[A-Z]\w|\b\w{1,40}_\w")
_RANDOM = re.compile(r"(?=[a-z]{0,20}\d)(?=\d{0,20}[a-z])[a-z0-9]{5,}")


@dataclass(frozen=True, slots=True)
class _Unit:
    """One thing that the text says: a paragraph of prose or the message of a log line."""

    text: str
    score: float


def distill(text: str) -> tuple[str, ...]:
    """One to MAX_QUERIES distinct queries, the most telling first: what seems to be wrong as a whole, the single
    lines that say most about it, and the identifiers and error codes. Empty if the text holds no word.
    """
    stripped = text.strip()
    if len(stripped) <= _SHORT and stripped.count("\n") <= 1 and not _is_wrapped(stripped):
        return (" ".join(stripped.split()),) if re.search(r"\w", stripped) else ()
    units = _units(unwrap(text))
    if not units:
        return ()
    best = max(unit.score for unit in units)
    main = [unit for unit in units if unit.score >= best - _NEAR_BEST]
    if len(main) > _MAIN:
        least = sorted(unit.score for unit in main)[-_MAIN]
        main = [unit for unit in main if unit.score >= least]
    queries = [_joined(main)]
    ranked = sorted(range(len(units)), key=lambda at: (-units[at].score, at))
    if len(main) > 1:
        queries += [units[at].text for at in ranked[:2]]
    elif len(units) > 1 and units[ranked[1]].score >= best - 1.5 * _NEAR_BEST:
        queries.append(units[ranked[1]].text)
    identifiers = _identifiers(units, best)
    if identifiers:
        queries.append(" ".join(identifiers))
    shortened = (_shorten(query) for query in queries)
    return tuple(dict.fromkeys(query for query in shortened if query))[:MAX_QUERIES]


def _is_wrapped(text: str) -> bool:
    return text[:1] in "{[<" or has_stamp(text)


def _units(lines: Sequence[Line]) -> list[_Unit]:
    """Everything that the text says, in its order, each once."""
    units: dict[str, _Unit] = {}
    before: dict[str, _Unit] = {}
    for text, level, part in _messages(lines, parts_of(lines)):
        shape = re.sub(r"\d+", "0", text.casefold())
        found = before if part is Part.THREAD else units
        found.setdefault(shape, _Unit(text, _score(text, level, len(found))))
    written = list(units.values())
    return written if any(unit.score >= _ENOUGH for unit in written) else [*written, *before.values()]


def _messages(lines: Sequence[Line], parts: Sequence[Part]) -> Iterator[tuple[str, str, Part]]:
    """Messages with their level; consecutive lines of prose as one."""
    prose: list[str] = []
    prose_part = Part.BODY
    after_frame = False
    for line, part in zip(lines, parts, strict=True):
        raw = line.text.lstrip("> ") if part is Part.THREAD else line.text
        plain = part in (Part.BODY, Part.THREAD) and _is_prose(raw) and not line.told
        goes_on = bool(prose) and part is prose_part and plain and _goes_on(prose[-1], raw.strip())
        if prose and not goes_on:
            yield from _paragraph(prose, prose_part)
            prose = []
        if part is Part.AROUND or not raw.strip():
            continue
        if not line.told and (is_frame(raw) or (after_frame and raw.startswith("    "))):
            after_frame = True
            continue
        after_frame = False
        if plain:
            prose.append(raw.strip())
            prose_part = part
        else:
            yield from _message(line, raw, part)
    if prose:
        yield from _paragraph(prose, prose_part)


def _message(line: Line, raw: str, part: Part) -> Iterator[tuple[str, str, Part]]:
    if part is Part.SUBJECT:
        text, level = tidy(subject_of(raw)), ""
    else:
        text, level = (tidy(raw), line.level) if line.told else read_line(raw, line.level)
    if text:
        yield text, level, part


def _paragraph(lines: Sequence[str], part: Part) -> Iterator[tuple[str, str, Part]]:
    text, level = read_line(" ".join(lines))
    text = without_small_talk(text)
    if text:
        yield text, level, part


def _goes_on(before: str, line: str) -> bool:
    """Whether a line continues the paragraph of the one before it."""
    return bool(line) and (len(before) >= _PROSE_WIDTH or (line[0].islower() and before[-1] not in ".!?:"))


def _is_prose(raw: str) -> bool:
    """Whether the line may be a part of a paragraph: no log line, no row of a table, nothing typed."""
    return not (
        has_stamp(raw) or is_command(raw) or raw.startswith(("\t", "    ")) or re.search(r"\S\s{2,}\S", raw.strip())
    )


def _score(text: str, level: str, position: int) -> float:
    """How much a message tells about what is wrong; about -6 to 10."""
    words = len(text.split())
    head = text[:1000]
    score = min(troubles(head), 3) * 1.0 + min(len(_CODELIKE.findall(head)), 3) * 0.5 + min(words, 12) / 4
    score += 3 if level in LOUD else 1 if level in WARNING else -5 if level in QUIET else 1
    score += 1 if text.endswith("?") or text.casefold().startswith("caused by") else 0
    score -= 3 if is_command(text) else 0
    score -= 2 if words < 3 else 0
    return score - min(position, 20) / 40


def _joined(units: Sequence[_Unit]) -> str:
    """The texts in their order, the best ones if not all find room."""
    room = MAX_QUERY_CHARACTERS
    chosen: set[int] = set()
    for at in sorted(range(len(units)), key=lambda at: (-units[at].score, at)):
        if chosen and len(units[at].text) + 2 > room:
            continue
        chosen.add(at)
        room -= len(units[at].text) + 2
    texts = [units[at].text for at in sorted(chosen)]
    return texts[0] if len(texts) == 1 else " ".join(map(_ended, texts))


def _ended(text: str) -> str:
    return text if text[-1] in ".!?:;," else f"{text}."


def _identifiers(units: Sequence[_Unit], best: float) -> list[str]:
    """Identifiers and codes of the telling messages, the best message's first."""
    found: dict[str, None] = {}
    for unit in sorted(units, key=lambda unit: -unit.score):
        if unit.score < max(0.0, best - 2 * _NEAR_BEST) or len(found) >= _IDENTIFIERS:
            break
        found.update(dict.fromkeys(name for name in find_identifiers(unit.text) if not _is_dull(name)))
    return list(found)[:_IDENTIFIERS]


def _is_dull(identifier: str) -> bool:
    """A date, a bare number, a place in a file or a made-up name tells nothing by itself."""
    return bool(_DULL.fullmatch(identifier) or _RANDOM.fullmatch(identifier))


def _shorten(query: str) -> str:
    if len(query) <= MAX_QUERY_CHARACTERS:
        return query
    return query[:MAX_QUERY_CHARACTERS].rsplit(" ", 1)[0]
