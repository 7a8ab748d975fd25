"""Small judged collections and runs for the tests of `plumbline eval`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from service.quality.bootstrap import estimate
from service.quality.runs import OURS, Options, QueryRow, Question, Row, Run, SearchedCorpus, SetRun, Value

DOCUMENTS = {
    "gateway.md": ("Gateway 502", "# Gateway 502\n\nRestart the gateway when it answers 502 after a deploy."),
    "ledger.md": ("Invoice run", "# Invoice run\n\nThe invoice run lock is held: clear LDG-1107 once the run is over."),
    "crane": ("Harbour crane", "The harbour crane lifts forty tons. It stands at the northern quay."),
    "barge": ("Barge", "The barge leaves the quay at noon and carries grain to the mill."),
    "parking": ("Parking", "Visitors park behind the warehouse. The barrier opens with the code on the badge."),
    "oven": ("Bakery", "The oven is heated at four in the morning, and the dough rests for an hour."),
}
QUERIES = {
    "q1": "gateway answers 502",
    "q2": "LDG-1107",
    "q3": "how much can the crane lift?",
    "q4": "when does the boat with the grain depart?",
}
GRADES = {("q1", "gateway.md"): 1, ("q2", "ledger.md"): 2, ("q3", "crane"): 1, ("q4", "barge"): 1, ("q4", "oven"): 0}


def beir_folder(folder: Path, *, refused: Sequence[str] = ("who won the chess tournament in 1921?",)) -> Path:
    """The documents and queries above, the documents gzipped; the `refused` have no answer among them."""
    folder.mkdir(parents=True)
    rows = [json.dumps({"_id": id_, "title": title, "text": text}) for id_, (title, text) in DOCUMENTS.items()]
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    queries = [{"id": id_, "text": text} for id_, text in QUERIES.items()]
    queries += [{"id": f"r{n}", "text": text, "answerable": False} for n, text in enumerate(refused)]
    queries.append({"id": "nobody-judged-it", "text": "bread"})
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n")
    lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{grade}" for (q, d), grade in GRADES.items())]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n")
    return folder


def run_of(values: Mapping[str, float], *, name: str = "set", metric: str = "ndcg@10", seed: int = 0) -> Run:
    """A run whose own row has these values of one measure, query by query."""
    queries = tuple(
        QueryRow(id=id_, metrics={metric: value}, top=(f"doc-{id_}",), label="strong", confidence=0.9)
        for id_, value in values.items()
    )
    whole = estimate(np.array(list(values.values())), seed)
    row = Row(
        metrics={metric: Value(mean=whole.mean, low=whole.low, high=whole.high, n=whole.n)},
        p50_ms=1.0,
        p95_ms=2.0,
        embed_ms=0.5,
        queries=queries,
    )
    one = SetRun(
        name=name,
        digest="0" * 64,
        unjudged=0,
        corpus=SearchedCorpus(documents=1, index_version="v1-x", embedder="e", lexical="l"),
        questions={id_: Question(text=f"question {id_}", relevant={f"doc-{id_}": 1}) for id_ in values},
        titles={f"doc-{id_}": f"Title of {id_}" for id_ in values},
        rows={OURS: row},
        differences={},
    )
    options = Options(mode="hybrid", k=10, depth=100, seed=seed, threads=1)
    return Run(created_at=datetime(2026, 1, 1, tzinfo=UTC), version="0", options=options, retrieval={}, sets=(one,))
