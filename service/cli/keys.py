"""`plumbline keys`: make, list and revoke API keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Column, Table

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from service.access.keys import Key, Keys, NewKey
from service.access.principals import Permission
from service.cli.console import err, out, reported, settings
from service.cli.operator import operator
from service.ledger.database import migrate_ledger

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    tenant: Annotated[str, typer.Option(help="Tenant whose documents it reads and writes.")] = "default",
    scope: Annotated[list[Permission] | None, typer.Option(help="What it may do; may be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Group it reads for; may be repeated.")] = None,
    expires_days: Annotated[int | None, typer.Option(help="Days until it expires.", min=1, max=36500)] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It can't be printed again.

    Without --scope it may search and ask. `admin` may do everything within the tenant.
    Without --label it reads every document of its tenant; with labels, those that carry one of them or none at all.
    """
    permissions = frozenset(scope or (Permission.SEARCH, Permission.ANSWER))
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    labels = frozenset(label) if label else None
    with _keys() as keys:
        key, token = keys.create(NewKey(name, TenantId(tenant), permissions, labels, expires_at), by=operator())
    if as_json:
        typer.echo(json.dumps({**_facts(key), "key": token}))
        return
    err().print(
        f"key {key.id} for tenant {key.tenant}: may {', '.join(sorted(key.permissions))}; reads {_reads(key)}; "
        "shown this once:",
        highlight=False,
        soft_wrap=True,
    )
    typer.echo(token)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key with its state, newest first."""
    with _keys() as keys:
        found = keys.list()
    if as_json:
        typer.echo(json.dumps([_facts(key) for key in found]))
        return
    if not found:
        err().print("no keys: the service answers on loopback only, as tenant default")
        return
    table = Table(Column("id", no_wrap=True), "name", "tenant", "scopes", "reads", "state", "last used")
    for key in found:
        used = key.last_used_at.strftime("%Y-%m-%d %H:%M") if key.last_used_at else "never"
        state = key.state(datetime.now(UTC))
        table.add_row(key.id, key.name, key.tenant, " ".join(sorted(key.permissions)), _reads(key), state, used)
    out().print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key, as `list` shows it.")]) -> None:
    """Refuse a key: a running service does so within a second."""
    with _keys() as keys:
        keys.revoke(key_id, by=operator())
        needed = keys.are_required()
    err().print(f"key {key_id} is revoked")
    if not needed:
        err().print("[yellow]no key is left: the service answers anyone on loopback again[/yellow]")


@contextmanager
def _keys() -> Iterator[Keys]:
    """The keys of the configured database. A running service sees every change within a second."""
    with reported():
        database = open_database(settings(quiet=True))
        try:
            migrate_ledger(database)
            yield Keys(database)
        finally:
            database.dispose()


def _reads(key: Key) -> str:
    return "every document" if key.labels is None else f"unlabelled, {', '.join(sorted(key.labels))}"


def _facts(key: Key) -> dict[str, object]:
    def moment(value: datetime | None) -> str | None:
        return None if value is None else value.isoformat()

    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "scopes": sorted(key.permissions),
        "labels": None if key.labels is None else sorted(key.labels),
        "state": key.state(datetime.now(UTC)),
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "last_used_at": moment(key.last_used_at),
    }
