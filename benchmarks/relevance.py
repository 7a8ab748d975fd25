"""Fits and checks the calibration of relevance: `python -m benchmarks.relevance [--write]`.

Every collection is ingested and searched by the product itself (`judged`); the corpora are kept in the cache folder and
rebuilt, embeddings reused, when chunker or encoder changed. Prints how good models are that were fitted on the other
collections, or on other queries. `--write` fits on everything and writes service/retrieval/coefficients.py, the
figures in docs/quality/relevance.md and its reliability plot.
"""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.calibration import Vector, fit
from benchmarks.corpora import REPO, eval_data
from benchmarks.judged import COLLECTIONS, SAMPLE, Sample, bank_messages, corpus_of, judged_collection
from benchmarks.judged import observe_collection as observe
from benchmarks.relevance_report import MODELS, Rows, passages_of, queries_of, reliability_plot, report
from ingestion.settings import EmbedderSettings

COEFFICIENTS = REPO / "service" / "retrieval" / "coefficients.py"
FIGURES = REPO / "docs" / "quality" / "relevance.md"
PLOT = REPO / "docs" / "quality" / "relevance.svg"
_FIGURES = re.compile(r"(<!-- figures -->\n).*(<!-- end of figures -->)", re.DOTALL)
_HEAD = '''"""The coefficients of relevance: written by `python -m benchmarks.relevance --write`, not by hand.

Fitted on {collections},
over mixtures of half covered, a quarter uncovered and a quarter off-topic queries, each collection counting the same.
ALONE: for a search without the lexical leg. docs/quality/relevance.md says how good they are, and where not.
"""

from __future__ import annotations

from service.retrieval.calibration import Calibration, Logistic

'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = REPO / ".plumbline" / "benchmarks"
    parser.add_argument("--cache", type=Path, default=cache, help="folder that keeps the corpora")
    parser.add_argument("--models", type=Path, default=REPO / ".plumbline" / "models", help="folder of model weights")
    parser.add_argument("--embedder", help="check with this model (a folder) instead of the default one")
    parser.add_argument("--collections", nargs="+", default=[*COLLECTIONS, SAMPLE], help="which collections")
    parser.add_argument(
        "--samples", type=Path, help="folder that keeps what the searches saw; what is there is not searched again"
    )
    parser.add_argument("--write", action="store_true", help="write coefficients, figures and plot")
    arguments = parser.parse_args()
    samples = collect(arguments)
    text = report(samples)
    print(text)
    if arguments.write:
        write(samples, text)


def collect(arguments: argparse.Namespace) -> list[Sample]:
    """What the searches over all collections saw."""
    data = eval_data()
    judged = [judged_collection(name, data) for name in arguments.collections]
    strangers = bank_messages(data)
    embedder = EmbedderSettings(model=arguments.embedder) if arguments.embedder else EmbedderSettings()
    samples: list[Sample] = []
    for collection in judged:
        kept = None if arguments.samples is None else arguments.samples / f"{collection.name}.pickle"
        if kept is not None and kept.exists():
            samples += pickle.loads(kept.read_bytes())
            continue
        with corpus_of(collection.name, data, arguments.cache, arguments.models, embedder) as corpus:
            seen = list(observe(corpus, collection, judged, strangers))
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps(seen))
        samples += seen
    return samples


def write(samples: Sequence[Sample], text: str) -> None:
    """Fit every model on all collections but the sample documents, and write the three files."""
    fitted = [sample for sample in samples if sample.collection != SAMPLE]
    names = ", ".join(sorted({sample.collection for sample in fitted}))
    lines = [_HEAD.format(collections=names)]
    for name, model in MODELS.items():
        passage = _literal(model.passage, passages_of(fitted, model.mode, model.passage))
        query = _literal(model.query, queries_of(fitted, model.mode, model.query))
        lines.append(f"{name} = Calibration(\n    passage={passage},\n    query={query},\n)\n")
    COEFFICIENTS.write_text("".join(lines), encoding="utf-8")
    figures = FIGURES.read_text(encoding="utf-8")
    FIGURES.write_text(_FIGURES.sub(lambda match: f"{match[1]}{text}\n{match[2]}", figures), encoding="utf-8")
    PLOT.write_text(reliability_plot(samples), encoding="utf-8")


def _literal(signals: Sequence[str], rows: Rows) -> str:
    beta: Vector = fit(rows.features, rows.truth, rows.weights)
    weights = ", ".join(f'"{signal}": {weight:.2f}' for signal, weight in zip(signals, beta[1:], strict=True))
    return f"Logistic({np.round(beta[0], 2)}, {{{weights}}})"


if __name__ == "__main__":
    main()
