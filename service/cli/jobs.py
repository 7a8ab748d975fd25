"""`plumbline jobs`: list, show, cancel and watch; over HTTP, or from the database beside a running service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from sqlalchemy import Engine

from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import NotFound
from ingestion.jobs import JobFilter, JobId, JobKind, JobState, JobStore
from service.cli.console import EXIT_FAILED, err, out, reported, settings
from service.cli.operator import audited
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.ledger.audit import Action

app = typer.Typer(help="List, show, cancel and watch uploads, syncs and rebuilds.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Id of the job, as `list` shows it.")]

Job = dict[str, Any]

_STYLES = {"succeeded": "green", "partial": "yellow", "failed": "red", "cancelled": "yellow", "running": "cyan"}
_WATCH_S = 0.5
_SHOWN_FAILURES = 50
_MOST = 100


@app.command("list")
def list_jobs(
    kind: Annotated[JobKind | None, typer.Option(help="Only jobs of this kind.")] = None,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only syncs of this source.")] = None,
    limit: Annotated[int, typer.Option(help="Jobs to show.", min=1, max=_MOST)] = 20,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """The newest jobs."""
    with reported(), _board(url, api_key, tenant) as board:
        found = board.list(JobFilter(kind, state, source), limit)
    if as_json:
        typer.echo(json.dumps(found))
    elif found["jobs"]:
        _show_list(out(), found["jobs"])
    else:
        err().print("no jobs")


@app.command()
def show(job: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """One job, with what failed."""
    with reported(), _board(url, api_key, tenant) as board:
        found = board.get(job)
    _told(found, as_json)


@app.command()
def cancel(
    job: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Stop a job before its next document. What is ingested stays; a job that is over stays as it ended."""
    with reported(), _board(url, api_key, tenant) as board:
        found = board.cancel(job)
    _told(found, as_json)


@app.command()
def watch(
    job: Annotated[str | None, typer.Argument(help="Id of the job; the newest one that is not over if unset.")] = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a job has come until it is over. Exit code 1 unless it succeeded."""
    with reported(), _board(url, api_key, tenant) as board:
        job = job or _under_way(board)
        with _bar(err()) as update:
            while not JobState((found := board.get(job))["state"]).is_final:
                update(found)
                time.sleep(_WATCH_S)
            update(found)
    _told(found, as_json)
    if found["state"] != JobState.SUCCEEDED:
        raise typer.Exit(EXIT_FAILED)


class _Distant:
    """The jobs of a running service."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def list(self, wanted: JobFilter, limit: int) -> dict[str, Any]:
        asked = {"kind": wanted.kind, "state": wanted.state, "source": wanted.source, "limit": limit}
        return self._remote.call(
            "GET", "/v1/jobs?" + urlencode({name: value for name, value in asked.items() if value})
        )

    def get(self, job: str) -> Job:
        return self._remote.call("GET", f"/v1/jobs/{quote(job, safe='')}")

    def cancel(self, job: str) -> Job:
        return self._remote.call("POST", f"/v1/jobs/{quote(job, safe='')}/cancel")


class _Local:
    """The jobs of a database: a cancellation is a row that whoever works on the job will see."""

    def __init__(self, database: Engine, scope: Scope) -> None:
        self._database = database
        self._store = JobStore(database)
        self._scope = scope

    def list(self, wanted: JobFilter, limit: int) -> dict[str, Any]:
        from service.api.models.jobs import JobModel, JobPage

        page = self._store.reader.list_jobs(self._scope, wanted, limit=limit)
        jobs = [JobModel.of(job) for job in page.items]
        return JobPage(jobs=jobs, next_cursor=page.next_cursor).model_dump(mode="json")

    def get(self, job: str) -> Job:
        from service.api.models.jobs import JobDetail

        return JobDetail.of(self._store.reader.get(self._scope, JobId(job))).model_dump(mode="json")

    def cancel(self, job: str) -> Job:
        self.get(job)
        with audited(self._database, self._scope.tenant, Action.JOB_CANCEL, job):
            self._store.cancel(self._scope, JobId(job))
        return self.get(job)


@contextmanager
def _board(url: str | None, key: str | None, tenant: str) -> Iterator[_Distant | _Local]:
    if url:
        yield _Distant(Remote(url, key))
        return
    database = open_database(settings(quiet=True))
    try:
        migrate_corpus(database)
        yield _Local(database, Scope(TenantId(tenant)))
    finally:
        database.dispose()


def _under_way(board: _Distant | _Local) -> str:
    for state in (JobState.RUNNING, JobState.QUEUED):
        for job in board.list(JobFilter(state=state), 1)["jobs"]:
            return str(job["id"])
    raise NotFound("no job is under way: name one (`plumbline jobs list`)")


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[Job], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[left]}[/dim]"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, left="")

        def update(job: Job) -> None:
            what = escape(f"{job['source'] or job['kind']} {job['stage'] or job['state']}")
            left = "" if job["eta_s"] is None else f"{_duration(job['eta_s'])} left"
            # A sync counts what it meets: without an estimate there is no telling how much there is.
            total = job["total"] if job["kind"] == JobKind.UPLOAD or job["eta_s"] is not None else None
            progress.update(task, description=what, completed=job["done"], total=total, left=left)

        yield update


