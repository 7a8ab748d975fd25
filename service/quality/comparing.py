"""Two runs side by side: which queries gained and lost, and whether the later run may replace the earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ingestion.errors import InvalidRequest
from service.quality.bootstrap import Estimate, estimate
from service.quality.runs import OURS, QueryRow, Run, SetRun


@dataclass(frozen=True, slots=True)
class QueryChange:
    """One query in both runs: its measure, and the titles on top of its page, best first."""

    id: str
    text: str
    before: float
    after: float
    top_before: tuple[str, ...]
    top_after: tuple[str, ...]
    relevant: tuple[str, ...]

    @property
    def gain(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class SetChange:
    """One set in both runs: `difference` of the later to the earlier per measure, over the queries of both.

    `changes` are the queries whose measure `metric` changed, the largest loss first. `only_before` and `only_after`
    count queries that one of the runs alone has.
    """

    name: str
    metric: str
    before: float
    after: float
    differences: Mapping[str, Estimate]
    changes: tuple[QueryChange, ...]
    only_before: int
    only_after: int
    rejudged: bool = False
    """The cases are not the same in both runs: some were added, taken out or judged anew."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a run must not fall below. `minimums`: measure to the least mean that passes, in every set that has it."""

    metrics: tuple[str, ...] = ()
    tolerance: float = 0.005
    minimums: Mapping[str, float] = field(default_factory=dict)

    def check(self, baseline: Run | None) -> None:
        """Raises: InvalidRequest if there is nothing that a run could fall below."""
        if baseline is None and not self.minimums:
            raise InvalidRequest("a gate needs something to compare with: --baseline RUN, --min MEASURE=VALUE, or both")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failures` say what is worse; none of them, and the gate is passed. `notes` say what was not compared."""

    failures: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures


def compare(before: Run, after: Run, metric: str, seed: int = 0) -> tuple[SetChange, ...]:
    """The sets that both runs have, in the order of the later run.

    Raises: InvalidRequest if they have no set, or a set of both no query, in common; or no run measured `metric`.
    """
    pairs = [(earlier, one) for one in after.sets if (earlier := before.set_named(one.name)) is not None]
    if not pairs:
        raise InvalidRequest(
            f"the runs have no set in common: {', '.join(one.name for one in before.sets)} "
            f"and {', '.join(one.name for one in after.sets)}"
        )
    return tuple(_compare(earlier, later, metric, seed) for earlier, later in pairs)


def judge(baseline: Run | None, run: Run, gate: Gate, seed: int = 0) -> Verdict:
    """Whether the run is no worse than the baseline and reaches every minimum.

    A measure is worse if the whole interval of its paired difference lies below `-tolerance`.
    Raises: InvalidRequest if there is nothing to compare with, or as `compare`.
    """
    gate.check(baseline)
    failures = list(_below_minimum(run, gate.minimums))
    notes: list[str] = []
    if baseline is not None:
        for change in compare(baseline, run, gate.metrics[0], seed):
            failures += _regressions(change, gate)
            if change.only_before or change.only_after:
                notes.append(
                    f"{change.name}: {change.only_before} queries of the baseline and {change.only_after} of this run "
                    "are not in the other and were not compared"
                )
            elif change.rejudged:
                notes.append(f"{change.name}: the golden set has changed since the baseline")
        for missing in (one.name for one in baseline.sets if run.set_named(one.name) is None):
            notes.append(f"{missing}: in the baseline and not in this run")
    return Verdict(tuple(failures), tuple(notes))


def _below_minimum(run: Run, minimums: Mapping[str, float]) -> Sequence[str]:
    failures = []
    for metric, least in minimums.items():
        having = [(one.name, value) for one in run.sets if (value := _mean(one, metric)) is not None]
        if not having:
            raise InvalidRequest(f"--min {metric}: no set of this run has it; there are {', '.join(_measured(run))}")
        failures += [f"{name}: {metric} {value:.4f} is below {least}" for name, value in having if value < least]
    return failures


def _measured(run: Run) -> list[str]:
    return list(dict.fromkeys([*(name for one in run.sets for name in one.rows[OURS].metrics), "refusal_f1"]))


def _mean(one: SetRun, metric: str) -> float | None:
    if metric == "refusal_f1":
        return None if one.refusals is None else one.refusals.f1
    value = one.rows[OURS].metrics.get(metric)
    return None if value is None else value.mean


def _regressions(change: SetChange, gate: Gate) -> list[str]:
    failures = []
    for metric in gate.metrics:
        if metric not in change.differences:
            raise InvalidRequest(f"{change.name}: the runs have no measure {metric} in common")
        found = change.differences[metric]
        if found.high < -gate.tolerance:
            failures.append(
                f"{change.name}: {metric} fell by {-found.mean:.4f} (95 % between {-found.high:.4f} and "
                f"{-found.low:.4f}) over {found.n} queries; {gate.tolerance} is allowed"
            )
    return failures


def _compare(before: SetRun, after: SetRun, metric: str, seed: int) -> SetChange:
    old = {query.id: query for query in before.rows[OURS].queries}
    new = {query.id: query for query in after.rows[OURS].queries}
    both = [id_ for id_ in new if id_ in old]
    if not both:
        raise InvalidRequest(f"{after.name}: the two runs have no query in common")
    measured = [name for name in after.rows[OURS].metrics if name in before.rows[OURS].metrics]
    if metric not in measured:
        raise InvalidRequest(f"{after.name}: not in both runs: {metric}; there are {', '.join(measured)}")
    differences = {}
    for name in measured:
        gains = [
            new[id_].metrics[name] - old[id_].metrics[name]
            for id_ in both
            if name in new[id_].metrics and name in old[id_].metrics
        ]
        if gains:
            differences[name] = estimate(np.array(gains), seed)
    if metric not in differences:
        raise InvalidRequest(f"{after.name}: the queries of both runs have no {metric}")
    ranked = [id_ for id_ in both if metric in new[id_].metrics and metric in old[id_].metrics]
    changes = [_change(before, after, old[id_], new[id_], metric) for id_ in ranked]
    changed = sorted((one for one in changes if one.gain), key=lambda one: (one.gain, one.id))
    return SetChange(
        name=after.name,
        metric=metric,
        before=float(np.mean([one.before for one in changes])),
        after=float(np.mean([one.after for one in changes])),
        differences=differences,
        changes=tuple(changed),
        only_before=len(old) - len(both),
        only_after=len(new) - len(both),
        rejudged=before.digest != after.digest,
    )


def _change(before: SetRun, after: SetRun, old: QueryRow, new: QueryRow, metric: str) -> QueryChange:
    question = after.questions[new.id]
    titles = {**before.titles, **after.titles}
    return QueryChange(
        id=new.id,
        text=question.text,
        before=old.metrics[metric],
        after=new.metrics[metric],
        top_before=tuple(titles.get(uri, uri) for uri in old.top),
        top_after=tuple(titles.get(uri, uri) for uri in new.top),
        relevant=tuple(titles.get(name, name) for name in question.relevant),
    )
