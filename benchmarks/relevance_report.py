"""The figures of benchmarks.relevance: tables in Markdown, and the reliability plot as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.calibration import (
    Mask,
    Strings,
    Vector,
    auroc,
    calibration_error,
    folds_of,
    hold_out,
    interval,
    reliability,
    share,
)
from benchmarks.judged import SAMPLE, Sample
from service.retrieval.query import SearchMode
from service.retrieval.relevance import never_rising
from service.settings import ServiceSettings

MIXTURE: Mapping[str, float] = {"covered": 0.5, "uncovered": 0.25, "off-topic": 0.25}
"""What the probabilities are probabilities of: the share of each kind, in every collection alike."""
_PER_COLLECTION = 1000.0
THRESHOLDS = (0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True)
class Model:
    """The signals that a calibration uses, and the kind of search that it is for."""

    mode: SearchMode
    passage: tuple[str, ...]
    query: tuple[str, ...]


_PASSAGE = ("dense", "coverage", "dense_lead", "sparse_lead")
_QUERY = ("top_dense", "dense_lead", "sparse_lead", "best_coverage", "agree")
MODELS: Mapping[str, Model] = {
    "GRANITE": Model(SearchMode.HYBRID, _PASSAGE, _QUERY),
    "GRANITE_ALONE": Model(SearchMode.SEMANTIC, _PASSAGE[:3], ("top_dense", "dense_lead", "best_coverage")),
    "ANY_EMBEDDER": Model(SearchMode.HYBRID, _PASSAGE[1:], _QUERY[1:]),
    "ANY_EMBEDDER_ALONE": Model(SearchMode.SEMANTIC, _PASSAGE[1:3], ("dense_lead", "best_coverage")),
    "LEXICAL": Model(SearchMode.KEYWORD, ("coverage", "sparse_lead"), ("best_coverage", "sparse_lead")),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples or their passages as arrays. `first`: the passage stands first."""

    features: Vector
    truth: Vector
    weights: Vector
    collection: Strings
    kind: Strings
    query: list[str]
    first: Mask

    def where(self, mask: Mask) -> Rows:
        query = [text for text, kept in zip(self.query, mask, strict=True) if kept]
        arrays = (self.features, self.truth, self.weights, self.collection, self.kind)
        return Rows(*(array[mask] for array in arrays), query, self.first[mask])  # type: ignore[arg-type]


def queries_of(samples: Sequence[Sample], mode: SearchMode, signals: Sequence[str]) -> Rows:
    """One row per search; true if a relevant document is among the first ten passages."""
    return _rows(samples, mode, lambda s: [([s.signals[name] for name in signals], any(s.relevant))])


def passages_of(samples: Sequence[Sample], mode: SearchMode, signals: Sequence[str]) -> Rows:
    """One row per passage; true if its document is relevant."""
    return _rows(
        samples,
        mode,
        lambda s: [
            ([seen[name] for name in signals], relevant) for seen, relevant in zip(s.passages, s.relevant, strict=True)
        ],
    )


def _rows(
    samples: Sequence[Sample], mode: SearchMode, cases: Callable[[Sample], list[tuple[list[float], bool]]]
) -> Rows:
    here = [sample for sample in samples if sample.mode is mode]
    counts: dict[tuple[str, str], int] = {}
    for sample in here:
        counts[sample.collection, sample.kind] = counts.get((sample.collection, sample.kind), 0) + 1
    flat = [(sample, at, case) for sample in here for at, case in enumerate(cases(sample))]
    return Rows(
        np.array([features for _, _, (features, _) in flat]),
        np.array([float(true) for _, _, (_, true) in flat]),
        np.array([MIXTURE[s.kind] / counts[s.collection, s.kind] * _PER_COLLECTION for s, *_ in flat]),
        np.array([s.collection for s, *_ in flat]),
        np.array([s.kind for s, *_ in flat]),
        [s.query for s, *_ in flat],
        np.array([at == 0 for _, at, _ in flat]),
    )


def report(samples: Sequence[Sample]) -> str:
    """All tables."""
    return "\n".join(line for part in (_confidence, _decisions, _thresholds, _modes, _scores) for line in part(samples))


def held_out(samples: Sequence[Sample], name: str = "GRANITE") -> tuple[Rows, Vector]:
    """The searches that a model is for, each with its confidence by a model of the other collections.

    The sample documents are never fitted on.
    """
    model = MODELS[name]
    rows = queries_of(samples, model.mode, model.query)
    return rows, _by_collection(rows)


