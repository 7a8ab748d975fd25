"""What one slip of the fingers in each query costs: `python -m benchmarks.typos [--data FOLDER] [NAME ...]`.

`kept` takes any searcher. By itself the command measures the keyword leg by brute force, with the
product's encoder and lexicon over paragraphs: as the queries are written, with a slip, and with the slip corrected.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from benchmarks.bruteforce import cut
from benchmarks.mistakes import with_typo
from ingestion.corpus.database import migrate_corpus, open_database, write_transaction
from ingestion.corpus.lexicon import WordRecorder
from ingestion.corpus.records import Element, ElementKind, Span
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.sparse import SparseEncoder, SparseVector
from ingestion.parsing.language import LanguageDetector
from ingestion.settings import Settings
from service.quality.folders import JudgedFolder, find_folder, load_queries
from service.quality.metrics import measure
from service.retrieval.lexicon import Lexicon

COLLECTIONS = ("runbooks_openshift", "runbooks_kubeprom", "xquad_en", "xquad_de", "scifact", "movies_ltr")
QUERIES = 600
SEED = 5
DEPTH = 10
SCOPE = Scope(TenantId("default"))

Search = Callable[[str], Sequence[str]]
"""From a query to document ids, best first and each once."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Mean nDCG@10 of queries as they are written and with one slip each."""

    clean: float
    misspelt: float

    @property
    def share(self) -> float:
        return self.misspelt / self.clean if self.clean else 1.0


def kept(
    queries: Mapping[str, str], judged: Mapping[str, Mapping[str, int]], search: Search, slipped: Search | None = None
) -> Kept:
    """How much of its quality a searcher keeps; `slipped` searches the misspelt queries, if that is another one."""
    chance = random.Random(SEED)
    wrong = {id_: with_typo(query, chance) for id_, query in queries.items()}
    return Kept(_ndcg(queries, judged, search), _ndcg(wrong, judged, slipped or search))


def _ndcg(queries: Mapping[str, str], judged: Mapping[str, Mapping[str, int]], search: Search) -> float:
    ranked = {id_: list(search(query))[:DEPTH] for id_, query in queries.items()}
    values = measure({id_: judged[id_] for id_ in queries}, ranked, DEPTH, DEPTH)
    return float(np.mean([row[f"ndcg@{DEPTH}"] for row in values.values()]))


class KeywordLeg:
    """BM25 over the paragraphs of a collection by brute force, IDF as Qdrant has it."""

    def __init__(self, folder: JudgedFolder, database: Engine) -> None:
        self.encoder = SparseEncoder()
        self._documents: list[str] = []
        postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        recorder, detector = WordRecorder(), LanguageDetector()
        for source in folder.documents():
            text, title = source.data.decode(), source.title or ""
            language = detector.language(text, [Element(ElementKind.PARAGRAPH, Span(0, len(text)))], {})
            with write_transaction(database) as connection:
                recorder.record(connection, SCOPE.tenant, (title, text), language)
            for paragraph in cut(text):
                vector = self.encoder.encode_document(paragraph, title=title, language=language)
                for term, weight in zip(vector.indices, vector.values, strict=True):
                    postings[term].append((len(self._documents), weight))
                self._documents.append(str(source.id))
        self._postings = {term: self._weighed(entries) for term, entries in postings.items()}

    def search(self, vector: SparseVector) -> list[str]:
        scores = np.zeros(len(self._documents))
        for term, weight in zip(vector.indices, vector.values, strict=True):
            if term in self._postings:
                numbers, weights = self._postings[term]
                scores[numbers] += weight * weights
        order = np.argsort(-scores, kind="stable")[: 10 * DEPTH]
        return list(dict.fromkeys(self._documents[number] for number in order if scores[number] > 0))

    def _weighed(self, entries: Sequence[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        idf = math.log(1 + (len(self._documents) - len(entries) + 0.5) / (len(entries) + 0.5))
        return np.array([number for number, _ in entries]), idf * np.array([weight for _, weight in entries])


def report(folder: JudgedFolder) -> None:
    """Print one line of figures for a collection."""
    with tempfile.TemporaryDirectory() as work:
        database = open_database(Settings(data_dir=Path(work)))
        migrate_corpus(database)
        leg = KeywordLeg(folder, database)
        lexicon = Lexicon(database, leg.encoder)

        def written(query: str) -> list[str]:
            return leg.search(lexicon.understand(SCOPE, query).sparse)

        def corrected(query: str) -> list[str]:
            understood = lexicon.understand(SCOPE, query)
            return leg.search(understood.corrected or understood.sparse)

        cases = load_queries(folder).cases
        cases = tuple(random.Random(SEED).sample(cases, min(QUERIES, len(cases))))
        queries = {case.id: case.question for case in cases}
        judged = {case.id: {name: case.grades.get(name, 1) for name in case.relevant_documents} for case in cases}
        uncorrected, both = kept(queries, judged, written), kept(queries, judged, corrected)
        database.dispose()
    print(
        f"{folder.name:20} clean {uncorrected.clean:.4f}  with a slip {uncorrected.misspelt:.4f} "
        f"({uncorrected.share:.1%})  corrected {both.misspelt:.4f} ({both.misspelt / uncorrected.clean:.1%})  "
        f"clean with correction {both.clean:.4f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("PLUMBLINE_EVAL_DATA") or "../shared/eval"
    parser.add_argument("--data", type=Path, default=Path(default), help="folder of the evaluation data")
    parser.add_argument("names", nargs="*", default=COLLECTIONS, help="collections, all if none is named")
    arguments = parser.parse_args()
    for name in arguments.names:
        folder = find_folder(arguments.data / "retrieval" / name)
        if folder is None:
            parser.error(f"there is no collection {name}")
        report(folder)


if __name__ == "__main__":
    main()
