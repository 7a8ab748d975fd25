"""Reads a model's answer as it streams: whole sentences, each with the passages it cites.

Cutting text into units is left to `sentences`, finding the quoted span and judging it to `grounding`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.generation.checking.facts import CODE_SPAN
from service.generation.checking.sentences import CITATION, ITEM, Unit, UnitKind, next_unit

NOT_IN_SOURCES = "NOT_IN_SOURCES"
"""What the prompt asks a model to say when the passages do not hold the answer."""

_CUT_OFF = re.compile(r"[ \t]*[\[\u3010]\^?\d{0,3}\Z")
"""A marker that the stream ended in."""
_ENDED = re.compile(r"(?:[.!?\u2026\u3002][\"')\]*_`]*|[\]\u3011|]|`{3}|~{3})\Z")
"""The end of a whole sentence, citation, table row or block."""
_FENCES = re.compile(r"^[ \t>]*(?:`{3}|~{3})", re.MULTILINE)
_BARE_MARKER = re.compile(r"(?:^|\n)[ \t]*(?:[-*+\u2022]|\d{1,3}[.)]?)?[ \t\n]*\Z")
"""The number or bullet of an item that never came."""

_RUN = rf"{CITATION.pattern}(?:[ \t]*(?:[,;&]|and|und)?[ \t]*{CITATION.pattern})*"
_MARKERS = re.compile(
    rf"[ \t]*(?:\({_RUN}\)|\[{_RUN}\]|\*\*{_RUN}\*\*|\*{_RUN}\*|__{_RUN}__|_{_RUN}_|<sup>{_RUN}</sup>|{_RUN})",
    re.IGNORECASE,
)
"""Citations that stand together, with what sets them apart from the text."""
_ATTRIBUTED = re.compile(
    rf"\A((?:{ITEM.pattern})?)(?:according to|as (?:stated|described|mentioned|noted|said) in|as per|per|laut)\s+{_RUN}"
    r",?[ \t]+(\w)",
    re.IGNORECASE,
)
"""`According to [1], ...`"""
_LISTING = re.compile(
    r"[#*_\s]*(?:references?|sources?|citations?|footnotes?|quellen?|fuentes|bronnen)[*_\s]*:?[*_\s,;]*", re.IGNORECASE
)
"""The title of a list of what was cited, which is for this service to give."""


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A complete sentence (or list item, or block with the sentence that introduces it), its markers taken out.

    `lead` is the white space before it; `cites` the numbers of shown passages, in order, each once;
    `unknown` counts numbers of passages that were never shown, which are dropped. `inherited`: the markers stand at
    the line that introduces its list, or at a later item of it.
    """

    text: str
    lead: str
    cites: tuple[int, ...]
    unknown: int = 0
    inherited: bool = False


class CitationParser:
    """Feed it the pieces; it returns sentences as soon as no later piece can change them.

    Any way to cut the same answer into pieces gives the same sentences.
    """

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._text = ""
        self._position = 0
        self._held: Unit | None = None
        self._held_from = 0
        self._list = _ListCitations()
        self._listing = False
        """Behind the title of a list of sources."""

    def feed(self, piece: str) -> list[CitedSentence]:
        """Sentences that this piece completes."""
        self._text += piece.replace("\r", "")
        return self._list.share(self._read(final=False))

    def close(self, *, cut_off: bool = False) -> list[CitedSentence]:
        """What is left, the stream being over. `cut_off`: it ended in the middle, so that a last sentence without an
        end is left out: half a sentence may say the opposite of the whole one.
        """
        if cut_off:
            self._text = _BARE_MARKER.sub("", self._text).rstrip()
        ended = _ENDED.search(self._text) and len(_FENCES.findall(self._text)) % 2 == 0
        sentences = self._read(final=True)
        if cut_off and not ended and not self._listing:
            sentences = sentences[:-1]
        return self._list.share(sentences) + self._list.close()

    def _read(self, *, final: bool) -> list[CitedSentence]:
        sentences: list[CitedSentence] = []
        while (unit := next_unit(self._text, self._position, final=final)) is not None:
            lead_from, self._position = self._position, unit.end
            if self._held is not None:
                if _belongs(self._body(self._held), self._held, self._body(unit), unit):
                    unit = Unit(unit.kind, self._held.start, unit.end)
                    lead_from = self._held_from
                else:
                    self._emit(sentences, self._held, self._held_from)
            self._held, self._held_from = unit, lead_from
            if not _may_grow(self._body(unit), unit):
                self._emit(sentences, unit, lead_from)
                self._held = None
        if self._held is not None and (final or self._stands_alone(self._held)):
            self._emit(sentences, self._held, self._held_from)
            self._held = None
        self._forget()
        return sentences

    def _stands_alone(self, unit: Unit) -> bool:
        """Whether what follows has begun, and with a letter or digit: then it is no block, table or citation."""
        following = self._text[self._position :].lstrip()
        item = ITEM.match(following)
        begins = following[item.end() if item else 0 :][:1]
        return unit.kind is not UnitKind.HEADING and begins.isalnum()

    def _forget(self) -> None:
        """Drop what is done with, at a line's start only: the scanner looks back no further than that."""
        done = self._held_from if self._held is not None else self._position
        line = self._text.rfind("\n", 0, done)
        if line > 0:
            self._text = self._text[line:]
            self._position -= line
            self._held_from -= line
            if self._held is not None:
                self._held = Unit(self._held.kind, self._held.start - line, self._held.end - line)

    def _body(self, unit: Unit) -> str:
        return self._text[unit.start : unit.end]

    def _emit(self, sentences: list[CitedSentence], unit: Unit, lead_from: int) -> None:
        text, numbers = split_citations(self._body(unit))
        self._listing = _lists_sources(self._body(unit), text, titled=self._listing)
        if self._listing or not any(character.isalnum() for character in text):
            return
        known = tuple(dict.fromkeys(number for number in numbers if 1 <= number <= self._shown))
        unknown = len({number for number in numbers if not 1 <= number <= self._shown})
        lead = re.sub(r"[^\n]", "", self._text[lead_from : unit.start])[:2]
        sentences.append(CitedSentence(text, lead or (" " if lead_from else ""), known, unknown))


