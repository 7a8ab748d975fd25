"""Compares ways to cut documents: `python -m benchmarks.chunking [--data FOLDER] [--cache FOLDER] [--only NAME ...]`.

The first three collections by default, all with `--collections`; about an hour on two cores the first time.

Every collection is cut in every way of benchmarks.cuts, and searched by brute force with the product's own embedder,
sparse encoder and fusion, 50 candidates a leg. All ways get the document's title, so that only the cuts differ.

    runbooks_*       alert texts, the runbook that is linked to each: documents of about 100 to 4,000 tokens
    clapnq_sections  questions; eight passages of an encyclopaedia a document, each under its heading
    clapnq_plain     the same without any heading
    scifact          claims, abstracts: about 350 tokens without structure

Evidence: passages are read in the order of the fused ranking, those that no longer fit into the budget left out; what
share of the sentences that a person chose as the answer's evidence has been read? (clapnq only; no other has spans.)
Embeddings are kept in the cache folder.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bruteforce import DENSE_WEIGHT, Collection, legs
from benchmarks.corpora import eval_data
from benchmarks.cuts import Cut, ways
from benchmarks.fusion import ndcg
from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.corpus.records import Chunk, ChunkId, ParsedDocument, Span
from ingestion.corpus.sparse import SparseEncoder
from ingestion.parsing.markdown import MarkdownParser
from ingestion.pipeline import embedding_text
from ingestion.settings import EmbedderSettings
from service.retrieval import fusion
from service.retrieval.fusion import Weights

COLLECTIONS = ("runbooks_openshift", "runbooks_kubeprom", "clapnq_sections", "clapnq_plain", "scifact")
MEASURED = COLLECTIONS[:3]
BUDGETS = (400, 800)
_PASSAGES_A_DOCUMENT = 8
_SCIFACT_DOCUMENTS = 400
_RESAMPLES = 10_000
_LEGS = ("dense", "sparse", "fused")
_DOCUMENT_METRICS = ("nDCG@10", "recall@10", "hit@1", "MRR@10")

Scores = dict[tuple[str, str], NDArray[np.float64]]
"""(leg, metric) to a value for each query."""


@dataclass(frozen=True, slots=True)
class Question:
    """`relevant` documents, and the spans of the chosen sentences in the one that holds them."""

    text: str
    relevant: frozenset[str]
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """Documents by their ids, and what is asked about them."""

    name: str
    documents: Mapping[str, ParsedDocument]
    questions: Sequence[Question]


class EmbeddingCache:
    """Embeddings by text and model, in one SQLite file."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._store = sqlite3.connect(path)
        self._store.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        self._embedder = embedder

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, rows L2-normalised."""
        keys = [hashlib.sha256(f"{self._embedder.name}\0{text}".encode()).digest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if self._get(key) is None}
        waiting = list(missing.items())
        for start in range(0, len(waiting), 256):
            batch = waiting[start : start + 256]
            vectors = self._embedder.embed_documents([text for _, text in batch])
            rows = [(key, vector.tobytes()) for (key, _), vector in zip(batch, vectors, strict=True)]
            self._store.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            self._store.commit()
        return np.stack([np.frombuffer(self._get(key) or b"", dtype=np.float32) for key in keys])

    def _get(self, key: bytes) -> bytes | None:
        row = self._store.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])


def main() -> None:
    arguments = _parse_arguments()
    embedder = open_embedder(EmbedderSettings(), arguments.cache / "models")
    cache = EmbeddingCache(arguments.cache / "chunking.sqlite", embedder)
    compared = {name: cut for name, cut in ways(embedder).items() if not arguments.only or name in arguments.only}
    judged = [load(name, arguments.data) for name in arguments.collections]
    results: dict[str, dict[str, Scores]] = defaultdict(dict)
    for name, cut in compared.items():
        for collection in judged:
            results[name][collection.name] = evaluate(collection, cut, cache)
    report(results, arguments.collections)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the evaluation data")
    parser.add_argument("--cache", type=Path, default=Path(".plumbline/benchmarks"), help="folder of embeddings")
    parser.add_argument("--only", nargs="+", help="names of the ways to compare, the first with each of the others")
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=MEASURED)
    arguments = parser.parse_args()
    arguments.data = arguments.data or eval_data()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    return arguments


def load(name: str, data: Path) -> Judged:
    """A collection of the evaluation data."""
    if name.startswith("clapnq"):
        return _long_documents(name, data / "answers", headings=name == "clapnq_sections")
    folder = data / "retrieval" / name
    judged: dict[str, set[str]] = defaultdict(set)
    with gzip.open(folder / "qrels.tsv.gz", "rt", encoding="utf-8") as lines:
        for query, document, grade in (line.split("\t") for line in list(lines)[1:]):
            if int(grade) > 0:
                judged[query].add(document)
    questions = [
        Question(row["text"], frozenset(judged[row["id"]]))
        for row in _read(folder / "queries.jsonl.gz")
        if row["id"] in judged
    ]
    rows = _read(folder / "corpus.jsonl.gz")
    if name == "scifact":
        needed = {document for question in questions for document in question.relevant}
        others = [row for row in rows if row["id"] not in needed]
        rows = [row for row in rows if row["id"] in needed]
        rows += _sample(others, max(0, _SCIFACT_DOCUMENTS - len(rows)))
    parser = MarkdownParser()
    return Judged(name, {row["id"]: _parsed(parser, row["title"], row["text"]) for row in rows}, questions)


def _long_documents(name: str, folder: Path, *, headings: bool) -> Judged:
    """Eight passages a document, in a seeded order; the evidence is what annotators chose."""
    parser = MarkdownParser()
    passages = _sample(_read(folder / "clapnq_corpus.jsonl.gz"), 10_000)
    documents: dict[str, ParsedDocument] = {}
    homes: dict[str, tuple[str, Span]] = {}
    for start in range(0, len(passages), _PASSAGES_A_DOCUMENT):
        id_, text = f"part {start // _PASSAGES_A_DOCUMENT + 1}", ""
        for passage in passages[start : start + _PASSAGES_A_DOCUMENT]:
            text += f"## {passage['title']}\n\n" if headings else ""
            body = passage["text"].strip()
            homes[passage["id"]] = (id_, Span(len(text), len(text) + len(body)))
            text += f"{body}\n\n"
        documents[id_] = _parsed(parser, id_, text)
    questions = []
    for row in _read(folder / "clapnq_rag.jsonl.gz"):
        if row["answerable"] and row["passage"] in homes:
            home, span = homes[row["passage"]]
            found = _evidence(documents[home].text, span, row["outputs"][0]["selected_sentences"])
            questions.append(Question(row["question"], frozenset({home}), found))
    return Judged(name, documents, questions)


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _sample(items: list[Any], count: int) -> list[Any]:
    return random.Random(7).sample(items, min(count, len(items)))


def _evidence(text: str, passage: Span, sentences: Iterable[str]) -> tuple[Span, ...]:
    starts = ((text.find(sentence.strip(), passage.start, passage.end), sentence.strip()) for sentence in sentences)
    return tuple(Span(start, start + len(sentence)) for start, sentence in starts if start >= 0)


def _parsed(parser: MarkdownParser, title: str, source: str) -> ParsedDocument:
    found = parser.parse(source)
    return ParsedDocument(found.text, found.elements, title, "text/markdown")


def evaluate(judged: Judged, cut: Cut, cache: EmbeddingCache) -> Scores:
    """Every measure of every leg for each query; and the mean tokens of a chunk, under ("", "tokens")."""
    started = time.perf_counter()
    chunks = [(id_, chunk) for id_, document in judged.documents.items() for chunk in cut(document)]
    titles = {id_: document.title for id_, document in judged.documents.items()}
    encoder = SparseEncoder()
    questions = [question.text for question in judged.questions]
    collection = Collection(
        judged.name,
        np.array([id_ for id_, _ in chunks]),
        [chunk.text for _, chunk in chunks],
        cache.embed([embedding_text(titles[id_], chunk) for id_, chunk in chunks]),
        _postings([(titles[id_], chunk) for id_, chunk in chunks], encoder),
        questions,
        cache.embed(questions),
        [question.relevant for question in judged.questions],
    )
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for question, vector in zip(judged.questions, collection.vectors, strict=True):
        dense, sparse = legs(collection, (question.text, vector), encoder)
        fused = [id_ for id_, _ in fusion.fuse(dense, sparse, Weights(DENSE_WEIGHT)).ranking]
        orders = {"dense": _ids(dense), "sparse": _ids(sparse), "fused": fused}
        for leg, order in orders.items():
            ranked = list(dict.fromkeys(str(collection.documents[int(id_)]) for id_ in order))
            for metric, value in zip(_DOCUMENT_METRICS, _document_scores(ranked, question.relevant), strict=True):
                values[leg, metric].append(value)
            for budget in BUDGETS if question.evidence else ():
                share = _evidence_read([chunks[int(id_)] for id_ in order], question, budget)
                values[leg, f"evidence@{budget}"].append(share)
    sizes = [chunk.tokens for _, chunk in chunks]
    means = ", ".join(f"{leg} {np.mean(values[leg, 'nDCG@10']):.3f}" for leg in _LEGS)
    print(f"# {judged.name}: {len(chunks)} chunks, {time.perf_counter() - started:.0f} s, nDCG@10 {means}", flush=True)
    return {key: np.array(of_queries) for key, of_queries in values.items()} | {("", "tokens"): np.array(sizes)}


def _ids(scores: Mapping[ChunkId, float]) -> list[ChunkId]:
    return [id_ for id_, _ in fusion.in_order(scores)]


def _document_scores(ranked: Sequence[str], relevant: frozenset[str]) -> tuple[float, float, float, float]:
    ranks = [rank for rank, document in enumerate(ranked[:10]) if document in relevant]
    recall = len(ranks) / len(relevant)
    return ndcg(ranked, relevant), recall, float(0 in ranks), 1 / (ranks[0] + 1) if ranks else 0.0


def _evidence_read(ranked: Sequence[tuple[str, Chunk]], question: Question, budget: int) -> float:
    """Share of the evidence's characters within the passages that fit into the budget, in tokens."""
    (home,) = question.relevant
    read: set[int] = set()
    for id_, chunk in ranked:
        if chunk.tokens > budget:
            continue
        budget -= chunk.tokens
        if id_ == home:
            read.update(range(chunk.span.start, chunk.span.end))
    wanted = {at for span in question.evidence for at in range(span.start, span.end)}
    return len(wanted & read) / len(wanted)


