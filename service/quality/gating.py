"""The gate as one call: golden sets measured with a candidate's settings, and judged against a stored baseline.

`plumbline eval --gate` and whatever promotes a candidate come through here. Keeping the baseline is up to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.corpus.scope import Scope, TenantId
from service.quality.answering.asking import AnswerPlan
from service.quality.building import Tell
from service.quality.evaluating import Plan
from service.quality.runs import Run
from service.quality.session import WORK, Opening, Session
from service.quality.verdicts import Gate, Verdict, judge
from service.runtime import open_reading
from service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What is measured, and what it may not fall below. Without `answers` only retrieval is.

    `scope` and `collections` are whose corpus is asked, and where in it.
    """

    plan: Plan = field(default_factory=Plan)
    answers: AnswerPlan | None = field(default_factory=AnswerPlan)
    gate: Gate = field(default_factory=Gate)
    scope: Scope = field(default_factory=lambda: Scope(TenantId("default")))
    collections: tuple[str, ...] = ()
    work: Path = WORK


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict on the candidate, and its run: the next baseline, once it has replaced what it was compared with.

    Without a baseline and minimums there is nothing to judge, and `verdict` is None.
    """

    verdict: Verdict | None
    run: Run


def run_gate(
    settings: ServiceSettings,
    golden: Sequence[Path],
    baseline: Run | None,
    plan: GatePlan | None = None,
    *,
    opening: Opening = open_reading,
    tell: Tell | None = None,
) -> GateResult:
    """The candidate of these settings, measured over the golden sets and judged. Blocking; starts a loop of its own.

    `opening` opens what is measured, for a candidate that differs by more than its settings, such as another
    generation of the index. Calls to models are billed as those of users are; answers are not traced, nor kept.

    Raises: InvalidRequest if there is nothing to evaluate or no set in common with the baseline; ConfigurationError
        (CorpusInUse among them), BackendUnavailable.
    """
    chosen = plan or GatePlan()
    session = Session(settings, chosen.plan, chosen.scope, chosen.work, chosen.collections, chosen.answers, opening)
    run = session.run(golden, tell or _silent)
    if baseline is None and not chosen.gate.minimums:
        return GateResult(None, run)
    return GateResult(judge(baseline, run, chosen.gate, chosen.plan.seed), run)


def _silent(doing: str, done: int, total: int) -> None:
    """Tell nobody."""
