"""`plumbline audit`: list, export and verify the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.markup import escape
from rich.table import Column, Table

from ingestion.corpus.database import open_database
from ingestion.errors import InvalidRequest
from service.cli.console import EXIT_FAILED, err, out, reported, settings
from service.cli.options import ApiKey, AsJson, Url
from service.cli.remote import Remote
from service.ledger.audit import SERVICE_CHAIN, Audit
from service.ledger.chain import Head, Verdict, read_lines, verify
from service.ledger.database import migrate_ledger

app = typer.Typer(help="Who did what: list, export and verify the audit log.", no_args_is_help=True)

Chain = Annotated[
    str, typer.Option("--tenant", help=f"Tenant whose chain it is; `{SERVICE_CHAIN}`: what all tenants share.")
]
_PAGE = 1000


class Format(StrEnum):
    JSONL = "jsonl"


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(help="Entries to show.", min=1, max=10_000)] = 30,
    tenant: Chain = "default",
    as_json: AsJson = False,
) -> None:
    """The newest entries of a chain, newest first."""
    with reported(), _audit() as audit:
        found = audit.last(tenant, limit)
    if as_json:
        typer.echo(json.dumps([entry.facts() for entry in found]))
        return
    if not found:
        err().print(f"the chain of {tenant} has no entries", highlight=False)
        return
    table = Table(Column("n", justify="right"), Column("at", no_wrap=True), "who", "action", "subject", "detail")
    for entry in found:
        detail = json.dumps(entry.detail, ensure_ascii=False)
        shown = detail if len(detail) <= 120 else f"{detail[:119]}…"
        table.add_row(
            str(entry.n), entry.at[:19] + "Z", *map(escape, (entry.actor, entry.action, entry.subject or "", shown))
        )
    out().print(table)


@app.command()
def heads(as_json: AsJson = False) -> None:
    """The last entry of every chain: note them elsewhere, and `verify --head` shows whether a tail was cut."""
    with reported(), _audit() as audit:
        found = audit.heads()
    if as_json:
        typer.echo(json.dumps({tenant: {"n": head.n, "hash": head.hash} for tenant, head in found.items()}))
        return
    for tenant, head in found.items():
        typer.echo(f"{tenant} {head.n}:{head.hash}")


@app.command()
def export(
    since: Annotated[datetime | None, typer.Option(help="From this time on, UTC.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="One JSON object a line.")] = Format.JSONL,
    tenant: Chain = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """A chain as a file on standard output; `verify FILE` needs nothing but it."""
    assert format_ is Format.JSONL
    begin = None if since is None else since.replace(tzinfo=since.tzinfo or UTC)
    with reported():
        if url:
            for entry in _distant(Remote(url, api_key), begin):
                typer.echo(json.dumps(entry))
            return
        with _audit() as audit:
            for found in audit.chain(tenant, begin):
                typer.echo(json.dumps(found.facts()))


@app.command("verify")
def verify_chain(
    file: Annotated[Path | None, typer.Argument(help="An exported chain; the stored one if not given.")] = None,
    head: Annotated[
        str | None, typer.Option(help="HASH or N:HASH, noted earlier in another place: it must be in the chain.")
    ] = None,
    tenant: Chain = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Check every hash of a chain. Exit code 1 at the first entry that does not fit."""
    with reported():
        noted = None if head is None else Head.parse(head)
        if file is None:
            with _audit() as audit:
                verdict = _stored(audit, tenant, noted)
        else:
            try:
                with file.open("rb") as lines:
                    verdict = verify(read_lines(lines), head=noted, whole=False)
            except OSError as error:
                raise InvalidRequest(f"{file} can't be read: {error.strerror}") from error
    _show(verdict, as_json)
    if not verdict.holds:
        raise typer.Exit(EXIT_FAILED)


def _stored(audit: Audit, tenant: str, noted: Head | None) -> Verdict:
    """The verdict on a stored chain, which must reach to the head that is stored beside it."""
    kept = audit.heads().get(tenant)
    verdict = verify(audit.chain(tenant), head=noted)
    if not verdict.holds or kept is None or kept.n is None:
        return verdict
    last = verdict.last
    if last is None or (last.n or 0) < kept.n or (last.n == kept.n and last.hash != kept.hash):
        return replace(verdict, fault=f"it does not end with the head that is stored beside it, entry {kept.n}")
    return verdict


def _show(verdict: Verdict, as_json: bool) -> None:
    last = verdict.last
    if as_json:
        told = {"n": last.n, "hash": last.hash} if last else None
        facts = {"holds": verdict.holds, "entries": verdict.entries, "first": verdict.first, "last": told}
        typer.echo(json.dumps({**facts, "fault": verdict.fault, "at": verdict.at}))
        return
    if verdict.holds and last is None:
        out().print("the chain has no entries")
    elif verdict.holds and last is not None:
        out().print(f"entries {verdict.first} to {last.n} fit together; head:", highlight=False)
        typer.echo(f"{last.n}:{last.hash}")
    else:
        where = "the chain" if verdict.at is None else f"entry {verdict.at}"
        err().print(f"[red]{where} does not fit[/red]: {escape(verdict.fault or '')}", highlight=False, soft_wrap=True)


def _distant(remote: Remote, since: datetime | None) -> Iterator[dict[str, Any]]:
    """The entries of the tenant of the key, page by page."""
    cursor: str | None = None
    while True:
        asked = {"limit": _PAGE, "cursor": cursor, "since": None if since is None else since.isoformat()}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        page = remote.call("GET", f"/v1/audit?{query}")
        yield from page["entries"]
        if (cursor := page["next_cursor"]) is None:
            return


@contextmanager
def _audit() -> Iterator[Audit]:
    loaded = settings(quiet=True)
    database = open_database(loaded)
    try:
        migrate_ledger(database)
        yield Audit(database, loaded.audit)
    finally:
        database.dispose()
