"""What kind of query someone wrote, told by its form alone: what to trust differs from kind to kind."""

from __future__ import annotations

import re
from enum import StrEnum

_LONG = 30
"""Words from which on a text is no question any more, however it is punctuated."""
_FEW = 5
"""Words up to which a text without the form of a question is a list of keywords."""
_ASIDE = 2
"""Words beside an identifier or a phrase that leave it what is looked for."""

_WORD = re.compile(r"[^\W_][\w'\u2019-]*")
_END = re.compile(r"(?<=[.!?\u3002\uff1f\uff01])\s+(?=\S)|\n")
_ASKING = re.compile(
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|should|will|would|may|has|have"
    r"|wer|wen|wem|wessen|was|wann|wo|woher|wohin|welche[rsmn]?|warum|wieso|weshalb|wie|wof[uü]r|womit|ist|sind|kann|darf"
    r"|qui|que|quoi|quand|o[uù]|quel(?:le)?s?|pourquoi|comment|combien|est-ce"
    r"|qui[eé]n(?:es)?|qu[eé]|cu[aá]ndo|d[oó]nde|cu[aá]l(?:es)?|por qu[eé]|c[oó]mo|cu[aá]nt[oa]s?)\b",
    re.IGNORECASE,
)


class QueryClass(StrEnum):
    """What a query is by its form."""

    IDENTIFIER = "identifier"
    """An error code, a path, a command, a version, a quoted phrase, with next to nothing beside it."""
    KEYWORDS = "keywords"
    """A few words, as people type them into a search box."""
    QUESTION = "question"
    """A sentence, or a few that end with one that asks."""
    TICKET = "ticket"
    """Several sentences or lines: an alert, a ticket, a log."""


def classify(text: str, needles: tuple[str, ...] = ()) -> QueryClass:
    """The kind of a query. `needles`: what it asks for literally."""
    words = _WORD.findall(text)
    if needles:
        rest = text
        for needle in needles:
            rest = rest.replace(needle, " ")
        if len(_WORD.findall(rest)) <= _ASIDE:
            return QueryClass.IDENTIFIER
    asks = text.rstrip().endswith("?")
    if len(words) > _LONG or (len(sentences(text)) > 1 and not asks):
        return QueryClass.TICKET
    if len(words) <= _FEW and not asks and not _ASKING.match(text.lstrip()):
        return QueryClass.KEYWORDS
    return QueryClass.QUESTION


def gist(text: str) -> str:
    """What a ticket is about: the sentences that ask; if none does, the sentence or line that it begins with."""
    parts = sentences(text)
    return " ".join(part for part in parts if part.endswith("?")) or next(iter(parts), text)


def sentences(text: str) -> list[str]:
    """The sentences and lines of at least two words."""
    return [part for part in _END.split(text) if len(_WORD.findall(part)) > 1]
