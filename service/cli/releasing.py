"""`plumbline releases` and `rollback`: what is live and since when, and the way back by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.database import migrate_corpus, open_database
from ingestion.corpus.generation_store import GenerationStore
from ingestion.errors import Conflict
from ingestion.rebuilding import Rebuilder
from service.api.models.releases import MAX_PAGE, ReleasePage, RollbackModel
from service.cli.console import err, out, reported, settings
from service.cli.operator import operator
from service.cli.options import ApiKey, AsJson, Url
from service.cli.remote import Remote
from service.ledger.database import migrate_ledger
from service.ledger.metrics import Metrics
from service.ledger.releases import ReleaseKind, Releases
from service.releasing.returning import SwitchTo, WayBack
from service.releasing.standing import standings
from service.releasing.watching import Watcher
from service.settings import ServiceSettings

app = typer.Typer()

_STYLES = {"active": "green", "rolled_back": "red", "superseded": "dim"}


@app.command("releases")
def list_releases(
    limit: Annotated[int, typer.Option(help="Releases to show.", min=1, max=MAX_PAGE)] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """What is live, since when, and why the ones before it ended."""
    with reported():
        if url:
            found = Remote(url, api_key).call("GET", "/v1/releases?" + urlencode({"limit": limit}))
        else:
            found = _listed(settings(quiet=True), limit)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        show_releases(found)


@app.command()
def rollback(
    kind: Annotated[ReleaseKind, typer.Argument(help="What to go back from.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make live again what was live before the release of that kind.

    Without --url a running service takes up a prompt or a model within seconds; a generation is switched here.
    """
    with reported():
        if url:
            found = Remote(url, api_key).call("POST", f"/v1/releases/{kind.value}/rollback")
        else:
            found = _rolled_back(settings(quiet=True), kind)
    if as_json:
        typer.echo(json.dumps(found))
        return
    release = found["release"]
    back = release["previous"] or "what the settings say"
    err().print(f"back from {kind.value} {release['value']} to {back}", highlight=False)
    if found["job_id"]:
        err().print(f"job {found['job_id']} switches: plumbline jobs watch {found['job_id']}", highlight=False)


@contextmanager
def opened_ledger(loaded: ServiceSettings) -> Iterator[Engine]:
    """The database alone, which a running service may have open, too."""
    engine = open_database(loaded)
    try:
        migrate_corpus(engine)
        migrate_ledger(engine)
        yield engine
    finally:
        engine.dispose()


def show_releases(found: dict[str, Any]) -> None:
    """What is live, then the releases, newest first."""
    console = out()
    live = Table("live", "", "since")
    for one in found["live"]:
        since = one["released_at"] or "as the settings say"
        live.add_row(one["kind"], one["value"] or "none", since[:19].replace("T", " ") if one["released_at"] else since)
    console.print(live)
    if not found["releases"]:
        return
    table = Table("release", "", "state", "from", "until", "why it ended")
    for one in found["releases"]:
        state = Text(one["state"].replace("_", " "), style=_STYLES[one["state"]])
        times = ((one[name] or "")[:19].replace("T", " ") for name in ("promoted_at", "ended_at"))
        why = one["reason"] or _watched(one)
        table.add_row(one["kind"], one["value"], state, *times, why)
    console.print(table)


def _watched(release: dict[str, Any]) -> str:
    forced = f"forced: {release['forced']}; " if release["forced"] else ""
    if release["state"] != "active" or not release["watched_until"]:
        return forced
    told = []
    for name, signal in release["signals"].items():
        since = signal["since"]
        if since is not None:
            shares = (f"{side['bad'] / side['of']:.1%}" if side["of"] else "-" for side in (signal["before"], since))
            told.append(f"{name} {' → '.join(shares)} of {since['of']}")
    return f"{forced}watched until {release['watched_until'][:19].replace('T', ' ')}; {', '.join(told)}"


def _listed(loaded: ServiceSettings, limit: int) -> dict[str, Any]:
    with opened_ledger(loaded) as engine:
        releases, generations = Releases(engine), GenerationStore(engine)
        way_back = WayBack(releases, generations, _nowhere)
        watcher = Watcher(engine, loaded.releases, way_back, Metrics())
        standing = standings(releases, generations, loaded).values()
        page = ReleasePage.of(standing, releases.list(limit=limit), watcher.figures())
        return page.model_dump(mode="json")


def _rolled_back(loaded: ServiceSettings, kind: ReleaseKind) -> dict[str, Any]:
    if kind is not ReleaseKind.GENERATION:
        with opened_ledger(loaded) as engine:
            way_back = WayBack(Releases(engine), GenerationStore(engine), _nowhere)
            return RollbackModel.of(way_back.take(kind, operator())).model_dump(mode="json")
    with open_corpus(loaded) as corpus:
        migrate_ledger(corpus.database)
        way_back = WayBack(Releases(corpus.database), corpus.generations, switching(Rebuilder(corpus)))
        return RollbackModel.of(way_back.take(kind, operator())).model_dump(mode="json")


def switching(rebuilder: Rebuilder) -> SwitchTo:
    """Switches at once, in this process."""

    def switch_to(name: str) -> None:
        rebuilder.rebuild(name)

    return switch_to


def _nowhere(name: str) -> str | None:
    raise Conflict(f"generation {name} can't be switched to without its index")