def _by_collection(rows: Rows) -> Vector:
    fitted_on = np.where(rows.collection == SAMPLE, 1e-9, rows.weights)
    return hold_out(rows.features, rows.truth, fitted_on, rows.collection)


def _confidence(samples: Sequence[Sample]) -> Iterator[str]:
    rows, p = held_out(samples)
    settings = ServiceSettings().retrieval
    yield (
        "Confidence of hybrid searches, each collection by a model of the others. ECE: expected calibration error over "
        "ten bins, of equal width and of equal weight.\n"
    )
    yield (
        "| | searches | AUROC covered / off-topic | covered / uncovered | ECE width | ECE weight | "
        "covered: strong, weak, none | uncovered | off-topic |"
    )
    yield "| --- " * 9 + "|"
    for name in _names(rows):
        here = rows.collection == name
        r, q = rows.where(here), p[here]
        shares = []
        for kind in MIXTURE:
            strong = share(q >= settings.strong_confidence, r.kind == kind, r.weights)
            none = share(q < settings.weak_confidence, r.kind == kind, r.weights)
            shares.append(f"{strong:.2f}, {1 - strong - none:.2f}, {none:.2f}")
        yield f"| {name} | {len(q)} | {_separation(r, q)} | {_errors(r, q)} | {' | '.join(shares)} |"
    fitted = rows.collection != SAMPLE
    r, q = rows.where(fitted), p[fitted]
    folds = hold_out(r.features, r.truth, r.weights, folds_of(r.query))
    yield f"| all, held out by collection | {len(q)} | {_separation(r, q)} | {_errors(r, q)} | | | |"
    yield f"| all, held out by query (5 folds) | {len(q)} | {_separation(r, folds)} | {_errors(r, folds)} | | | |"
    error = interval(lambda w: calibration_error(r.truth, q, w), r.query, r.weights)
    yield f"\nECE (equal width) over all, held out by collection: {error}, 95 % interval over queries.\n"


def _decisions(samples: Sequence[Sample]) -> Iterator[str]:
    rows, p = held_out(samples)
    settings = ServiceSettings().retrieval
    yield (
        "The decisions, held out by collection. *None* is right where nothing relevant is among the first ten "
        "passages; *strong* where something is.\n"
    )
    yield (
        "| | none: precision | none: recall, off-topic | none: recall, uncovered | answerable called none "
        "| strong: precision | strong: recall |"
    )
    yield "| --- " * 7 + "|"
    for name in (*_names(rows), "all"):
        here = rows.collection != SAMPLE if name == "all" else rows.collection == name
        r, q = rows.where(here), p[here]
        none, strong, found = q < settings.weak_confidence, q >= settings.strong_confidence, r.truth == 1
        pairs = (
            (~found, none),
            (none, r.kind == "off-topic"),
            (none, r.kind == "uncovered"),
            (none, found),
            (found, strong),
            (strong, found),
        )
        cells = [interval(_measure(part, whole), r.query, r.weights) for part, whole in pairs]
        yield f"| {name} | {' | '.join(f'{c.value:.2f} ({c.low:.2f}–{c.high:.2f})' for c in cells)} |"  # noqa: RUF001
    yield ""


def _measure(part: Mask, whole: Mask) -> Callable[[Vector], float]:
    return lambda weights: share(part, whole, weights)


def _thresholds(samples: Sequence[Sample]) -> Iterator[str]:
    rows, p = held_out(samples)
    fitted = rows.collection != SAMPLE
    r, q = rows.where(fitted), p[fitted]
    found = r.truth == 1
    yield "The same over all collections for other thresholds (below: none; from: strong).\n"
    yield (
        "| threshold | below: precision | recall off-topic | recall uncovered | found but below "
        "| from: precision | recall | F1 |"
    )
    yield "| --- " * 8 + "|"
    for threshold in THRESHOLDS:
        below = q < threshold
        precision, recall = share(found, ~below, r.weights), share(~below, found, r.weights)
        cells = (
            share(~found, below, r.weights),
            share(below, r.kind == "off-topic", r.weights),
            share(below, r.kind == "uncovered", r.weights),
            share(below, found, r.weights),
            precision,
            recall,
            2 * precision * recall / (precision + recall),
        )
        yield f"| {threshold:.2f} | {' | '.join(f'{cell:.3f}' for cell in cells)} |"
    yield ""


def _modes(samples: Sequence[Sample]) -> Iterator[str]:
    yield "Confidence of the other models, held out by collection: semantic searches, other embedders, keywords only.\n"
    yield "| model | AUROC covered / off-topic | covered / uncovered | ECE width | ECE weight |"
    yield "| --- " * 5 + "|"
    for name in MODELS:
        rows, p = held_out(samples, name)
        fitted = rows.collection != SAMPLE
        r, q = rows.where(fitted), p[fitted]
        yield f"| {name} | {_separation(r, q)} | {_errors(r, q)} |"
    yield ""


