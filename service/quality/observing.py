"""What both legs say to golden questions, or to sentences of the corpus itself: what weights are fitted to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.corpus import Corpus, Selection
from ingestion.corpus.records import ChunkId, Document, DocumentKey, DocumentStatus, IndexedChunk, chunk_id
from ingestion.corpus.scope import Scope
from service.quality.golden import GoldenCase, names_document
from service.quality.tuning import Seen
from service.retrieval.query import SearchQuery
from service.retrieval.search import Searcher

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
_WORDS = range(5, 26)
_PAGE, _PAGES = 200, 25
"""Documents are sampled among the newest 5,000."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Asks one corpus; a query that names no collection goes to `collections`."""

    corpus: Corpus
    searcher: Searcher
    scope: Scope
    collections: tuple[str, ...] = ()

    def ask(self, cases: Sequence[GoldenCase]) -> Iterator[Seen]:
        """What was seen of each case that has relevant documents."""
        for case in cases:
            if case.must_refuse:
                continue
            selection = Selection(case.collections or self.collections, case.filter)
            yield self._observe(case.id, case.question, selection, judged=case.judged())

    def ask_itself(self, chunks: Sequence[IndexedChunk]) -> Iterator[Seen]:
        """A sentence of each chunk is to find its document by the other chunks: the chunk itself does not count."""
        selection = Selection(self.collections)
        for chunk in chunks:
            sentence = max(_sentences(chunk.chunk.text), key=len, default=None)
            if sentence:
                yield self._observe(chunk.id, sentence, selection, source=chunk)

    def _observe(
        self,
        id_: str,
        text: str,
        selection: Selection,
        *,
        judged: dict[str, int] | None = None,
        source: IndexedChunk | None = None,
    ) -> Seen:
        legs = self.searcher.legs(self.scope, SearchQuery(text, selection=selection))
        hidden = source.id if source else None
        with self.corpus.pinned() as view:
            passages = view.get_chunks(self.scope, list({**legs.dense, **legs.sparse}))
        names: dict[DocumentKey, str] = {}
        for passage in passages.values():
            document = passage.document
            if document.key not in names:
                known = (name for name in judged or () if names_document(document, name))
                names[document.key] = next(known, document.key)
        return Seen(
            id=id_,
            kind=legs.kind,
            dense=_without(legs.dense, hidden),
            sparse=_without(legs.sparse, hidden),
            titles=legs.titles,
            document={id_: names[passage.document.key] for id_, passage in passages.items()},
            judged=judged if judged is not None else {source.document.key: 1} if source else {},
            head=legs.head,
        )


def sample(corpus: Corpus, scope: Scope, collections: Sequence[str], wanted: int) -> list[IndexedChunk]:
    """Up to `wanted` chunks of documents that have others beside, drawn evenly by a hash of their ids."""
    drawn: list[tuple[str, IndexedChunk]] = []
    for collection in collections or (None,):
        for document in _documents(corpus, scope, collection):
            if document.version is None or document.chunk_count < 2:
                continue
            for chunk in corpus.generations.chunks(document.key):
                id_ = chunk_id(document.key, document.version, chunk.position)
                drawn.append((hashlib.sha256(id_.encode()).hexdigest(), IndexedChunk(id_, chunk, document)))
        drawn = sorted(drawn, key=lambda entry: entry[0])[:wanted]
    return [chunk for _, chunk in drawn]


def _documents(corpus: Corpus, scope: Scope, collection: str | None) -> Iterator[Document]:
    query = DocumentQuery(collection=collection, status=DocumentStatus.INDEXED)
    cursor: str | None = None
    for _ in range(_PAGES):
        page = corpus.list_documents(scope, query, cursor=cursor, limit=_PAGE)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _without(scores: dict[ChunkId, float], hidden: ChunkId | None) -> dict[ChunkId, float]:
    return {id_: score for id_, score in scores.items() if id_ != hidden}


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if len(part.split()) in _WORDS]
