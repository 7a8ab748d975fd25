"""Runs the cases of a golden set against a searcher: what was found, how sure it was, and how long it took.

Measuring it is the matter of `metrics` and `refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.corpus import Corpus, Selection
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.records import Document, DocumentKey, IndexedChunk, Span
from ingestion.corpus.scope import Scope
from service.quality.golden import GoldenCase, GoldenPassage, names_document
from service.quality.stating import share_stated
from service.retrieval.query import MAX_QUERY_BYTES, SearchMode, SearchQuery
from service.retrieval.results import Passage, RelevanceLabel, SearchResult
from service.retrieval.search import Searcher

_LEGS = (SearchMode.SEMANTIC, SearchMode.KEYWORD)
_NO_NAME = "~"


@dataclass(frozen=True, slots=True)
class Depths:
    """`page` documents are asked for as a reader does, `whole` are ranked in all; searches at a time in `threads`."""

    page: int = 10
    whole: int = 100
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Found:
    """What one search gave for one case, documents best first.

    `ranked` are the names that the case has for them, or keys that no case has: what measures compare. `documents`
    are as a reader knows them: uri and title. `score` is that of the first. `passages` and `facts` are the shares of
    the case's relevant passages and expected facts that the page shows; None where it has none. Times in ms.
    """

    ranked: tuple[str, ...]
    documents: tuple[tuple[str, str], ...]
    label: RelevanceLabel
    confidence: float
    score: float
    passages: float | None
    facts: float | None
    embed_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Target:
    """What is searched. `by_id`: cases name documents by their ids, and in no other way."""

    corpus: Corpus
    searcher: Searcher
    scope: Scope
    collections: tuple[str, ...] = ()
    by_id: bool = False

    def names(self, document: Document, name: str) -> bool:
        """Whether a case that says `name` means the document."""
        return document.id == name if self.by_id else names_document(document, name)


class Runner:
    """Searches a target for cases. One runner reads the text of a document once."""

    def __init__(self, target: Target, depths: Depths) -> None:
        self._target = target
        self._depths = depths
        self._texts: dict[DocumentKey, str] = {}

    def run(self, cases: Sequence[GoldenCase], mode: SearchMode, tick: Callable[[], None]) -> list[Found]:
        """What was found, in the order of the cases; `tick` is called after each.

        A ranking begins with the page as it is served: a deeper search may put other documents there, since it weighs
        more candidates. What the deeper search has besides comes after it. The order of a single leg does not depend
        on how deep one looks: there, one search is enough.
        Raises: InvalidRequest for the filter of a case, BackendUnavailable.
        """
        found: list[Found] = []
        with ThreadPoolExecutor(self._depths.threads) as pool:
            for one in pool.map(lambda case: self._one(case, mode), cases):
                found.append(one)
                tick()
        return found

    def _one(self, case: GoldenCase, mode: SearchMode) -> Found:
        page, whole = self._depths.page, self._depths.whole
        served = self._search(case, mode, whole if mode in _LEGS else page)
        listed = _listed(served.passages)
        if mode not in _LEGS and whole > page:
            listed = {**listed, **{key: chunk for key, chunk in self._deeper(case, mode).items() if key not in listed}}
        chunks = list(listed.values())[:whole]
        shown, documents = chunks[:page], [chunk.document for chunk in chunks]
        return Found(
            ranked=self._names(case, documents),
            documents=tuple((document.uri, document.title) for document in documents[:page]),
            label=served.relevance.label,
            confidence=served.relevance.confidence,
            score=_first_score(served.passages),
            passages=self._passages_shown(case, shown),
            facts=share_stated(case.expected_facts, [chunk.chunk.text for chunk in shown]),
            embed_ms=served.timings_ms.get("embed", 0.0),
            total_ms=served.timings_ms.get("total", 0.0),
        )

    def _deeper(self, case: GoldenCase, mode: SearchMode) -> dict[DocumentKey, IndexedChunk]:
        return _listed(self._search(case, mode, self._depths.whole).passages)

    def _search(self, case: GoldenCase, mode: SearchMode, limit: int) -> SearchResult:
        # A ticket may be longer than a query may be; what fits is looked for.
        text = case.question.encode()[:MAX_QUERY_BYTES].decode(errors="ignore")
        selection = Selection(case.collections or self._target.collections, case.filter)
        query = SearchQuery(text, mode, limit, selection=selection, group_by_document=True, highlight=False)
        return self._target.searcher.search(self._target.scope, query)

    def _names(self, case: GoldenCase, documents: Sequence[Document]) -> tuple[str, ...]:
        """A name stands for one document: of several that it fits, the first is the one."""
        left = dict.fromkeys(case.judged())
        names = []
        for document in documents:
            if self._target.by_id:
                name = str(document.id) if document.id in left else None
            else:
                name = next((name for name in left if names_document(document, name)), None)
            if name is not None:
                del left[name]
            names.append(name or f"{_NO_NAME}{document.key}")
        return tuple(names)

    def _passages_shown(self, case: GoldenCase, shown: Sequence[IndexedChunk]) -> float | None:
        wanted = case.relevant_passages
        if not wanted:
            return None
        return sum(any(self._shows(chunk, passage) for chunk in shown) for passage in wanted) / len(wanted)

    def _shows(self, chunk: IndexedChunk, wanted: GoldenPassage) -> bool:
        """Whether the chunk and the wanted passage have a character in common."""
        if not self._target.names(chunk.document, wanted.document):
            return False
        if wanted.start is not None and wanted.end is not None:
            return _overlap(chunk.chunk.span, Span(wanted.start, wanted.end))
        pattern = re.compile(r"\s+".join(map(re.escape, (wanted.quote or "").split())), re.IGNORECASE)
        places = (Span(*match.span()) for match in pattern.finditer(self._text(chunk.document)))
        return any(_overlap(chunk.chunk.span, place) for place in places)

    def _text(self, document: Document) -> str:
        if document.key not in self._texts:
            content = self._target.corpus.get_content(self._target.scope, document.id, document.collection)
            self._texts[document.key] = content.text
        return self._texts[document.key]


def _listed(passages: Sequence[Passage]) -> dict[DocumentKey, IndexedChunk]:
    """The documents of a result in their order, each with its passage: one that was folded stands behind its twin."""
    listed: dict[DocumentKey, IndexedChunk] = {}
    for passage in passages:
        for chunk in (passage.indexed, *passage.duplicates):
            listed.setdefault(chunk.document.key, chunk)
    return listed


def _first_score(passages: Sequence[Passage]) -> float:
    return passages[0].score if passages else 0.0


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


class RememberedQueries:
    """An embedder that embeds the same query once: several rankings of one set of queries need the same vectors."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._embedder.count_tokens(texts)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        if text not in self._vectors:
            self._vectors[text] = self._embedder.embed_query(text)
        return self._vectors[text]

    def close(self) -> None:
        """Nothing to do: the generation closes its embedder."""


@contextmanager
def remembering(corpus: Corpus) -> Iterator[None]:
    """Until the context ends, the generation that is searched embeds the same query once."""
    with corpus.pinned() as view:
        embedder = view.embedder
        view.embedder = RememberedQueries(embedder)
        try:
            yield
        finally:
            view.embedder = embedder


def judged(cases: Sequence[GoldenCase]) -> dict[str, Mapping[str, int]]:
    """What measures compare rankings with: case to name to grade, of the cases that have an answer."""
    return {case.id: case.judged() for case in cases if not case.must_refuse}
