"""`plumbline source`: say where documents come from, sync them, and prove that corpus and origin are equal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from ingestion.errors import InvalidRequest
from service.cli import adding
from service.cli.console import EXIT_FAILED, err, out, reported
from service.cli.desks import Facts, SyncState
from service.cli.options import ApiKey, AsJson, Caller, Tenant, Url

app = typer.Typer(
    name="source",
    help="Sources: folders, Git repositories, web sites and SQL tables that the corpus keeps in step with.",
    no_args_is_help=True,
)
app.add_typer(adding.app)

Id = Annotated[str, typer.Argument(help="Name of the source.")]

_HEALTH_STYLES = {"ok": "green", "never_synced": "dim", "failing": "red", "stalled": "red", "paused": "yellow"}


@app.command("list")
def list_sources(tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """All sources with how they are."""
    with reported():
        found = Caller(tenant, url, api_key).desk().list()
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        err().print("no sources yet: `plumbline source add folder NAME PATH` adds one")
        return
    table = Table(Column("name", no_wrap=True), "kind", "where", "health", "documents", "last synced", "next")
    for source in found:
        health = source["health"]
        table.add_row(
            source["id"],
            source["origin"]["kind"],
            escape(_place(source["origin"])),
            f"[{_HEALTH_STYLES[health]}]{health}[/{_HEALTH_STYLES[health]}]",
            str(source["counts"].get("seen", "")),
            _moment(source["succeeded_at"]) or "never",
            _moment(source["due_at"]) or "on demand",
        )
    out().print(table)


@app.command()
def show(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """One source: its definition, how its last sync went, and why it failed if it did."""
    with reported():
        source = Caller(tenant, url, api_key).desk().get(id_)
    if as_json:
        typer.echo(json.dumps(source))
        return
    table = Table(show_header=False)
    for name, value in source.items():
        if value not in (None, [], {}):
            shown = ", ".join(f"{k} {v}" for k, v in value.items() if v) if isinstance(value, dict) else str(value)
            table.add_row(name, escape(shown))
    out().print(table)


@app.command()
def sync(
    ids: Annotated[list[str] | None, typer.Argument(help="Names of the sources.")] = None,
    every_one: Annotated[bool, typer.Option("--all", help="All sources, one after the other.")] = False,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Bring the corpus in step: new, changed and deleted documents. Exit code 1 if documents or a source failed."""
    with reported():
        desk = Caller(tenant, url, api_key).desk()
        chosen = [source["id"] for source in desk.list()] if every_one else ids or []
        if not chosen:
            raise InvalidRequest("name a source, or give --all")
        ended: dict[str, SyncState] = {}
        for id_ in chosen:
            with _progress(err(), id_) as moved:
                ended[id_] = desk.sync(id_, moved)
            if not as_json:
                _print_end(id_, ended[id_])
    if as_json:
        told = {
            id_: {"state": state.ended, "documents": state.done, **state.counts, "detail": state.detail}
            for id_, state in ended.items()
        }
        typer.echo(json.dumps(told))
    if any(state.ended != "succeeded" for state in ended.values()):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def reconcile(
    id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Compare origin, catalogue and index, document by document. Exit code 1 if they differ."""
    with reported():
        found = Caller(tenant, url, api_key).desk().reconcile(id_)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _print_reconciliation(id_, found)
    if not found["equal"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def pause(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None) -> None:
    """No more syncs by schedule or watch; its documents stay."""
    with reported():
        Caller(tenant, url, api_key).desk().set_paused(id_, True)
    err().print(f"{id_} is paused", highlight=False)


@app.command()
def resume(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None) -> None:
    """Take back a pause."""
    with reported():
        Caller(tenant, url, api_key).desk().set_paused(id_, False)
    err().print(f"{id_} is synced by its schedule again", highlight=False)


@app.command()
def retry(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None) -> None:
    """Let quarantined documents out, so that the next sync tries them again."""
    with reported():
        number = Caller(tenant, url, api_key).desk().retry(id_)
    err().print(f"{number} documents of {id_} are tried again by the next sync", highlight=False)


@app.command()
def remove(
    id_: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Remove a source with all of its documents from the corpus. What is at the origin stays as it is."""
    with reported():
        desk = Caller(tenant, url, api_key).desk()
        if not yes:
            documents = desk.get(id_)["counts"].get("seen", 0)
            typer.confirm(f"Remove {id_} with its documents (about {documents})?", abort=True, err=True)
        desk.remove(id_)
    err().print(f"{id_} is removed", highlight=False)


def _place(origin: Facts) -> str:
    match origin["kind"]:
        case "folder":
            return str(origin["path"])
        case "sql":
            return f"{origin['database']}: {origin['table'] or 'query'}"
        case _:
            return str(origin["url"])


def _moment(text: str | None) -> str | None:
    return None if text is None else text[:16].replace("T", " ")


class _Moved:
    """Shows how a sync goes."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, state: SyncState) -> None:
        self._progress.update(self._task, completed=state.done, total=state.total, counts=_counted(state.counts))


@contextmanager
def _progress(console: Console, id_: str) -> Iterator[_Moved]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} documents"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[counts]}[/dim]"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Moved(progress, progress.add_task(id_, total=None, counts=""))


def _counted(counts: Any) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing"


def _print_end(id_: str, state: SyncState) -> None:
    style = "green" if state.ended == "succeeded" else "red"
    line = f"{id_}: [{style}]{state.ended}[/{style}], {state.done} documents: {_counted(state.counts)}"
    err().print(line, highlight=False)
    if state.detail:
        err().print(f"  {escape(state.detail)}", highlight=False, soft_wrap=True)


def _print_reconciliation(id_: str, found: Facts) -> None:
    console = out()
    if found["equal"]:
        console.print(f"[green]equal[/green]: {found['documents']} documents of {id_}, origin, catalogue and index")
        return
    console.print(f"[red]not equal[/red]: {found['documents']} documents at the origin of {id_}", highlight=False)
    for name in ("missing", "stale", "orphaned", "failed", "quarantined"):
        if found[name]["count"]:
            ids = ", ".join(found[name]["ids"][:5])
            console.print(f"  {found[name]['count']} {name}: {escape(ids)}", highlight=False, soft_wrap=True)
    if found["index_differs"]:
        console.print(f"  {found['index_differs']} chunks that catalogue and index do not both have", highlight=False)
    if found["oldest_unsynced_s"] is not None:
        console.print(f"  the oldest of these changes is {found['oldest_unsynced_s']:.0f} s old", highlight=False)
    if not found["complete"]:
        console.print("  not everything at the origin could be looked at", highlight=False)
