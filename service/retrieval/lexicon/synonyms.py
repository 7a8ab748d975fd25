"""Synonyms and abbreviations from a file, for all collections or for one; applied to queries, never to the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.words import simple_words
from ingestion.errors import ConfigurationError

_EVERYWHERE = "*"
_ARROW = "=>"
_MOST_EXPANSIONS = 20
"""Of one query."""

Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Synonym:
    """What stands in a query, as it was written, and what it is also called."""

    written: str
    expansion: str


@dataclass(frozen=True, slots=True)
class Synonyms:
    """Rules by collection (`*` for all): from the stems of a phrase to what it is also called."""

    rules: Mapping[str, Mapping[Phrase, tuple[str, ...]]] = field(default_factory=dict)

    def expand(self, encoder: SparseEncoder, text: str, collections: Sequence[str] = ()) -> tuple[Synonym, ...]:
        """What the phrases of a query are also called, in the order of the text.

        All rules apply where no collection is named. A phrase matches in any inflection, the longest at a place alone.
        """
        sections = [self.rules[name] for name in (_EVERYWHERE, *collections) if name in self.rules]
        if not collections:
            sections = list(self.rules.values())
        if not sections:
            return ()
        longest = max(len(phrase) for section in sections for phrase in section)
        words = [word for run in simple_words(text) for word in run]
        stems = encoder.stems(words)
        found: dict[Synonym, None] = {}
        start = 0
        while start < len(words):
            end = start + 1
            for stop in range(min(len(words), start + longest), start, -1):
                named = [name for section in sections for name in section.get(tuple(stems[start:stop]), ())]
                if named:
                    written = " ".join(words[start:stop])
                    found |= dict.fromkeys(Synonym(written, name) for name in named)
                    end = stop
                    break
            start = end
        return tuple(found)[:_MOST_EXPANSIONS]


def read_synonyms(path: Path | None, encoder: SparseEncoder) -> Synonyms:
    """The rules of a file; none without one. Raises: ConfigurationError that names file and line."""
    if path is None:
        return Synonyms()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigurationError(f"can't read the synonyms {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the synonyms {path} are not UTF-8 text") from error
    rules: dict[str, dict[Phrase, dict[str, None]]] = {}
    section = _EVERYWHERE
    for number, line in enumerate(lines, start=1):
        content = line.partition("#")[0].strip() if line.lstrip().startswith("#") else line.partition(" #")[0].strip()
        if not content:
            continue
        try:
            if content.startswith("["):
                section = _section(content)
                continue
            for written, names in _rule(content):
                phrase = _phrase(encoder, written)
                rules.setdefault(section, {}).setdefault(phrase, {}).update(dict.fromkeys(names))
        except ValueError as error:
            raise ConfigurationError(f"{path}, line {number}: {error}") from error
    return Synonyms({name: {phrase: tuple(names) for phrase, names in found.items()} for name, found in rules.items()})


def _section(content: str) -> str:
    name = content[1:-1].strip()
    if not content.endswith("]") or not name:
        raise ValueError(f"{content!r} is no section: write [collection], or [*] for all")
    return name


def _rule(content: str) -> Iterable[tuple[str, list[str]]]:
    """Each phrase of a line with what it is also called."""
    left, arrow, right = content.partition(_ARROW)
    if _ARROW in right:
        raise ValueError(f"more than one {_ARROW}")
    written, named = _terms(left), _terms(right) if arrow else []
    if arrow:
        return [(term, named) for term in written]
    if len(written) < 2:
        raise ValueError(f"{written[0]!r} stands alone: write `one, other` or `one {_ARROW} other`")
    return [(term, [other for other in written if other != term]) for term in written]


def _terms(side: str) -> list[str]:
    terms = [" ".join(term.split()) for term in side.split(",")]
    if not all(any(map(str.isalnum, term)) for term in terms):
        raise ValueError("a term without a letter or digit; terms are separated by single commas")
    return terms


def _phrase(encoder: SparseEncoder, term: str) -> Phrase:
    return tuple(encoder.stems([word for run in simple_words(term) for word in run]))
