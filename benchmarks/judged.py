"""Judged collections as corpora of the product, searched the way a caller searches them, and what was seen.

    covered    a query whose judged documents are in the collection
    uncovered  the same query with those documents kept out by a filter: the right subject, no answer
    off-topic  queries of other collections, and customers' messages to a bank

Models and their figures are left to `calibration`.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.corpora import REPO, SCOPE, sample_documents
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.filters import Condition, Filter
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.view import Selection
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.rebuilding import Rebuilder
from ingestion.settings import EmbedderSettings, Settings
from service.quality.golden import load_golden, names_document
from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.relevance import POOL, Evidence, observe, passage_signals, weigh_terms
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.settings import ServiceSettings

T = TypeVar("T")

COLLECTIONS = ("runbooks_openshift", "runbooks_kubeprom", "xquad_en", "xquad_de", "clapnq", "scifact", "movies_ltr")
SAMPLE = "sample_docs"
QUERIES = 150
OFF_TOPIC = 75
BANK = 75
_FOREIGN = 40
OTHER_MODES = 3
"""Semantic and keyword searches are made for every third query: the hybrid one matters most."""


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    relevant: frozenset[str]
    kind: str = "covered"


@dataclass(frozen=True, slots=True)
class Judged:
    """A collection: its queries, and the family that shares documents or subjects with it."""

    name: str
    queries: Sequence[Query]

    @property
    def family(self) -> str:
        return self.name.partition("_")[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one search knew: `signals` of the query, those of each passage, and which passages are relevant."""

    collection: str
    kind: str
    mode: SearchMode
    query: str
    signals: Mapping[str, float]
    passages: Sequence[Mapping[str, float]]
    relevant: Sequence[bool]


def judged_collection(name: str, data: Path) -> Judged:
    """QUERIES of a collection of the evaluation data, or all questions over the sample documents."""
    if name == SAMPLE:
        cases = load_golden(REPO / "tests" / "golden" / "sample_docs_more.jsonl")
        kinds = {True: "uncovered", False: "covered"}
        return Judged(name, [Query(c.question, frozenset(c.relevant_documents), kinds[c.must_refuse]) for c in cases])
    folder, prefix = (data / "answers", "clapnq_") if name == "clapnq" else (data / "retrieval" / name, "")
    judged: dict[str, set[str]] = {}
    for line in _lines(folder, f"{prefix}qrels.tsv")[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            judged.setdefault(query, set()).add(document)
    rows = [json.loads(line) for line in _lines(folder, f"{prefix}queries.jsonl")]
    queries = [Query(row["text"], frozenset(judged[row["id"]])) for row in rows if row["id"] in judged]
    return Judged(name, _some(queries, QUERIES))


def bank_messages(data: Path) -> list[str]:
    """Messages of a bank's customers: off topic everywhere."""
    rows = [json.loads(line) for line in _lines(data / "tickets", "banking77_test.jsonl")]
    return [row["text"] for row in _some(rows, BANK)]


@contextmanager
def corpus_of(name: str, data: Path, folder: Path, models: Path, embedder: EmbedderSettings) -> Iterator[Corpus]:
    """The corpus of a collection in `folder`, made if it is not there, rebuilt if it is cut or encoded otherwise."""
    settings = Settings(data_dir=folder / name, models_dir=models, embedder=embedder)
    with open_corpus(settings) as corpus:
        if corpus.count_documents(SCOPE) == 0:
            documents = sample_documents() if name == SAMPLE else _documents(name, data)
            with DocumentParser(settings.parsing) as parser:
                for _ in Pipeline(corpus, parser).ingest(SCOPE, documents):
                    pass
        if corpus.wanted is not None:
            Rebuilder(corpus).rebuild()
        yield corpus


def observe_collection(
    corpus: Corpus, judged: Judged, everything: Sequence[Judged], strangers: Sequence[str]
) -> Iterator[Sample]:
    """Samples of all kinds over one collection."""
    searcher = Searcher(corpus, ServiceSettings().retrieval)
    foreign = [
        query
        for other in everything
        if other.family != judged.family
        for query in _some([query for query in other.queries if query.kind == "covered"], _FOREIGN)
    ]
    queries = list(judged.queries)
    if judged.name != SAMPLE:
        queries += [Query(query.text, query.relevant, "uncovered") for query in judged.queries]
    queries += [Query(query.text, frozenset(), "off-topic") for query in _some(foreign, OFF_TOPIC)]
    queries += [Query(text, frozenset(), "off-topic") for text in strangers]
    for number, query in enumerate(queries):
        yield _observe(searcher, judged.name, query, SearchMode.HYBRID)
        if number % OTHER_MODES == 0:
            yield _observe(searcher, judged.name, query, SearchMode.SEMANTIC)
            yield _observe(searcher, judged.name, query, SearchMode.KEYWORD)


def _observe(searcher: Searcher, name: str, query: Query, mode: SearchMode) -> Sample:
    hidden = query.relevant if query.kind == "uncovered" else frozenset()
    selection = Selection(filter=_without(hidden)) if hidden else Selection()
    asked = SearchQuery(query.text, mode=mode, limit=POOL, selection=selection, highlight=False, explain=True)
    found = searcher.search(SCOPE, asked)
    evidence, terms = _evidence(found)
    weights = weigh_terms(terms, evidence)
    relevant = [
        query.kind == "covered" and any(names_document(p.indexed.document, id_) for id_ in query.relevant)
        for p in found.passages
    ]
    signals = observe(evidence, weights).values()
    return Sample(name, query.kind, mode, query.text, signals, passage_signals(evidence, weights), relevant)


def _evidence(found: SearchResult) -> tuple[list[Evidence], frozenset[str]]:
    """What the search knew of each passage, and the terms of the query, read off its explanations."""
    evidence = []
    terms: frozenset[str] = frozenset()
    for passage in found.passages:
        why = passage.explanation
        assert why is not None
        terms = frozenset((*why.terms, *why.missing))
        document = passage.indexed.document.key
        matched = frozenset(why.terms)
        evidence.append(
            Evidence(document, passage.scores.dense, passage.scores.sparse, matched, literal=why.calibrated.literal)
        )
    return evidence, terms


def _without(documents: frozenset[str]) -> Filter:
    return Filter(must_not=(Condition.model_validate({"key": "document_id", "in": sorted(documents)}),))


def _documents(name: str, data: Path) -> Iterator[DocumentSource]:
    folder, file = (data / "answers", "clapnq_corpus.jsonl") if name == "clapnq" else (data / "retrieval" / name, "")
    suffix, media = (".md", "text/markdown") if name.startswith("runbooks") else (".txt", "text/plain")
    for line in _lines(folder, file or "corpus.jsonl"):
        row: dict[str, Any] = json.loads(line)
        if row["text"].strip():
            yield DocumentSource(
                id=DocumentId(row["id"]),
                uri=row["id"],
                name=f"{row['id']}{suffix}",
                title=row["title"] or None,
                data=row["text"].encode(),
                media_type=media,
                source=name,
            )


def _lines(folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.gz"
    if not path.exists():
        return (folder / name).read_text(encoding="utf-8").splitlines()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return lines.read().splitlines()


def _some(items: Sequence[T], count: int) -> list[T]:
    return random.Random(7).sample(items, min(count, len(items)))