def _told(job: Job, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(job))
    else:
        _show_job(out(), job)


def _show_list(console: Console, jobs: list[Job]) -> None:
    # As narrow as a terminal of 80 columns: what `show`, `watch` and `cancel` need is the whole id.
    table = Table(Column("id", no_wrap=True), "job", "state", "done", "took", box=None, pad_edge=False)
    for job in jobs:
        left = "" if job["eta_s"] is None else f", {_duration(job['eta_s'])} left"
        failed = f", {_failed(job)} failed" if _failed(job) else ""
        table.add_row(
            job["id"],
            escape(" ".join(filter(None, (job["kind"], job["source"])))),
            _state(job),
            f"{job['done']}/{job['total']}{failed}",
            f"{_took(job)}{left}",
        )
    console.print(table)


def _show_job(console: Console, job: Job) -> None:
    stage = f", {job['stage']}" if job["stage"] else ""
    title = f"{job['kind']} {job['source']}" if job["source"] else job["kind"]
    left = "" if job["eta_s"] is None else f", about {_duration(job['eta_s'])} left"
    console.print(f"[bold]{escape(title)}[/bold]  {job['id']}", highlight=False)
    console.print(f"{_state(job)}{stage}: {job['done']} of {job['total']}{left}", highlight=False)
    if any(job["counts"].values()):
        counts = ", ".join(f"{count} {name}" for name, count in sorted(job["counts"].items()) if count)
        console.print(counts, highlight=False)
    if job["stage_seconds"]:
        stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in sorted(job["stage_seconds"].items()))
        console.print(f"[dim]{stages}[/dim]", highlight=False)
    if job["detail"]:
        console.print(f"[yellow]{escape(job['detail'])}[/yellow]", highlight=False, soft_wrap=True)
    if job["failures"]:
        table = Table("document", "code", "what is wrong")
        for failure in job["failures"][:_SHOWN_FAILURES]:
            table.add_row(escape(failure["uri"]), failure["code"] or "", escape(failure["detail"] or ""))
        console.print(table)
        if _failed(job) > _SHOWN_FAILURES:
            console.print(f"[dim]and {_failed(job) - _SHOWN_FAILURES} more[/dim]", highlight=False)


def _failed(job: Job) -> int:
    return int(job["counts"].get("failed", 0)) + int(job["counts"].get("quarantined", 0))


def _state(job: Job) -> str:
    style = _STYLES.get(job["state"], "dim")
    return f"[{style}]{job['state']}[/{style}]"


def _took(job: Job) -> str:
    if job["started_at"] is None:
        return ""
    started = datetime.fromisoformat(job["started_at"])
    ended = datetime.now(UTC) if job["finished_at"] is None else datetime.fromisoformat(job["finished_at"])
    return _duration((ended - started).total_seconds())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
