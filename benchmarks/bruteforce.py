"""Collections searched by brute force, for comparing ways to cut and to fuse without building an index.

With the product's own embedder and sparse encoder; what needs the whole path of a search is in `judged`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingestion.corpus.embedding import Embedder
from ingestion.corpus.records import ChunkId
from ingestion.corpus.sparse import SparseEncoder

COLLECTIONS = ("runbooks_openshift", "runbooks_kubeprom", "xquad_en", "clapnq", "scifact")
CANDIDATES = 50
DENSE_WEIGHT = 0.6
WORDS = 130
DOCUMENTS = 1_000
"""Documents of a collection beside the judged ones."""
QUERIES = 250


@dataclass(frozen=True, slots=True)
class Collection:
    """One searchable collection. `postings`: term id to (chunk numbers, weights with IDF)."""

    name: str
    documents: NDArray[np.str_]
    texts: list[str]
    dense: NDArray[np.float32]
    postings: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]
    queries: list[str]
    vectors: NDArray[np.float32]
    relevant: list[frozenset[str]]


def parse_arguments(description: str | None) -> argparse.Namespace:
    """`data` and `cache`, which exists."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PLUMBLINE_EVAL_DATA") or "../shared/eval"
    parser.add_argument("--data", type=Path, default=Path(default), help="folder of the evaluation data")
    parser.add_argument("--cache", type=Path, default=Path(".plumbline/benchmarks"), help="folder of embeddings")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    return arguments


def load(name: str, data: Path, cache: Path, embedder: Embedder, encoder: SparseEncoder) -> Collection:
    """A collection of the evaluation data, cut and embedded."""
    answers = name == "clapnq"
    folder, prefix = (data / "answers", "clapnq_") if answers else (data / "retrieval" / name, "")
    judged: dict[str, set[str]] = {}
    qrels = folder / f"{prefix}qrels.tsv{'' if answers else '.gz'}"
    for line in _open(qrels).read().splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            judged.setdefault(query, set()).add(document)
    queries = _sample([q for q in _read(folder / f"{prefix}queries.jsonl.gz") if q["id"] in judged], QUERIES)
    rows = _read(folder / f"{prefix}corpus.jsonl.gz")
    needed = {document for query in queries for document in judged[query["id"]]}
    others = _sample([row for row in rows if row["id"] not in needed], DOCUMENTS)
    kept = [row for row in rows if row["id"] in needed] + others
    chunks = [(row["id"], f"{row['title']}\n{text}") for row in kept for text in cut(row["text"])]
    texts = [text for _, text in chunks]
    questions = [query["text"] for query in queries]
    return Collection(
        name,
        np.array([document for document, _ in chunks]),
        texts,
        embed(texts, cache, embedder),
        index(texts, encoder),
        questions,
        embed(questions, cache, embedder),
        [frozenset(judged[query["id"]]) for query in queries],
    )


def cut(text: str) -> list[str]:
    """Paragraphs packed to about WORDS words; longer ones are cut at sentences."""
    packed: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        pieces = [paragraph]
        if len(paragraph.split()) > WORDS * 1.7:
            pieces = re.split(r"(?<=[.!?])\s+|\n", paragraph)
        for piece in pieces:
            if packed and len(packed[-1].split()) + len(piece.split()) <= WORDS:
                packed[-1] += "\n\n" + piece
            else:
                packed.append(piece)
    return [piece for piece in packed if piece.strip()]


def embed(texts: Sequence[str], cache: Path, embedder: Embedder) -> NDArray[np.float32]:
    """Embeddings of the texts, `(n, dim) float32`, kept in `cache`."""
    key = hashlib.sha256("\0".join([embedder.name, *texts]).encode()).hexdigest()[:24]
    path = cache / f"{key}.npy"
    if not path.exists():
        np.save(path, embedder.embed_documents(texts))
    return np.asarray(np.load(path), dtype=np.float32)


def index(texts: Sequence[str], encoder: SparseEncoder) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """The inverted index, weights multiplied by Qdrant's IDF."""
    found: dict[int, list[tuple[int, float]]] = {}
    for number, text in enumerate(texts):
        vector = encoder.encode_document(text)
        for term, weight in zip(vector.indices, vector.values, strict=True):
            found.setdefault(term, []).append((number, weight))
    postings = {}
    for term, entries in found.items():
        idf = math.log(1 + (len(texts) - len(entries) + 0.5) / (len(entries) + 0.5))
        numbers = np.array([number for number, _ in entries])
        postings[term] = (numbers, idf * np.array([weight for _, weight in entries]))
    return postings


def legs(
    collection: Collection,
    query: tuple[str, NDArray[np.float32]],
    encoder: SparseEncoder,
    hidden: NDArray[np.bool_] | None = None,
) -> tuple[dict[ChunkId, float], dict[ChunkId, float]]:
    """The best CANDIDATES of each leg, chunk numbers as ids, without the hidden ones."""
    text, vector = query
    scores = np.zeros(len(collection.texts))
    for term in encoder.encode_query(text).indices:
        if term in collection.postings:
            numbers, weights = collection.postings[term]
            scores[numbers] += weights
    sparse = {id_: score for id_, score in _top(scores, hidden).items() if score > 0}
    return _top(collection.dense @ vector, hidden), sparse


def _top(scores: NDArray[Any], hidden: NDArray[np.bool_] | None) -> dict[ChunkId, float]:
    if hidden is not None:
        scores = np.where(hidden, -np.inf, scores)
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return {ChunkId(str(number)): float(scores[number]) for number in order if np.isfinite(scores[number])}


def _open(path: Path) -> Any:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    with _open(path) as lines:
        return [json.loads(line) for line in lines]


def _sample(items: list[Any], count: int) -> list[Any]:
    return random.Random(7).sample(items, min(count, len(items)))
