"""Which passages come from documents that say they were replaced. Leaves what follows from it to who asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ingestion.corpus.records import DocumentKey
from service.retrieval.results import Passage

LOOKED_AT = 2
"""So many times the passages of an answer are looked at: behind a replaced document its successor is near."""
_OLD_SHARE = 3
"""At most one passage in so many comes from a replaced document."""
OPENING_CHARS = 600
"""Where a document that was replaced says so, if it does."""

_REPLACED = r"superseded|deprecated|obsolete|outdated|archived|withdrawn"
_TITLED = re.compile(rf"\b(?:{_REPLACED})\b", re.IGNORECASE)
_STATED = re.compile(
    rf"\bstatus\W+(?:{_REPLACED})\b|\bthis (?:document|page|runbook) (?:is|was) (?:{_REPLACED})\b", re.I
)


def outdated(passages: Sequence[Passage], openings: Mapping[DocumentKey, str]) -> frozenset[int]:
    """Indexes of passages whose document is marked as replaced: in `metadata.status`, its title or its first words.

    `openings` holds the first `OPENING_CHARS` of documents, as far as they are known.
    """
    documents = set()
    for passage in passages:
        document, chunk = passage.indexed.document, passage.indexed.chunk
        named = f"{document.title} {document.metadata.get('status', '')}"
        opening = openings.get(document.key, chunk.text if chunk.position == 0 else "")
        if _TITLED.search(named) or _STATED.search(opening[:OPENING_CHARS]):
            documents.add(document.key)
    return frozenset(at for at, passage in enumerate(passages) if passage.indexed.document.key in documents)


def give_way(passages: Sequence[Passage], old: frozenset[int], most: int) -> tuple[Passage, ...]:
    """Up to `most` passages in their order; of those at the indexes `old` a third at most while others can stand in."""
    room = max(1, most // _OLD_SHARE, most - (len(passages) - len(old)))
    kept = frozenset(sorted(old)[:room])
    return tuple(passage for at, passage in enumerate(passages) if at not in old or at in kept)[:most]
