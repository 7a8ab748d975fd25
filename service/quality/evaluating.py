"""A golden set searched in every row and measured: ours, each leg alone, and plain reciprocal rank fusion of the two.

Running it over several sets, and writing what came of it, is up to the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.quality import runs
from service.quality.bootstrap import Estimate, estimate
from service.quality.building import Tell
from service.quality.golden import GoldenCase
from service.quality.metrics import DIGITS, measure, names
from service.quality.refusals import Reliability, refusals, reliability
from service.quality.runs import KEYWORD, LEGS, OURS, RRF, SEMANTIC
from service.quality.searching import Depths, Found, Runner, Target, judged, remembering
from service.quality.splits import Split, load_split, sample
from service.retrieval.query import SearchMode
from service.retrieval.results import RelevanceLabel

RRF_K = 60
"""The constant of Cormack et al. (2009)."""
_FOR_REVIEWERS = {"reviewed", "origin", "note"}
"""Fields of a case that change nothing of what is measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to evaluate; the same plan over the same corpus gives the same measures."""

    mode: SearchMode = SearchMode.HYBRID
    depths: Depths = field(default_factory=Depths)
    seed: int = 0
    limit_queries: int | None = None
    split: Split | None = None

    def choose(self, cases: Sequence[GoldenCase]) -> tuple[GoldenCase, ...]:
        """The cases that this plan is about."""
        chosen = tuple(cases) if self.split is None else load_split(cases, self.split)
        return chosen if self.limit_queries is None else sample(chosen, self.limit_queries, self.seed)

    def options(self, collections: Sequence[str] = ()) -> runs.Options:
        split = self.split
        return runs.Options(
            mode=self.mode,
            k=self.depths.page,
            depth=self.depths.whole,
            seed=self.seed,
            threads=self.depths.threads,
            limit_queries=self.limit_queries,
            part=split.part if split else None,
            folds=split.folds if split else None,
            fold=split.fold if split else None,
            collections=tuple(collections),
        )


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Cases under a name. `unjudged` queries were left out, since nothing is known about them."""

    name: str
    cases: tuple[GoldenCase, ...]
    unjudged: int = 0

    def digest(self) -> str:
        """SHA-256 of the cases."""
        lines = "\n".join(case.model_dump_json(exclude=_FOR_REVIEWERS) for case in self.cases)
        return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def evaluate_set(target: Target, golden: GoldenSet, plan: Plan, tell: Tell) -> runs.SetRun:
    """The set, searched and measured. `golden` are the cases of the plan; `tell` hears how many searches are done.

    Ours goes first: it alone pays for the vectors of the queries, which the dense leg then has already.
    Raises: InvalidRequest for the filter of a case, BackendUnavailable.
    """
    modes = {OURS: plan.mode, KEYWORD: SearchMode.KEYWORD, SEMANTIC: SearchMode.SEMANTIC}
    runner = Runner(target, plan.depths)
    runner.run(golden.cases[:1], plan.mode, lambda: None)  # models and vocabularies are loaded before time is taken
    total, done = len(modes) * len(golden.cases), 0

    def tick() -> None:
        nonlocal done
        done += 1
        tell(f"searching {golden.name}", done, total)

    with remembering(target.corpus):
        found = {row: runner.run(golden.cases, mode, tick) for row, mode in modes.items()}
    judgements = judged(golden.cases)
    rows = {row: _row(golden.cases, one, judgements, plan) for row, one in found.items()}
    rows[RRF] = _fused_row(golden.cases, found, judgements, plan)
    ours = found[OURS]
    return runs.SetRun(
        name=golden.name,
        digest=golden.digest(),
        unjudged=golden.unjudged,
        corpus=_searched(target),
        questions={
            case.id: runs.Question(text=case.question, relevant={} if case.must_refuse else case.judged())
            for case in golden.cases
        },
        titles={uri: title for rows_ in found.values() for one in rows_ for uri, title in one.documents},
        rows=rows,
        differences=_differences(rows, plan.seed),
        refusals=_refusals(golden.cases, ours, plan.seed),
        confidence=_confidence(golden.cases, ours),
        score=_score(golden.cases, ours),
    )


