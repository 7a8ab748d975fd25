"""`plumbline promote`: a generation, prompt or model goes live if the gate lets it pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from ingestion.rebuilding import RebuildProgress, Watch
from service.cli.console import EXIT_FAILED, err, progress, reported, settings
from service.cli.operator import operator
from service.cli.options import Tenant
from service.cli.releasing import opened_ledger
from service.ledger.releases import Release, ReleaseKind
from service.settings import ServiceSettings

if TYPE_CHECKING:
    from service.quality.building import Tell
    from service.quality.promoting import Promotion
    from service.quality.runs import Run

app = typer.Typer()


@app.command()
def promote(
    generation: Annotated[str | None, typer.Option(help="Index generation, as `generations` names it.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Version of the prompt, for instance answer@2.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the fast model, at the endpoint of the settings.")] = None,
    golden: Annotated[
        list[Path] | None, typer.Option(help="Golden file; for a prompt or model a judged collection, too. Repeat it.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Stored run of what is live; without it that is measured first.")
    ] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Measure answers for a generation, too.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Ask for each answer so many times.")] = 1,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Release it whatever the gate says; the reason is kept.")
    ] = None,
    tenant: Tenant = "default",
) -> None:
    """Measure a candidate beside what is live, and make it live if the gate lets it pass.

    Exit code 1 if it does not: then nothing has changed. A release is watched afterwards, and goes back by itself.
    """
    with reported():
        kind, value = _chosen(generation, prompt, model)
        if force is not None and not force.strip():
            raise InvalidRequest("--force needs a reason, which is kept with the release")
        if not golden and force is None:
            raise InvalidRequest("name golden files (--golden FILE): what nobody measured is not released")
        wish = _Wish(
            golden=tuple(golden or ()),
            baseline=baseline,
            repeat=repeat if answers or kind is not ReleaseKind.GENERATION else None,
            scope=Scope(TenantId(tenant)),
            force=force,
        )
        released = _promoted(settings(quiet=True), kind, value, wish)
    if released is None:
        err().print("nothing was changed")
        raise typer.Exit(EXIT_FAILED)
    _tell(released)


@dataclass(frozen=True, slots=True)
class _Wish:
    """How to measure, and what if the gate says no. `repeat` None: no answers are asked for."""

    golden: tuple[Path, ...]
    baseline: Path | None
    repeat: int | None
    scope: Scope
    force: str | None


def _promoted(loaded: ServiceSettings, kind: ReleaseKind, value: str, wish: _Wish) -> Release | None:
    """The release; None if the gate did not let it pass."""
    from service.quality.promoting import Candidate, Promotion
    from service.quality.runs import load_run

    earlier = None if wish.baseline is None else load_run(wish.baseline)
    with opened_ledger(loaded) as database:
        promotion = Promotion(loaded, database, Candidate(kind, value))
        with progress("preparing") as tell:

            def told(standing: RebuildProgress) -> None:
                tell(standing.stage.value, standing.done, standing.total)

            promotion.prepare(Watch(progress=told))
            passed = bool(wish.golden) and _passes(promotion, earlier, wish, tell)
        if not passed and wish.force is None:
            return None
        return promotion.release(operator(), None if passed else wish.force)


def _passes(promotion: Promotion, earlier: Run | None, wish: _Wish, tell: Tell) -> bool:
    """Whether the gate lets it pass; what fell is told."""
    from service.quality.answering.asking import AnswerPlan
    from service.quality.gating import GatePlan
    from service.quality.reporting import verdict_lines

    asked = None if wish.repeat is None else AnswerPlan(wish.repeat)
    verdict = promotion.weigh(wish.golden, earlier, GatePlan(answers=asked, scope=wish.scope), tell).verdict
    assert verdict is not None, "there is a baseline"
    for line in verdict_lines(verdict):
        err().print(line, highlight=False, soft_wrap=True, markup=False)
    err().print(f"gate: {'passed' if verdict.passed else 'not passed'}")
    return verdict.passed


def _chosen(generation: str | None, prompt: str | None, model: str | None) -> tuple[ReleaseKind, str]:
    given = {ReleaseKind.GENERATION: generation, ReleaseKind.PROMPT: prompt, ReleaseKind.MODEL: model}
    named = [(kind, value) for kind, value in given.items() if value]
    if len(named) != 1:
        raise InvalidRequest("name one candidate: --generation NAME, --prompt VERSION or --model NAME")
    return named[0]


def _tell(release: Release) -> None:
    before = release.previous or "what the settings say"
    err().print(f"{release.kind.value} {release.value} is live in the place of {before}", highlight=False)
    until = str(release.watch["until"])[:16].replace("T", " ")
    err().print(f"watched until {until}; back by hand: plumbline rollback {release.kind.value}", highlight=False)
