"""`plumbline reindex` and `generations`: another model or chunker for all that is stored, without downtime."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Table

from ingestion.corpus.corpus import open_corpus
from ingestion.errors import InvalidRequest, NotFound
from ingestion.jobs import JobState
from ingestion.rebuilding import Rebuilder, RebuildProgress, Watch
from service.api.models.generations import GenerationList, GenerationModel
from service.cli.console import EXIT_FAILED, err, out, progress, reported, settings
from service.cli.operator import audited
from service.cli.options import ApiKey, AsJson, Url
from service.cli.remote import Remote
from service.ledger.audit import SERVICE_CHAIN, Action

app = typer.Typer()

_POLL_S = 0.5
Show = Callable[[str, int, int], None]


@app.command()
def generations(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """The index that is searched, and those that are built or kept beside it."""
    with reported():
        if url:
            found = Remote(url, api_key).call("GET", "/v1/generations")
        else:
            with open_corpus(settings(quiet=True)) as corpus:
                listed = [GenerationModel.of(status) for status in Rebuilder(corpus).generations()]
            found = GenerationList(generations=listed).model_dump(mode="json")
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("generation", "state", "wanted", "missing", "embedder", "chunker")
    for one in found["generations"]:
        wanted = "yes" if one["wanted"] else ""
        table.add_row(one["name"], one["state"], wanted, str(one["missing"]), one["embedder"], one["chunker"])
    out().print(table)


@app.command()
def reindex(
    to: Annotated[str | None, typer.Option(help="Switch to this generation, as `generations` names it.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the generation before.")] = False,
    build_only: Annotated[bool, typer.Option("--build-only", help="Build it and leave it to `promote`.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Build the index that the settings ask for beside the one that is searched, and switch to it."""
    with reported():
        if to is not None and rollback:
            raise InvalidRequest("--to and --rollback exclude each other")
        if build_only and (rollback or url):
            raise InvalidRequest("--build-only builds in the data folder: without --rollback and --url")
        with progress("starting", "documents") as show:
            if build_only:
                built = _built(to, show)
            else:
                done = _by_service(Remote(url, api_key), to, rollback, show) if url else _here(to, rollback, show)
        if build_only:
            err().print(f"generation {built} is built: plumbline promote --generation {built}", highlight=False)
            return
        if done is None:
            raise typer.Exit(EXIT_FAILED)
    err().print(f"generation {done} is searched now", highlight=False)


def _built(name: str | None, show: Show) -> str:
    with (
        open_corpus(settings(quiet=True)) as corpus,
        audited(corpus.database, SERVICE_CHAIN, Action.GENERATION_BUILD, name),
    ):
        return Rebuilder(corpus).build(name, _watch(show)).generation


def _here(to: str | None, rollback: bool, show: Show) -> str | None:
    action = Action.GENERATION_SWITCH if to is not None or rollback else Action.GENERATION_BUILD
    with (
        open_corpus(settings(quiet=True)) as corpus,
        audited(corpus.database, SERVICE_CHAIN, action, "the one before" if rollback else to),
    ):
        rebuilder, watch = Rebuilder(corpus), _watch(show)
        return rebuilder.roll_back(watch) if rollback else rebuilder.rebuild(to, watch).generation


def _watch(show: Show) -> Watch:
    def tell(progress: RebuildProgress) -> None:
        show(progress.stage.value, progress.done, progress.total)

    return Watch(progress=tell)


def _by_service(remote: Remote, to: str | None, rollback: bool, show: Show) -> str | None:
    """Submit the job and wait for it. None if it did not succeed."""
    if rollback:
        to = _before(remote)
    job = remote.call("POST", "/v1/generations" if to is None else f"/v1/generations/{to}/activate")
    while not JobState(job["state"]).is_final:
        show(job["stage"] or "queued", job["done"], job["total"])
        time.sleep(_POLL_S)
        job = remote.call("GET", f"/v1/jobs/{job['id']}")
    if job["state"] != JobState.SUCCEEDED:
        err().print(f"the job ended {job['state']}: {job['detail'] or 'see `plumbline jobs show`'}", highlight=False)
        return None
    return next(str(one["name"]) for one in _listed(remote) if one["state"] == "active")


def _before(remote: Remote) -> str:
    kept = [one for one in _listed(remote) if one["activated_at"] and one["state"] in ("standby", "left")]
    if not kept:
        raise NotFound("no earlier generation is kept: there is nothing to go back to")
    return str(max(kept, key=lambda one: str(one["activated_at"]))["name"])


def _listed(remote: Remote) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = remote.call("GET", "/v1/generations")["generations"]
    return found
