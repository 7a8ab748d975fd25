"""The documents that readers are shown, and which of them others have replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import Document, DocumentKey, chunk_id
from ingestion.corpus.scope import Scope
from ingestion.corpus.surroundings import OPENING_CHARS
from service.retrieval.packing.replaced import Replaced, find_replaced

MAX_DOCUMENTS = 50_000
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Inventory:
    """Live documents, the newest first. `complete`: none were left out for being too many."""

    documents: tuple[Document, ...]
    replaced: Mapping[DocumentKey, Replaced]
    complete: bool

    @property
    def current(self) -> list[Document]:
        """Those that nothing has replaced."""
        return [document for document in self.documents if document.key not in self.replaced]


def take_inventory(corpus: Corpus, scope: Scope, collection: str | None = None) -> Inventory:
    """All live documents within the scope."""
    documents: list[Document] = []
    complete = True
    for document in _documents(corpus, scope, collection):
        if len(documents) == MAX_DOCUMENTS:
            complete = False
            break
        if document.version is not None and document.chunk_count:
            documents.append(document)
    openings: dict[DocumentKey, str] = {}
    for start in range(0, len(documents), _PAGE):
        first = [
            chunk_id(one.key, one.version, 0) for one in documents[start : start + _PAGE] if one.version is not None
        ]
        for found in corpus.get_chunks(scope, first).values():
            openings[found.document.key] = found.chunk.text[:OPENING_CHARS]
    return Inventory(tuple(documents), find_replaced(documents, openings), complete)


def _documents(corpus: Corpus, scope: Scope, collection: str | None) -> Iterator[Document]:
    cursor = None
    while True:
        page = corpus.list_documents(scope, DocumentQuery(collection=collection), cursor=cursor, limit=_PAGE)
        yield from page.items
        if (cursor := page.next_cursor) is None:
            return