def _row(
    cases: Sequence[GoldenCase], found: Sequence[Found], judgements: Mapping[str, Mapping[str, int]], plan: Plan
) -> runs.Row:
    ranked = {case.id: one.ranked for case, one in zip(cases, found, strict=True)}
    k = plan.depths.page
    values = measure(judgements, ranked, k, plan.depths.whole)
    queries = []
    for case, one in zip(cases, found, strict=True):
        metrics = dict(values.get(case.id, {}))
        for name, share in (("passages", one.passages), ("facts", one.facts)):
            if share is not None:
                metrics[f"{name}@{k}"] = round(share, DIGITS)
        queries.append(
            runs.QueryRow(
                id=case.id,
                metrics=metrics,
                top=tuple(uri for uri, _ in one.documents),
                label=one.label,
                confidence=one.confidence,
                ms=one.total_ms,
            )
        )
    total = np.array([one.total_ms for one in found])
    return runs.Row(
        metrics=_means(queries, plan),
        p50_ms=float(np.percentile(total, 50)),
        p95_ms=float(np.percentile(total, 95)),
        embed_ms=float(np.median([one.embed_ms for one in found])),
        queries=tuple(queries),
    )


def _fused_row(
    cases: Sequence[GoldenCase],
    found: Mapping[str, Sequence[Found]],
    judgements: Mapping[str, Mapping[str, int]],
    plan: Plan,
) -> runs.Row:
    """What plain reciprocal rank fusion of the two legs' documents would give: a yardstick, not a way to search."""
    ranked = {}
    for case, *legs in zip(cases, *(found[leg] for leg in LEGS), strict=True):
        ranked[case.id] = reciprocal_rank_fusion([leg.ranked for leg in legs])
    values = measure(judgements, ranked, plan.depths.page, plan.depths.whole)
    queries = tuple(runs.QueryRow(id=case.id, metrics=values.get(case.id, {})) for case in cases)
    return runs.Row(metrics=_means(queries, plan), queries=queries)


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: int = RRF_K) -> list[str]:
    """Best first by the sum of `1 / (k + rank)`, ranks from 1; ties by name."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (k + rank)
    return sorted(scores, key=lambda name: (-scores[name], name))


def _means(queries: Sequence[runs.QueryRow], plan: Plan) -> dict[str, runs.Value]:
    """Each measure over the queries that have it, the usual ones first."""
    k = plan.depths.page
    wanted = (*names(k, plan.depths.whole), f"passages@{k}", f"facts@{k}")
    means = {}
    for name in wanted:
        values = np.array([query.metrics[name] for query in queries if name in query.metrics])
        if len(values):
            means[name] = _value(estimate(values, plan.seed))
    return means


def _differences(rows: Mapping[str, runs.Row], seed: int) -> dict[str, runs.Difference]:
    """Per measure, ours minus the leg with the higher mean, by paired bootstrap."""
    found = {}
    for name in rows[OURS].metrics:
        better = max(LEGS, key=lambda leg: rows[leg].metrics[name].mean)
        pairs = zip(rows[OURS].queries, rows[better].queries, strict=True)
        gains = np.array([a.metrics[name] - b.metrics[name] for a, b in pairs if name in a.metrics])
        found[name] = runs.Difference(over=better, **_value(estimate(gains, seed)).model_dump())
    return found


def _refusals(cases: Sequence[GoldenCase], found: Sequence[Found], seed: int) -> runs.Refused | None:
    must = [case.must_refuse for case in cases]
    if not any(must):
        return None
    told = refusals(must, [one.label is RelevanceLabel.NONE for one in found], seed)
    return runs.Refused(
        must=told.must,
        may_not=told.may_not,
        precision=told.precision,
        recall=told.recall,
        f1=told.f1,
        f1_low=told.f1_low,
        f1_high=told.f1_high,
    )


def _confidence(cases: Sequence[GoldenCase], found: Sequence[Found]) -> runs.Bins | None:
    """Only where both kinds of cases are known: with one kind alone, certainty would look calibrated."""
    kinds = {case.must_refuse for case in cases}
    if len(kinds) < 2:
        return None
    return _bins(reliability([one.confidence for one in found], [not case.must_refuse for case in cases]))


def _score(cases: Sequence[GoldenCase], found: Sequence[Found]) -> runs.Bins | None:
    """Of the first document of each case with an answer; what is not judged counts as not relevant."""
    shown = [(case, one) for case, one in zip(cases, found, strict=True) if one.ranked and not case.must_refuse]
    if not shown:
        return None
    return _bins(reliability([one.score for _, one in shown], [one.ranked[0] in case.judged() for case, one in shown]))


def _bins(found: Reliability) -> runs.Bins:
    return runs.Bins(error=found.error, bins=tuple((one.n, one.stated, one.true) for one in found.bins))


def _value(one: Estimate) -> runs.Value:
    return runs.Value(mean=one.mean, low=one.low, high=one.high, n=one.n)


def _searched(target: Target) -> runs.SearchedCorpus:
    with target.corpus.pinned() as view:
        return runs.SearchedCorpus(
            documents=target.corpus.count_documents(target.scope),
            index_version=view.index_version,
            embedder=view.embedder.name,
            lexical=view.generation.lexical,
            fitted={name: dict(stored.profile) for name, stored in view.profiles(target.scope).items()},
        )
