"""`plumbline source`: say where documents come from, sync them, and prove that corpus and origin are equal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from ingestion.errors import InvalidRequest
from service.cli import adding
from service.cli.console import EXIT_FAILED, err, out, reported
from service.cli.desks import Desk, Facts, SyncState
from service.cli.options import ApiKey, AsJson, Caller, Tenant, Url
from service.cli.showing import progress_of, show_end, show_list, show_reconciliation, show_source

app = typer.Typer(
    name="source",
    help="Sources: folders, Git repositories, web sites and SQL tables that the corpus keeps in step with.",
    no_args_is_help=True,
)
app.add_typer(adding.app)

Id = Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.")]


@app.command("list")
def list_sources(tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """All sources: health, documents, last and next sync, and why one failed."""
    with reported():
        found = Caller(tenant, url, api_key).desk().list()
    if as_json:
        typer.echo(json.dumps(found))
    elif found:
        show_list(out(), found, datetime.now(UTC))
    else:
        err().print("no sources yet; add one: plumbline source add folder NAME PATH", highlight=False)


@app.command()
def show(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """One source: its definition, how its last sync went, and why it failed if it did."""
    with reported():
        source = Caller(tenant, url, api_key).desk().get(id_)
    if as_json:
        typer.echo(json.dumps(source))
    else:
        show_source(out(), source, datetime.now(UTC))


@app.command()
def sync(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of the sources.")] = None,
    every_one: Annotated[bool, typer.Option("--all", help="All sources, one after the other.")] = False,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Bring the corpus in step: new, changed and deleted documents. Exit code 1 if a document or a source failed."""
    with reported():
        desk = Caller(tenant, url, api_key).desk()
        ended: dict[str, SyncState] = {}
        for id_ in _chosen(desk, ids or [], every_one):
            with progress_of(err(), id_) as moved:
                ended[id_] = desk.sync(id_, moved)
            if not as_json:
                show_end(err(), id_, ended[id_])
    if as_json:
        typer.echo(json.dumps({id_: _told(state) for id_, state in ended.items()}))
    if any(state.ended != "succeeded" for state in ended.values()):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def reconcile(
    id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Compare origin, catalogue and index, document by document; changes nothing. Exit code 1 if they differ."""
    with reported(), err().status(f"comparing {id_} with its origin"):
        found = Caller(tenant, url, api_key).desk().reconcile(id_)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        show_reconciliation(out(), id_, found)
    if not found["equal"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def pause(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None) -> None:
    """No more syncs by schedule or watch; its documents stay."""
    with reported():
        Caller(tenant, url, api_key).desk().set_paused(id_, True)
    err().print(f"{id_} is paused: it is synced on demand only", highlight=False)


@app.command()
def resume(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None) -> None:
    """Take back a pause."""
    with reported():
        source = Caller(tenant, url, api_key).desk().set_paused(id_, False)
    err().print(f"{id_} is no longer paused: {adding.how_synced(source)}", highlight=False)


@app.command()
def retry(id_: Id, tenant: Tenant = "default", url: Url = None, api_key: ApiKey = None) -> None:
    """Let quarantined documents out, so that the next sync tries them again."""
    with reported():
        number = Caller(tenant, url, api_key).desk().retry(id_)
    if number:
        told = f"{number} quarantined document{'' if number == 1 else 's'} of {id_}: tried again by the next sync"
    else:
        told = f"nothing of {id_} is quarantined"
    err().print(told, highlight=False)


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
    err().print(f"{id_} is removed, and none of its documents can be found", highlight=False)


def _chosen(desk: Desk, ids: list[str], every_one: bool) -> list[str]:
    if every_one and ids:
        raise InvalidRequest("give names or --all, not both")
    if not every_one and not ids:
        raise InvalidRequest("name a source, or give --all")
    known = [source["id"] for source in desk.list()] if every_one else ids
    return list(dict.fromkeys(known))


def _told(state: SyncState) -> Facts:
    return {
        "state": state.ended,
        "documents": state.done,
        **state.counts,
        "detail": state.detail,
        "failures": list(state.failures),
    }
