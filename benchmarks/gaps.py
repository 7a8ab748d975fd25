"""How well questions are put into gaps, by threshold, against labelled groups of questions.

`python -m benchmarks.gaps` prints the tables of docs/quality/gaps.md: pairwise precision and recall of the groups, how
many groups there are, and how long a report over a thousand questions takes.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import REPO, eval_data
from ingestion.corpus.embedding import Embedder, open_embedder
from service.quality.golden import load_golden
from service.quality.knowledge.clustering import BACKGROUND, SAME_QUESTION, centred, clusters_of
from service.settings import ServiceSettings

THRESHOLDS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.70, 0.80, 0.90)
PLAIN = (0.60, 0.65, 0.70, 0.75, 0.775, 0.80, 0.825, 0.85, 0.90, 0.925)
MESSAGES = 1_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts, and for each the group that it belongs to."""

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]


def labelled_sets() -> Iterator[Labelled]:
    """Customer messages by intent, alerts by the runbook their author linked, golden questions by their documents."""
    yield _messages()
    for name in ("runbooks_kubeprom", "runbooks_openshift"):
        yield _alerts(name)
    cases = [case for path in sorted((REPO / "tests" / "golden").glob("*.jsonl")) for case in load_golden(path)]
    known = [case for case in cases if case.relevant_documents]
    yield Labelled(
        "golden questions by document",
        tuple(case.question for case in known),
        tuple(sorted(case.relevant_documents)[0] for case in known),
    )


def _messages() -> Labelled:
    """As many of each intent: a thousand messages in all."""
    rows = list(_lines(eval_data() / "tickets" / "banking77_test.jsonl.gz"))
    by_intent = defaultdict(list)
    for row in rows:
        by_intent[row["category"]].append(row["text"])
    each = MESSAGES // len(by_intent)
    chosen = [(text, intent) for intent, texts in by_intent.items() for text in texts[:each]]
    return Labelled("messages by intent", *(tuple(column) for column in zip(*chosen, strict=True)))


def _alerts(name: str) -> Labelled:
    folder = eval_data() / "retrieval" / name
    texts = {row["id"]: row["text"] for row in _lines(folder / "queries.jsonl.gz")}
    with gzip.open(folder / "qrels.tsv.gz", "rt") as lines:
        pairs = [line.split("\t")[:2] for line in list(lines)[1:]]
    label = dict(reversed(pairs))  # of several documents the first
    known = [id_ for id_ in texts if id_ in label]
    return Labelled(f"{name} by runbook", tuple(texts[id_] for id_ in known), tuple(label[id_] for id_ in known))


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def leaders(vectors: NDArray[np.float32], threshold: float) -> list[list[int]]:
    """The other way: each text joins the nearest group whose mean is near enough, or opens one."""
    groups: list[list[int]] = []
    sums = np.empty((0, vectors.shape[1]), dtype=np.float32)
    for row, vector in enumerate(vectors):
        cosines = (sums @ vector) / np.maximum(np.linalg.norm(sums, axis=1), 1e-9)
        if len(groups) and cosines.max() >= threshold:
            at = int(cosines.argmax())
            groups[at].append(row)
            sums[at] += vector
        else:
            groups.append([row])
            sums = np.vstack([sums, vector])
    return groups


def pairwise(groups: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[float, float]:
    """Precision and recall of the pairs that share a group, against those that share a label."""
    together = [len(group) * (len(group) - 1) // 2 for group in groups]
    right = sum(labels[one] == labels[other] for group in groups for one, other in combinations(group, 2))
    wanted = sum(count * (count - 1) // 2 for count in Counter(labels).values())
    return right / max(1, sum(together)), right / max(1, wanted)


def report(embedder: Embedder, labelled: Labelled) -> None:
    began = perf_counter()
    raw = embedder.embed_documents([*BACKGROUND, *labelled.texts])
    embedded = perf_counter()
    raw, background = raw[len(BACKGROUND) :], raw[: len(BACKGROUND)]
    vectors = centred(raw, background)
    clusters_of(vectors, SAME_QUESTION)
    print(
        f"\n### {labelled.name}: {len(labelled.texts)} texts, {len(set(labelled.labels))} groups; "
        f"embedding {embedded - began:.1f} s, grouping {perf_counter() - embedded:.2f} s\n"
    )
    print("| centred: cosine | P | R | groups | leaders: P | R | groups | plain: cosine | P | R | groups |")
    print("| ---: " * 11 + "|")
    for threshold, plain in zip(THRESHOLDS, PLAIN, strict=True):
        cells = [
            f"{threshold:g}",
            *_row(clusters_of(vectors, threshold), labelled),
            *_row(leaders(vectors, threshold), labelled),
            f"{plain:g}",
            *_row(clusters_of(raw, plain), labelled),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def _row(groups: Sequence[Sequence[int]], labelled: Labelled) -> tuple[str, str, str]:
    precision, recall = pairwise(groups, labelled.labels)
    return f"{precision:.2f}", f"{recall:.2f}", str(len(groups))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    settings = ServiceSettings()
    embedder = open_embedder(settings.embedder, settings.models_path)
    embedder.embed_query("warm")
    for labelled in labelled_sets():
        report(embedder, labelled)
    embedder.close()


if __name__ == "__main__":
    main()