def _postings(
    titled: Sequence[tuple[str, Chunk]], encoder: SparseEncoder
) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """The inverted index, weights multiplied by Qdrant's IDF."""
    found: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, (title, chunk) in enumerate(titled):
        vector = encoder.encode_document(chunk.context + chunk.text, title=title, heading_path=chunk.heading_path)
        for term, weight in zip(vector.indices, vector.values, strict=True):
            found[term].append((number, weight))
    postings = {}
    for term, entries in found.items():
        idf = math.log(1 + (len(titled) - len(entries) + 0.5) / (len(entries) + 0.5))
        weights = idf * np.array([weight for _, weight in entries])
        postings[term] = (np.array([number for number, _ in entries]), weights)
    return postings


def report(results: Mapping[str, Mapping[str, Scores]], collections: Sequence[str]) -> None:
    """Print a table for each measure, and how far every way is from the first."""
    first = next(iter(results))
    evidence = [name for name in collections if ("fused", f"evidence@{BUDGETS[0]}") in results[first][name]]
    for leg in _LEGS:
        _table(results, collections, leg, "nDCG@10")
    for metric in _DOCUMENT_METRICS[1:]:
        _table(results, collections, "fused", metric)
    for metric in (f"evidence@{budget}" for budget in BUDGETS) if evidence else ():
        for leg in _LEGS:
            _table(results, evidence, leg, metric)
    print("\nmean tokens of a chunk (chunks)")
    for name, by_collection in results.items():
        sizes = [by_collection[collection]["", "tokens"] for collection in collections]
        print(f"{name:42}" + "".join(f"{np.mean(size):8.0f} ({len(size):5})" for size in sizes))