def _scores(samples: Sequence[Sample]) -> Iterator[str]:
    yield (
        "`score` of a passage as it is shown (never rising along the ranking), hybrid searches, each collection by a "
        "model of the others.\n"
    )
    yield "| | passages | AUROC | ECE width | ECE weight | first passage: ECE width | mean score, share right |"
    yield "| --- " * 7 + "|"
    model = MODELS["GRANITE"]
    rows = passages_of(samples, model.mode, model.passage)
    p = shown(rows, _by_collection(rows))
    for name in (*_names(rows), "all"):
        here = rows.collection != SAMPLE if name == "all" else rows.collection == name
        r, q = rows.where(here), p[here]
        top, sure = r.where(r.first), q[r.first]
        mean, right = np.average(sure, weights=top.weights), np.average(top.truth, weights=top.weights)
        error = calibration_error(top.truth, sure, top.weights)
        cells = f"{auroc(r.truth, q):.3f} | {_errors(r, q)} | {error:.3f} | {mean:.2f}, {right:.2f}"
        yield f"| {name} | {len(q)} | {cells} |"


def shown(rows: Rows, scores: Vector) -> Vector:
    """The scores made never rising within each search."""
    starts = [*np.flatnonzero(rows.first).tolist(), len(scores)]
    parts = [never_rising(scores[a:b].tolist()) for a, b in pairwise(starts)]
    return np.array([score for part in parts for score in part])


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(rows.collection.tolist()))


def _separation(r: Rows, p: Vector) -> str:
    found = (r.kind == "covered").astype(float)
    off, uncovered = r.kind != "uncovered", r.kind != "off-topic"
    values = (auroc(found[off], p[off]), auroc(found[uncovered], p[uncovered]))
    return " | ".join("" if np.isnan(value) else f"{value:.3f}" for value in values)


def _errors(r: Rows, p: Vector) -> str:
    wide = calibration_error(r.truth, p, r.weights)
    return f"{wide:.3f} | {calibration_error(r.truth, p, r.weights, equal_mass=True):.3f}"


def reliability_plot(samples: Sequence[Sample]) -> str:
    """Confidence and score against how often they come true, held out by collection, as SVG."""
    rows, p = held_out(samples)
    fitted = rows.collection != SAMPLE
    model = MODELS["GRANITE"]
    passages = passages_of(samples, model.mode, model.passage)
    scores = shown(passages, _by_collection(passages))
    kept = passages.collection != SAMPLE
    panels = (
        _panel("confidence of a search", rows.where(fitted), p[fitted], 0),
        _panel("score of a passage", passages.where(kept), scores[kept], 340),
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 340" font-family="sans-serif" font-size="11">'
        '<rect width="680" height="340" fill="#fff"/>' + "".join(panels) + "</svg>\n"
    )


def _panel(title: str, rows: Rows, p: Vector, left: int) -> str:
    bins = reliability(rows.truth, p, rows.weights)
    x0, y0, side = left + 50, 290, 250
    marks = [f'<path d="M{x0} {y0}l{side} -{side}" stroke="#999" stroke-dasharray="4"/>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        marks.append(f'<text x="{x0 + tick * side:.0f}" y="{y0 + 15}" text-anchor="middle">{tick}</text>')
        marks.append(f'<text x="{x0 - 6}" y="{y0 - tick * side + 4:.0f}" text-anchor="end">{tick}</text>')
    points = [(x0 + bin_.predicted * side, y0 - bin_.true * side, 3 + 14 * bin_.share**0.5) for bin_ in bins]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    marks.append(f'<polyline points="{line}" fill="none" stroke="#1f6feb"/>')
    marks += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="#1f6feb" fill-opacity=".5"/>' for x, y, r in points]
    error = calibration_error(rows.truth, p, rows.weights)
    return (
        f'<rect x="{x0}" y="{y0 - side}" width="{side}" height="{side}" fill="none" stroke="#333"/>{"".join(marks)}'
        f'<text x="{x0}" y="{y0 - side - 10}" font-size="13">{title}, ECE {error:.3f}</text>'
        f'<text x="{x0 + side / 2}" y="{y0 + 32}" text-anchor="middle">predicted; area: share of the weight</text>'
        f'<text transform="translate({x0 - 34} {y0 - side / 2}) rotate(-90)" text-anchor="middle">came true</text>'
    )
