"""How many documents there are of each value: of a collection, a source, a label, a metadata key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ingestion.corpus.facts_reader import DocumentFacts
from ingestion.corpus.filters import METADATA_PREFIX
from ingestion.corpus.records import MetadataValue
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest

MAX_VALUES = 50

_FIELDS = ("collection", "source", "label", "labels")

FacetCounts = tuple[tuple[str, int], ...]


def check_facets(names: Sequence[str], metadata_keys: Collection[str]) -> None:
    """Raises InvalidRequest with the pointer of the first facet that no document can have."""
    for at, name in enumerate(names):
        pointer = f"/facets/{at}"
        if name in _FIELDS:
            continue
        key = name.removeprefix(METADATA_PREFIX)
        if not name.startswith(METADATA_PREFIX) or not key:
            known = f"metadata.<name>, {', '.join(_FIELDS)}"
            raise InvalidRequest(f"unknown facet {name[:100]}; known are {known}", pointer=pointer)
        if key not in metadata_keys:
            raise InvalidRequest(f"facets: no document has {name[:200]}", pointer=pointer)


def count_facets(names: Sequence[str], documents: Iterable[DocumentFacts], scope: Scope) -> dict[str, FacetCounts]:
    """For each facet its values with the number of distinct documents that have them.

    The most frequent first, equals by value, at most MAX_VALUES; of labels only those that the scope may read.
    """
    distinct = {document.key: document for document in documents}
    counts: Mapping[str, Counter[str]] = {name: Counter() for name in names}
    for document in distinct.values():
        for name, counter in counts.items():
            counter.update(set(_values(name, document, scope)))
    return {name: _first(counter) for name, counter in counts.items()}


def _values(name: str, document: DocumentFacts, scope: Scope) -> Iterator[str]:
    if name == "collection":
        yield document.collection
    elif name == "source":
        yield document.source
    elif name in ("label", "labels"):
        yield from (label for label in document.labels if scope.labels is None or label in scope.labels)
    else:
        value = document.metadata.get(name.removeprefix(METADATA_PREFIX))
        if value is not None:
            yield from map(_text, value if isinstance(value, list) else (value,))


def _text(value: MetadataValue) -> str:
    """A value as JSON would write it, but for the quotes of a string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _first(counter: Counter[str]) -> FacetCounts:
    return tuple(sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))[:MAX_VALUES])
