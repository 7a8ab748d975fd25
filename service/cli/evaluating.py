"""`plumbline eval`: how good retrieval and answers are on golden sets, what changed since, and a gate for releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Annotated

import typer
from rich.table import Table

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import ConfigurationError, InvalidRequest
from service.cli.console import EXIT_FAILED, err, out, progress, reported, settings
from service.cli.golden import tell_unreviewed
from service.cli.options import InCollections, Tenant
from service.quality.comparing import SetChange, compare
from service.quality.evaluating import Plan
from service.quality.measures import ANSWER_MEASURES
from service.quality.reporting import TITLES, diff_report, interval, number, report, told_of, verdict_lines
from service.quality.runs import Answers, Run, Value, load_run, save_run
from service.quality.searching import Depths
from service.quality.significance import ALPHA
from service.quality.splits import Part, Split
from service.quality.verdicts import Gate, Verdict, judge
from service.retrieval.query import MAX_LIMIT, SearchMode
from service.settings import Policy

app = typer.Typer()

WORK = Path(".plumbline/evaluation")
_CHANGES_SHOWN = 5
_SHORT = 60


Golden = Annotated[
    list[Path] | None,
    typer.Argument(metavar="GOLDEN|FOLDER", help="Golden files (JSON Lines), or judged collections as in BEIR."),
]
Policies = Annotated[Policy | None, typer.Option(help="With --answers: what becomes of unsupported sentences.")]
GateOn = Annotated[
    list[str] | None,
    typer.Option("--gate-on", help="Measure that may not fall; if none is named ndcg@K and those of answers."),
]
Tolerances = Annotated[
    list[str] | None, typer.Option(help="`measure=value`: how far it may fall; a value alone is for all measures.")
]
Alpha = Annotated[float, typer.Option(min=1e-6, max=0.5, help="Share of gates that chance alone may fail.")]
Diff = Annotated[
    tuple[Path, Path] | None, typer.Option(help="Compare two stored runs, the earlier first, and do no more.")
]


@app.command("eval")
def evaluate(
    golden: Golden = None,
    collection: InCollections = None,
    mode: Annotated[SearchMode, typer.Option(help="What `ours` is.")] = SearchMode.HYBRID,
    k: Annotated[int, typer.Option("--k", min=1, max=MAX_LIMIT, help="Documents of a page.")] = 10,
    depth: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="Documents ranked in all.")] = 100,
    limit_queries: Annotated[int | None, typer.Option(min=1, help="Ask no more queries of a set than this.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="For the sample and the intervals.")] = 0,
    split: Annotated[Part | None, typer.Option(help="Only this part of each set.")] = None,
    folds: Annotated[int, typer.Option(help="Parts that --split cuts a set into.")] = 5,
    fold: Annotated[int, typer.Option(help="Which of them is the test part, from 0.")] = 0,
    answers: Annotated[
        bool, typer.Option("--answers", help="Ask the questions, too, and measure the answers.")
    ] = False,
    repeat: Annotated[int, typer.Option(min=1, help="With --answers: ask each question so many times.")] = 1,
    policy: Policies = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the run here (`.gz`: compressed).")] = None,
    report_path: Annotated[Path | None, typer.Option("--report", help="Write a Markdown report here.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Compare with this stored run.")] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 if it is worse than it may be.")] = False,
    gate_on: GateOn = None,
    tolerance: Tolerances = None,
    alpha: Alpha = ALPHA,
    least: Annotated[list[str] | None, typer.Option("--min", help="`measure=value` that must be reached.")] = None,
    diff: Diff = None,
    work: Annotated[Path, typer.Option(help="Folder of the corpora built from collections.")] = WORK,
    tenant: Tenant = "default",
) -> None:
    """Measure retrieval: ours beside BM25 alone and dense alone, with intervals. With --answers also answers."""
    with reported():
        metric = next(iter(gate_on or ()), f"ndcg@{min(k, depth)}")
        if diff is not None:
            _show_changes(compare(load_run(diff[0]), load_run(diff[1]), metric, seed), report_path)
            return
        part = None if split is None else Split(split, folds, fold)
        plan = Plan(mode, Depths(page=min(k, depth), whole=depth), seed, limit_queries, part)
        earlier = None if baseline is None else load_run(baseline)
        limits = _limits(gate_on, tolerance or (), least or (), alpha)
        if gate:
            limits.check(earlier)
        from service.quality.answering.asking import AnswerPlan  # the whole of retrieval and generation: not for all
        from service.quality.session import Session

        asked = AnswerPlan(repeat, policy) if answers else None
        session = Session(settings(quiet=True), plan, Scope(TenantId(tenant)), work, tuple(collection or ()), asked)
        with progress("reading") as tell:
            run = session.run(golden or [], tell)
        if json_path is not None:
            save_run(run, json_path)
        _show(run, golden or ())
        changes = () if earlier is None else _changes(earlier, run, metric, seed)
        _show_changes(changes)
        verdict = judge(earlier, run, limits, seed) if gate else None
        if report_path is not None:
            _write(report_path, report(run, changes, verdict))
    _end(verdict)


def _changes(earlier: Run, run: Run, metric: str, seed: int) -> Sequence[SetChange]:
    """What changed in the retrieval of the sets; nothing where only answers are looked at."""
    return () if metric in ANSWER_MEASURES else compare(earlier, run, metric, seed)


def _end(verdict: Verdict | None) -> None:
    """Tell how the gate ended, if there was one, and exit with 1 if it was not passed."""
    if verdict is None:
        return
    for line in verdict_lines(verdict):
        err().print(line, highlight=False, soft_wrap=True, markup=False)
    err().print(f"gate: {'passed' if verdict.passed else 'not passed'}")
    if not verdict.passed:
        raise typer.Exit(EXIT_FAILED)


def _limits(gate_on: Sequence[str] | None, tolerances: Sequence[str], minimums: Sequence[str], alpha: float) -> Gate:
    """Raises: InvalidRequest for what is not of the form measure=value."""
    general = [_number("--tolerance", one, one) for one in tolerances if "=" not in one]
    named = _named("--tolerance", [one for one in tolerances if "=" in one])
    if any(value < 0 for value in (*general, *named.values())):
        raise InvalidRequest("--tolerance is how far a measure may fall: 0 or more")
    return Gate(
        metrics=tuple(gate_on) if gate_on else None,
        tolerance=general[-1] if general else None,
        tolerances=named,
        minimums=_named("--min", minimums),
        alpha=alpha,
    )


def _named(option: str, given: Sequence[str]) -> Mapping[str, float]:
    found = {}
    for one in given:
        measure, _, value = one.partition("=")
        found[measure] = _number(option, one, value if measure else "")
    return found


def _number(option: str, given: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise InvalidRequest(f"{option} {given!r} is not of the form measure=value") from error


def _show(run: Run, paths: Sequence[Path]) -> None:
    tell_unreviewed(paths)
    for one in run.sets:
        table = Table("", *TITLES.values(), "ours - better leg", title=one.name, title_justify="left")
        for measure, gain in one.differences.items():
            cells = (_cell(row.metrics.get(measure)) for row in one.rows.values())
            table.add_row(measure, *cells, f"{gain.mean:+.3f}\n{gain.low:+.3f} {gain.high:+.3f}")
        if one.differences:
            out().print(table)
        if one.refusals is not None:
            told = one.refusals
            out().print(
                f"must be refused, {told.must} of {told.must + told.may_not}: precision {told.precision:.3f}, recall "
                f"{told.recall:.3f}, F1 {told.f1:.3f} ({told.f1_low:.3f}-{told.f1_high:.3f})",
                highlight=False,
            )
        for what, bins in (("confidence", one.confidence), ("score of the first document", one.score)):
            if bins is not None:
                out().print(f"expected calibration error of the {what}: {bins.error:.3f}", highlight=False)
        if one.answers is not None:
            _show_answers(one.name, one.answers)


def _show_answers(name: str, answers: Answers) -> None:
    table = Table("", "mean", "95 %", "cases", title=f"{name}: {told_of(answers)}", title_justify="left")
    for measure, value in answers.metrics.items():
        table.add_row(measure, number(measure, value.mean), interval(measure, value), str(value.n))
    out().print(table, markup=False)
    for line in answers.not_measured:
        out().print(f"not measured: {line}", highlight=False, soft_wrap=True)


def _cell(value: Value | None) -> str:
    """The mean over its interval, narrow enough for four of them beside each other on a terminal."""
    if value is None:
        return ""
    low, high = (f"{bound:.3f}".removeprefix("0")[:4] for bound in (value.low, value.high))
    return f"{value.mean:.3f}\n{low}-{high}"


def _show_changes(changes: Sequence[SetChange], path: Path | None = None) -> None:
    for change in changes:
        table = Table("", "before", "after", "query", "on top before", "on top after")
        found = change.differences[change.metric]
        table.title = (
            f"{change.name}: {change.metric} {change.before:.4f} → {change.after:.4f}, difference {found.mean:+.4f} "
            f"({found.low:+.4f} to {found.high:+.4f}) over {found.n} queries, {len(change.changes)} of them changed"
        )
        lost = [one for one in change.changes if one.gain < 0][:_CHANGES_SHOWN]
        gained = [one for one in reversed(change.changes) if one.gain > 0][:_CHANGES_SHOWN]
        for one in (*lost, *gained):
            tops = (_short(top[0] if top else "nothing") for top in (one.top_before, one.top_after))
            table.add_row(f"{one.gain:+.3f}", f"{one.before:.3f}", f"{one.after:.3f}", _short(one.text), *tops)
        out().print(table, markup=False)
    if path is not None:
        _write(path, diff_report(changes))


def _short(text: str) -> str:
    return shorten(text, _SHORT, placeholder=" …")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: the report cannot be written: {error.strerror}") from error