class _ListCitations:
    """Lets the items of a list share a citation: that of the line before it, else that of the next item with one.

    Items without one wait for it, at most until their list ends. Whether it supports them is checked as ever.
    """

    def __init__(self) -> None:
        self._intro: tuple[int, ...] = ()
        self._waiting: list[CitedSentence] = []

    def share(self, sentences: Sequence[CitedSentence]) -> list[CitedSentence]:
        """The sentences that need not wait, in order."""
        shared: list[CitedSentence] = []
        for sentence in sentences:
            if ITEM.match(sentence.text) is None:
                shared += [*self.close(), sentence]
                self._intro = sentence.cites if leads_in(sentence.text) else ()
            elif sentence.cites or sentence.unknown:
                shared += [_inheriting(waiting, sentence.cites) for waiting in self._waiting]
                shared.append(sentence)
                self._waiting.clear()
            elif self._intro:
                shared.append(_inheriting(sentence, self._intro))
            else:
                self._waiting.append(sentence)
        return shared

    def close(self) -> list[CitedSentence]:
        """What waited in vain."""
        waiting, self._waiting = self._waiting, []
        return waiting


def _inheriting(sentence: CitedSentence, cites: tuple[int, ...]) -> CitedSentence:
    return replace(sentence, cites=cites, inherited=True) if cites else sentence


def leads_in(text: str) -> bool:
    """Whether a text, its citation markers taken out, introduces what follows it."""
    return text.rstrip("*_ ").endswith(":")


def split_citations(text: str) -> tuple[str, list[int]]:
    """The text without its citation markers, and their numbers. What looks like one inside code stays code."""
    numbers: list[int] = []
    parts: list[str] = []
    position = 0

    def take(match: re.Match[str]) -> str:
        numbers.extend(number for marker in CITATION.findall(match.group()) for number in _numbers(marker))
        return ""

    attributed = _ATTRIBUTED.match(text)
    if attributed is not None:
        take(attributed)
        text = attributed.group(1) + attributed.group(2).upper() + text[attributed.end() :]
    for code in CODE_SPAN.finditer(text):
        parts += [_MARKERS.sub(take, text[position : code.start()]), code.group()]
        position = code.end()
    parts.append(_MARKERS.sub(take, text[position:]))
    said = _CUT_OFF.sub("", "".join(parts)).strip()
    if numbers and said.endswith("**") and said.count("**") % 2:  # what was left of a marker in bold
        said = said[:-2].rstrip()
    return said, numbers


def with_citations(text: str, numbers: tuple[int, ...]) -> str:
    """The sentence as it is read, with its markers: on a line of their own after a block."""
    if not numbers:
        return text
    markers = "".join(f"[{number}]" for number in numbers)
    block = text.rstrip().endswith(("```", "~~~")) or text.rpartition("\n")[2].lstrip().startswith("|")
    return f"{text}\n{markers}" if block else f"{text} {markers}"


def _numbers(marker: str) -> list[int]:
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?", marker):
        upper = int(last) if last else int(first)
        found += range(int(first), min(upper, int(first) + 20) + 1) if upper >= int(first) else [int(first), upper]
    return found


def _may_grow(body: str, unit: Unit) -> bool:
    """Whether a following unit could belong to this one: a table or block to its lead-in, a row to its table.

    A cited sentence is complete; one without citation may still be the lead-in of a cited block.
    """
    if unit.kind in (UnitKind.HEADING, UnitKind.ROW):
        return True
    return unit.kind is not UnitKind.CODE and (_leads_in(body) or not split_citations(body)[1])


def _leads_in(body: str) -> bool:
    return leads_in(split_citations(body)[0])


def _lists_sources(body: str, text: str, *, titled: bool) -> bool:
    """Whether a unit is the title of a list of sources, perhaps with the list, or (`titled`) an entry of it."""
    title, _, entries = body.partition("\n")
    if _LISTING.fullmatch(text) or (
        _LISTING.fullmatch(title) and all(_is_entry(line) for line in entries.splitlines() if line.strip())
    ):
        return True
    return titled and _is_entry(body)


def _is_entry(line: str) -> bool:
    marker = ITEM.match(line)
    return CITATION.match(line[marker.end() if marker else 0 :].lstrip()) is not None


def _belongs(held_body: str, held: Unit, body: str, unit: Unit) -> bool:
    text, numbers = split_citations(body)
    if numbers and not any(character.isalnum() for character in text):
        return True  # nothing but citations
    if held.kind is UnitKind.ROW:
        return unit.kind is UnitKind.ROW or not text
    if held.kind is UnitKind.HEADING or unit.kind is UnitKind.CODE:
        return True
    return _leads_in(held_body) and unit.kind is UnitKind.ROW
