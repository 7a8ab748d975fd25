"""Two runs side by side: which queries gained and lost. Whether that is a fall is up to `verdicts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
