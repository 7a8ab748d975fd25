"""The documents to offer with a refusal: what comes nearest to the question, however far that is."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.corpus.records import Document
from service.retrieval.results import Passage

MOST = 3


def nearest(passages: Sequence[Passage], old: frozenset[int] = frozenset()) -> tuple[Document, ...]:
    """Up to three different documents, best first, those at the indexes `old`, which were replaced, after the others.

    Also where nothing is relevant: whoever shows them says that they may not help.
    """
    ranked = sorted(range(len(passages)), key=lambda at: (at in old, -passages[at].score, at))
    documents = {passages[at].indexed.document.key: passages[at].indexed.document for at in ranked}
    return tuple(documents.values())[:MOST]
