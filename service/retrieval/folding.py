"""Passages of different documents that say the same: one is shown, and the others are listed with it.

Two passages are the same if they agree word for word, whatever their case, wrapping, quotes, emphasis and stops; or if
one of them has one stretch of whole sentences more, which is short and holds no figure, name of a thing, command or
negation. Anything else is a difference that may matter: `stop` for `start`, 4.13 for 4.14, another host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ingestion.corpus.records import ChunkId, ElementKind, IndexedChunk

MOST_EXTRA = 0.15
"""What one passage may have more, as a share of its words."""
_COMPARED = 100
"""Passages kept that a new one is compared with."""
_COMMON = 0.75
"""Share of distinct raw words below which two passages are not looked at closely; emphasis and stops change some."""

_AS_LONG = 0.6
"""Share of tokens below which they are not looked at at all."""

_BULLET = re.compile(r"^[ \t]*[-*+\u2022][ \t]+", re.MULTILINE)
_QUOTES = str.maketrans(dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"') | dict.fromkeys("\u2018\u2019", "'"))
_STOPS = ".,;:!?\u2026\"'()"
_MARKS = _STOPS + "*_"
_CLOSING = "\"')*_"
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`", re.DOTALL)
_MARK = "`"
"""Before each word of code, so that it is none of prose."""
_SENTENCE_ENDS = (".", "!", "?", "\u2026", ":")
_VERSION = re.compile(r"v?\d+(?:\.\d+)+|\bv\d+|\d{3,}", re.IGNORECASE)
_TELLING_WORDS = """
no not never none nor neither without unless except only cannot dont doesnt isnt must mustnt add allow apply approve
block bounce cancel change check clean clear close copy cordon create decrease delete deny deploy detach disable
drain drop edit enable evict fail failover flush force grant halt increase install invoke kill launch load lock log
login merge migrate mount move open patch pause promote purge push reboot rebuild recover recreate reindex release
reload remove rename repair replace reset resize restart restore resume retry revert revoke rollback rotate run save
scale set shutdown skip start stop suspend switch sync taint terminate trigger truncate turn undo uninstall unlock
unmount update upgrade verify wipe wait
"""
_TELLING = frozenset(_TELLING_WORDS.split())
"""Negations, and what people are told to do: a sentence with one of these changes what is to be done."""


@dataclass(frozen=True)
class _Words:
    """A passage to compare, with its raw words for a first look, taken when they are wanted."""

    passage: IndexedChunk

    @cached_property
    def rough(self) -> frozenset[str]:
        return frozenset(self.passage.chunk.text.casefold().split())


class Folder:
    """The passages of one result list, without repeats. Not for several threads."""

    def __init__(self) -> None:
        self._kept: list[_Words] = []
        self._folded: dict[ChunkId, list[IndexedChunk]] = {}

    def fold(self, passages: Iterable[IndexedChunk]) -> Iterator[IndexedChunk]:
        """Those that say something new, in their order; a repeat goes to the first of its kind."""
        for passage in passages:
            words = _Words(passage)
            first = next((kept for kept in self._kept if _alike(kept, words)), None)
            if first is not None:
                self._folded.setdefault(first.passage.id, []).append(passage)
                continue
            if len(self._kept) < _COMPARED:
                self._kept.append(words)
            yield passage

    def of(self, passage: IndexedChunk) -> tuple[IndexedChunk, ...]:
        """What was folded into that passage so far, best first."""
        return tuple(self._folded.get(passage.id, ()))


def _alike(first: _Words, second: _Words) -> bool:
    one, other = first.passage, second.passage
    fewer, more = sorted((one.chunk.tokens, other.chunk.tokens))
    if fewer < _AS_LONG * more or one.document.key == other.document.key:
        return False
    rough, larger = first.rough & second.rough, max(len(first.rough), len(second.rough))
    return len(rough) >= _COMMON * larger and same(one, other)


def same(first: IndexedChunk, second: IndexedChunk) -> bool:
    """Whether the passages say the same in the same place: under equal headings, and in documents of one version."""
    if _heading(first) != _heading(second) or _versions(first) != _versions(second):
        return False
    (one, _), (other, _) = shorter, longer = sorted(map(_tokens, (first, second)), key=lambda words: len(words[0]))
    if one == other:
        return True
    extra = len(other) - len(one)
    return 0 < extra <= MOST_EXTRA * len(other) and _is_idle_insertion(shorter[0], *longer)


def _is_idle_insertion(shorter: Sequence[str], longer: Sequence[str], starts: frozenset[int]) -> bool:
    """Whether `longer` is `shorter` with whole sentences put in at one place that no one acts on."""
    extra = len(longer) - len(shorter)
    pairs = enumerate(zip(shorter, longer, strict=False))
    differ = next((at for at, (one, other) in pairs if one != other), len(shorter))
    for at in sorted(starts):
        end = at + extra
        whole = end in starts or end == len(longer)
        if at <= differ and whole and shorter[at:] == longer[end:]:
            return all(token.isalpha() and token not in _TELLING for token in longer[at:end])
    return False


def _tokens(passage: IndexedChunk) -> tuple[list[str], frozenset[int]]:
    """The words of a passage and the indexes of those that begin a sentence.

    A word of letters only is case-folded; figures, names and options stay as they are written, and code to the letter.
    """
    text = passage.chunk.text.translate(_QUOTES)
    if ElementKind.CODE in passage.chunk.kinds and not _CODE.search(text):
        return [_MARK + raw for raw in text.split()], frozenset()
    tokens: list[str] = []
    starts: set[int] = set()
    ended, position = True, 0
    for start, end in [*(match.span() for match in _CODE.finditer(text)), (len(text), len(text))]:
        for raw in _BULLET.sub("", text[position:start]).split():
            if ended:
                starts.add(len(tokens))
            token = _plain(raw)
            tokens += [token] if token else []
            ended = raw.rstrip(_CLOSING).endswith(_SENTENCE_ENDS)
        code = text[start:end].strip("`~").split()
        tokens += [_MARK + raw for raw in code]
        ended, position = ended and not code, end
    return tokens, frozenset(starts)


def _plain(raw: str) -> str:
    """A word of prose without the marks around it; "" if it is nothing but stops."""
    bare = raw.strip(_MARKS)
    if bare.isalpha():
        return bare.casefold()
    return raw.strip(_STOPS)


def _heading(passage: IndexedChunk) -> list[str]:
    return [" ".join(heading.casefold().split()) for heading in passage.chunk.heading_path]


def _versions(passage: IndexedChunk) -> list[str]:
    return sorted(_VERSION.findall(passage.document.title.casefold()))
