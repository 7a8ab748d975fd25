"""Whether a run may replace its baseline: every gated measure of every set compared case by case, and the verdict.

How a fall is told from chance is up to `significance`, what a measure may lose by default to `measures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ingestion.errors import InvalidRequest
from service.quality.bootstrap import Estimate, estimate
from service.quality.measures import ANSWER_MEASURES, Measure, measure_named
from service.quality.runs import OURS, AnswerRow, QueryRow, Run, SetRun
from service.quality.significance import ALPHA, Chance, chance_of, least_cases, level_of

WORST = 5
LEAST = 3
"""Cases of a measure below which it is not judged."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a run must not fall below.

    `metrics` may not fall; None: nDCG of the page, and every measure of answers that the baseline has and that has a
    tolerance. `tolerance` is that of all measures, `tolerances` are those of some; unset: see `measures`. `minimums`:
    measure to the least mean that passes, in every set that has it. `alpha`: how often chance alone may fail a gate.
    """

    metrics: tuple[str, ...] | None = None
    tolerance: float | None = None
    tolerances: Mapping[str, float] = field(default_factory=dict)
    minimums: Mapping[str, float] = field(default_factory=dict)
    alpha: float = ALPHA

    def check(self, baseline: Run | None) -> None:
        """Raises: InvalidRequest if there is nothing that a run could fall below."""
        if baseline is None and not self.minimums:
            raise InvalidRequest("a gate needs something to compare with: --baseline RUN, --min MEASURE=VALUE, or both")

    def allowed(self, measure: str) -> float | None:
        """The tolerance of a measure, a share of the mean if it is relative; None if it is not gated."""
        default = measure_named(measure).tolerance
        named = self.metrics is not None and measure in self.metrics
        general = self.tolerance if default is not None or named else None
        return next((one for one in (self.tolerances.get(measure), general, default) if one is not None), None)


@dataclass(frozen=True, slots=True)
class CaseFall:
    """A case that is worse than it was; `wrong` says what is the matter with its answer, where it has one."""

    id: str
    text: str
    before: float
    after: float
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One measure of one set in both runs, over the cases of both; `difference` is the later minus the earlier.

    It fell if `chance.p` is at most `level`, or if each and `every` case of at least three is worse: so small sets,
    which cannot reach the level, are not beyond failing. `worst` are the cases that lost most, the worst first.
    """

    set: str
    measure: str
    before: float
    after: float
    difference: Estimate
    tolerance: float
    chance: Chance
    level: float
    every: bool
    worst: tuple[CaseFall, ...]

    @property
    def fell(self) -> bool:
        return self.chance.p <= self.level or (self.every and self.difference.n >= LEAST)

    def __str__(self) -> str:
        higher = measure_named(self.measure).higher_is_better
        found, sign = self.difference, -1 if higher else 1
        bounds = sorted((sign * found.low, sign * found.high), reverse=True)
        return (
            f"{self.set}: {self.measure} {'fell' if higher else 'rose'} by {sign * found.mean:.4f} (95 % between "
            f"{bounds[1]:.4f} and {bounds[0]:.4f}) over {found.n} queries, {self.before:.4f} → {self.after:.4f}; "
            f"{self.tolerance:g} is allowed (p {self.chance.p:.2g}, level {self.level:.2g})"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failures` say what is worse; none of them, and the gate is passed. `notes` say what was not compared.

    `checks` are all comparisons that were made.
    """

    failures: tuple[str, ...]
    notes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def fallen(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.fell)


def judge(baseline: Run | None, run: Run, gate: Gate, seed: int = 0) -> Verdict:
    """Whether the run is no worse than the baseline and reaches every minimum.

    A set or measure of the baseline that the run lacks is a failure: what is not measured cannot be said to be no
    worse, and a gate that lets it pass is opened by measuring less.
    Raises: InvalidRequest if there is nothing to compare with, no set or no query of a set in common, or a named
        measure in neither run.
    """
    gate.check(baseline)
    failures = list(_below_minimum(run, gate.minimums))
    if baseline is None:
        return Verdict(tuple(failures))
    pairs = [(one, later) for one in baseline.sets if (later := run.set_named(one.name)) is not None]
    if not pairs:
        raise InvalidRequest(
            f"the runs have no set in common: {', '.join(one.name for one in baseline.sets)} "
            f"and {', '.join(one.name for one in run.sets)}"
        )
    _check_named(gate, pairs)
    failures += [
        f"{one.name}: in the baseline and not in this run" for one in baseline.sets if run.set_named(one.name) is None
    ]
    checks: list[Check] = []
    notes: list[str] = []
    for before, after in pairs:
        notes += _differing(before, after)
        for measure in _gated(gate, baseline, before, after):
            found = _compare(before, after, measure, gate, seed)
            if isinstance(found, Check):
                checks.append(found)
            else:
                failures.append(found)
    level = level_of([check.chance for check in checks], gate.alpha)
    checks = [replace(check, level=level) for check in checks]
    failures += [str(check) for check in checks if check.fell]
    strangers = [one.name for one in run.sets if baseline.set_named(one.name) is None]
    notes += [f"{name}: not in the baseline, and not compared" for name in strangers]
    return Verdict(tuple(failures), (*notes, *_too_small(checks, gate.alpha)), tuple(checks))


def _below_minimum(run: Run, minimums: Mapping[str, float]) -> Sequence[str]:
    failures = []
    for metric, least in minimums.items():
        having = [(one.name, value) for one in run.sets if (value := _mean(one, metric)) is not None]
        if not having:
            raise InvalidRequest(f"--min {metric}: no set of this run has it; there are {', '.join(_measured(run))}")
        failures += [f"{name}: {metric} {value:.4f} is below {least}" for name, value in having if value < least]
    return failures


def _measured(run: Run) -> list[str]:
    named = [*(name for one in run.sets for name in one.rows[OURS].metrics), "refusal_f1"]
    return list(dict.fromkeys([*named, *(name for one in run.sets if one.answers for name in one.answers.metrics)]))


def _mean(one: SetRun, metric: str) -> float | None:
    if metric == "refusal_f1":
        return None if one.refusals is None else one.refusals.f1
    answers = one.answers.metrics if one.answers else {}
    value = one.rows[OURS].metrics.get(metric) or answers.get(metric)
    return None if value is None else value.mean


def _check_named(gate: Gate, pairs: Sequence[tuple[SetRun, SetRun]]) -> None:
    """Raises: InvalidRequest for a named measure that no set has in either run."""
    for measure in (*(gate.metrics or ()), *gate.tolerances):
        if not any(_rows(one, measure) for pair in pairs for one in pair):
            names = ", ".join(one.name for one, _ in pairs)
            raise InvalidRequest(f"{names}: the runs have no measure {measure} in common")


def _gated(gate: Gate, baseline: Run, before: SetRun, after: SetRun) -> list[str]:
    """The measures of the set that may not fall, the usual ones first."""
    if gate.metrics is not None:
        return [name for name in gate.metrics if _rows(before, name) or _rows(after, name)]
    named = dict.fromkeys([f"ndcg@{baseline.options.k}", *ANSWER_MEASURES, *gate.tolerances])
    return [name for name in named if _rows(before, name) and gate.allowed(name) is not None]


def _compare(before: SetRun, after: SetRun, name: str, gate: Gate, seed: int) -> Check | str:
    """The comparison of one measure, or why there is none. Raises: InvalidRequest if the sets have no query alike."""
    if not before.questions.keys() & after.questions.keys():
        raise InvalidRequest(f"{after.name}: the two runs have no query in common")
    old, new = _rows(before, name), _rows(after, name)
    if not new:
        hint = ": run it with --answers" if name in ANSWER_MEASURES and after.answers is None else ""
        return f"{after.name}: {name} was measured in the baseline and not in this run{hint}"
    if not old:
        return f"{after.name}: {name} was not measured in the baseline: make a new one"
    both = [id_ for id_ in new if id_ in old]
    if not both:
        return f"{after.name}: no case has {name} in both runs"
    measure = measure_named(name)
    earlier, later = (np.array([rows[id_].metrics[name] for id_ in both]) for rows in (old, new))
    gains = np.round((later - earlier) * (1 if measure.higher_is_better else -1), 6)
    tolerance = _tolerance(gate, name, measure, float(earlier.mean()))
    order = sorted(range(len(both)), key=lambda at: (gains[at], both[at]))
    return Check(
        set=after.name,
        measure=name,
        before=float(earlier.mean()),
        after=float(later.mean()),
        difference=estimate(later - earlier, seed),
        tolerance=tolerance,
        chance=chance_of(gains, tolerance, seed),
        level=0.0,
        every=bool((gains < -tolerance).all()),
        worst=tuple(_fall(after, new[both[at]], earlier[at], name) for at in order[:WORST] if gains[at] < 0),
    )


def _tolerance(gate: Gate, name: str, measure: Measure, mean: float) -> float:
    allowed = gate.allowed(name) or 0.0
    return allowed * mean if measure.relative else allowed


def _fall(after: SetRun, row: QueryRow | AnswerRow, before: float, name: str) -> CaseFall:
    wrong = row.wrong if isinstance(row, AnswerRow) else ()
    return CaseFall(row.id, after.questions[row.id].text, float(before), float(row.metrics[name]), wrong)


def _rows(one: SetRun, name: str) -> dict[str, QueryRow | AnswerRow]:
    """The rows that have the measure, by case."""
    answers: Sequence[QueryRow | AnswerRow] = one.answers.cases if one.answers else ()
    rows = answers if name in ANSWER_MEASURES else one.rows[OURS].queries
    return {row.id: row for row in rows if name in row.metrics}


def _differing(before: SetRun, after: SetRun) -> Iterator[str]:
    """In what the two runs of a set are not alike."""
    gone = len(before.questions.keys() - after.questions.keys())
    new = len(after.questions.keys() - before.questions.keys())
    if gone or new:
        yield (
            f"{after.name}: {gone} queries of the baseline and {new} of this run are not in the other and were not "
            "compared"
        )
    elif before.digest != after.digest:
        yield f"{after.name}: the golden set has changed since the baseline"
    if before.answers is not None and after.answers is not None:
        for what in ("policy", "repeat"):
            one, other = getattr(before.answers, what), getattr(after.answers, what)
            if one != other:
                yield f"{after.name}: answers had {what} {one} in the baseline and {other} in this run"


def _too_small(checks: Sequence[Check], alpha: float) -> Iterator[str]:
    """Measures over so few cases that no test can tell a fall from chance."""
    for name in dict.fromkeys(check.set for check in checks):
        own = [check for check in checks if check.set == name and check.difference.n < least_cases(alpha)]
        told = [f"{check.measure} ({check.difference.n})" for check in own if check.difference.n >= LEAST]
        if told:
            yield f"{name}: so few cases that only a fall of every one of them fails: {', '.join(told)}"
        if told := [check.measure for check in own if check.difference.n < LEAST]:
            yield f"{name}: fewer than {LEAST} cases, and not judged: {', '.join(told)}"