def _table(results: Mapping[str, Mapping[str, Scores]], collections: Sequence[str], leg: str, metric: str) -> None:
    first = next(iter(results))
    print(
        f"\n{leg + ' ' + metric:42}" + "".join(f"{name[-10:]:>11}" for name in collections) + "    mean   to the first"
    )
    for name, by_collection in results.items():
        values = [by_collection[collection][leg, metric] for collection in collections]
        others = [results[first][collection][leg, metric] for collection in collections]
        row = f"{name:42}" + "".join(f"{np.mean(value):11.3f}" for value in values)
        row += f"{np.mean([np.mean(value) for value in values]):8.3f}"
        if name != first:
            row += "   {:+.3f} [{:+.3f}, {:+.3f}]".format(*difference(values, others))
        print(row)


def difference(values: Sequence[Any], others: Sequence[Any]) -> tuple[float, float, float]:
    """Mean over the collections of `values - others`, and its 95 % interval: a paired bootstrap over queries."""
    generator = np.random.default_rng(7)
    means = np.zeros(_RESAMPLES)
    for value, other in zip(values, others, strict=True):
        gaps = value - other
        means += gaps[generator.integers(len(gaps), size=(_RESAMPLES, len(gaps)))].mean(1) / len(values)
    observed = float(np.mean([np.mean(value - other) for value, other in zip(values, others, strict=True)]))
    low, high = np.percentile(means, [2.5, 97.5])
    return observed, float(low), float(high)


if __name__ == "__main__":
    main()
