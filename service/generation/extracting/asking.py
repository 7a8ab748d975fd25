"""What a question asks for: its terms, the names in it, and the kind of fact or step that would answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from service.generation.checking.evidence import Reader
from service.generation.checking.facts import Fact, FactKind, facts_of, is_technical

_ASKING_STEMS = frozenset(
    (
    "long", "many", "much", "often", "tell", "explain", "describ", "know", "find", "need", "want", "mean", "happen",
    "work", "get", "show", "give", "list", "someon", "somebodi", "thing", "way", "kind", "question", "answer", "mani",
    "whose", "whom",
    )
)  # fmt: skip
"""Stems that ask rather than name what is asked about."""
_FEW_CAPITALS = 0.25
_ASKS = r"(?:by when|how|what|when|where|which|who|whom|whose|why|are|can|do|does|is|must|should|will)\b"
_BETWEEN = re.compile(rf"(?<=[?])\s+|,?\s+and\s+(?={_ASKS})|,\s+(?={_ASKS})", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!])\s+(?=[A-Z])")
_SHORTEST_NAME = 3
"""`OK` and `I` are no names."""
_PUNCTUATION = ".,;:!?()[]\"'*`"
_WORD = re.compile(r"[^\W\d_](?:[^\W_]|['\u2019-](?=[^\W_]))+")

_NUMBER = re.compile(
    r"\bhow (?:long|many|much|often|old|big|large|fast|soon|quickly|late|far)\b|\bwhen\b|\bwhat time\b"
    r"|\b(?:maximum|minimum|limit|most|least)\b|\bwhich (?:version|port)\b"
    r"|\b(?:number|rate|price|cost|date|port|version|deadline) of\b",
    re.IGNORECASE,
)
_PERSON = re.compile(r"\bwho(?:m|se)?\b|\bwhich (?:team|person|role)\b", re.IGNORECASE)
_STEPS = re.compile(
    r"\bhow (?:do|can|to|should|would)\b|\bsteps?\b|\bcommand\b|\bwhat (?:do|should)\b|\brun\b", re.IGNORECASE
)
_YES_NO = re.compile(
    r"^(?:can|may|is|are|do|does|should|must|will|am)\b|[,;:] (?:can|may|is|are|do|does|should|must|will)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question. `identifiers` are codes, versions and hosts; `names` words with a capital; the rest are wants."""

    text: str
    stems: frozenset[str]
    words: tuple[tuple[str, frozenset[str]], ...]
    identifiers: tuple[Fact, ...]
    names: tuple[frozenset[str], ...]
    number: bool
    person: bool
    steps: bool
    yes_no: bool

    @classmethod
    def of(cls, reader: Reader, question: str) -> Asked:
        stems = frozenset(reader.stems(re.sub(r"[`_./:=@#-]", " ", question)))
        words = {word: frozenset(reader.stems(word.casefold())) for word in _plain_words(question)}
        return cls(
            text=question,
            stems=(stems - _ASKING_STEMS) or stems,
            words=tuple((word, own) for word, own in words.items() if own and not own & _ASKING_STEMS),
            identifiers=tuple(fact for fact in facts_of(question) if _is_identifier(fact)),
            names=tuple(own for name in _proper_names(question) if (own := frozenset(reader.stems(name)))),
            number=bool(_NUMBER.search(question)),
            person=bool(_PERSON.search(question)),
            steps=bool(_STEPS.search(question)),
            yes_no=bool(_YES_NO.search(question)),
        )

    def parts(self, reader: Reader) -> tuple[Asked, ...]:
        """The questions in it, if there are two or more, without the sentences that only set the scene."""
        sentences = _SENTENCE_END.split(self.text.strip())
        asking = " ".join(sentence for sentence in sentences if sentence.endswith("?")) or self.text
        parts: list[str] = []
        for part in _BETWEEN.split(asking):
            if parts and not (_says_something(reader, part) and _says_something(reader, parts[-1])):
                parts[-1] = f"{parts[-1]} and {part}"  # "and whose?" asks with the one before it
            else:
                parts.append(part)
        return tuple(Asked.of(reader, part) for part in parts) if len(parts) > 1 else ()

    def unknown_words(self, known: frozenset[str], limit: int) -> list[str]:
        """Words of which no stem is known, the longest first: a long word is rarely a filler."""
        unknown = [word for word, stems in self.words if not stems & known]
        return sorted(unknown, key=lambda word: (-len(word), word))[:limit]

    def without(self, word: str) -> str:
        """The question with a word left out."""
        return " ".join(re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", self.text).split()) or self.text


def _plain_words(question: str) -> list[str]:
    """The words that are no part of a code, host or path: whether those exist is seen exactly, as identifiers."""
    tokens = (token.strip(_PUNCTUATION) for token in question.split())
    return [word for token in tokens if not is_technical(token) for word in _WORD.findall(token)]


def _says_something(reader: Reader, part: str) -> bool:
    return not _ASKING_STEMS.issuperset(reader.stems(part))


def _is_identifier(fact: Fact) -> bool:
    """Whether the fact names a thing: an answer about another error code or version is no answer."""
    if fact.kind is FactKind.NUMBER:
        return "." in fact.value and fact.shape == ""
    return fact.kind in (FactKind.IDENTIFIER, FactKind.VERSION, FactKind.ADDRESS, FactKind.FLAG)


def _proper_names(question: str) -> list[str]:
    """Words with a capital inside a sentence: products, teams, days. None where capitals mean little (German)."""
    words = question.split()
    inside = [
        word.strip(".,;:!?()\"'")
        for before, word in pairwise(words)
        if word[:1].isupper() and before[-1] not in ".!?:" and len(word) >= _SHORTEST_NAME
    ]
    return inside if len(inside) <= _FEW_CAPITALS * len(words) else []
