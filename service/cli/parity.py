"""`plumbline like-parity`: the old LIKE queries of an application beside our search, on its own table."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.table import Table

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from service.cli.console import EXIT_FAILED, err, out, progress, reported, settings
from service.cli.options import Tenant
from service.quality.parity.comparing import Limits
from service.quality.parity.queries import load_queries
from service.quality.parity.records import MEANINGS, Parity
from service.quality.parity.reporting import LIKELY, Summary, as_html, as_json, latencies, write
from service.quality.parity.running import Job
from service.quality.parity.table import TableName
from service.retrieval.query import MAX_LIMIT
from service.settings import ServiceSettings

app = typer.Typer()


@app.command("like-parity")
def like_parity(
    dsn: Annotated[
        str,
        typer.Option(help="Address of the database, or its name in PLUMBLINE_SOURCES__DATABASES. It is only read."),
    ],
    table: Annotated[str, typer.Option(help="Table or view; `schema.table` too.")],
    columns: Annotated[str, typer.Option(help="Columns that the old queries search, with commas between them.")],
    queries: Annotated[Path, typer.Option(help="The old queries: one a line, or `.jsonl` or `.csv` with `query`.")],
    id_column: Annotated[str, typer.Option(help="Column that identifies a row.")] = "id",
    title: Annotated[
        str | None, typer.Option(help="Column for the title; the first of several --columns if not given.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Compare with this collection, not with one made of the table for this.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="Hits on a page.")] = 10,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows that are compared for one query, at most.")] = 10_000,
    limit_queries: Annotated[int | None, typer.Option(min=1, help="Ask only so many of the queries.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a report for people here.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write a report for programs here.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Folder to keep the corpus of the table in, and use it again.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for explained missing rows, too.")] = False,
    tenant: Tenant = "default",
) -> None:
    """Run the old LIKE queries on the real table, ours beside them. Exit code 1 if a row is missing unexplained."""
    with reported(), progress("reading") as tell:
        if collection is not None and keep is not None:
            raise InvalidRequest("--keep is for a corpus made of the table, which --collection does without")
        asked = load_queries(queries)[:limit_queries]
        loaded = settings(quiet=True)
        names = tuple(name.strip() for name in columns.split(",") if name.strip())
        if not names:
            raise InvalidRequest("--columns names no column")
        job = Job(loaded, _address(dsn, loaded), TableName(table, id_column, names), title, Limits(limit, max_rows))
        if collection is not None:
            parity = job.with_collection(asked, collection, Scope(TenantId(tenant)), tell)
        else:
            parity = job.with_own_corpus(asked, keep, tell)
        if html is not None:
            write(html, as_html(parity))
        if json_path is not None:
            write(json_path, as_json(parity))
    _show(parity)
    summary = Summary.of(parity)
    if summary.unexplained or (strict and summary.missing):
        raise typer.Exit(EXIT_FAILED)


def _address(dsn: str, loaded: ServiceSettings) -> SecretStr:
    """What `--dsn` names: an entry of the settings, or an address itself."""
    named = {name.lower(): address for name, address in loaded.sources.databases.items()}
    return named.get(dsn.lower()) or SecretStr(dsn)


def _show(parity: Parity) -> None:
    summary, console = Summary.of(parity), out()
    like = parity.table.operator
    facts = Table(box=None, show_header=False)
    for name, value in (
        ("queries", summary.queries),
        (f"rows that {like} found", summary.rows),
        ("of them found by exact search", summary.found),
        ("missing without an explanation", summary.unexplained),
        ("documents on our first page that it did not find", summary.new),
        (f"of them likely relevant (from {LIKELY})", summary.new_likely),
        (
            f"queries that {like} found nothing for, with a relevant page now",
            f"{summary.empty_like_answered}/{summary.empty_like}",
        ),
    ):
        facts.add_row(name, str(value))
    console.print(facts, highlight=False)
    for reason, number in parity.missing().items():
        console.print(f"missing: {number} {reason}: {MEANINGS[reason]}", highlight=False, soft_wrap=True, markup=False)
    times = Table(f"a page of {parity.page}", "p50 ms", "p95 ms")
    for one in latencies(parity):
        times.add_row(one.way, _ms(one.p50_ms), _ms(one.p95_ms))
    console.print(times)
    for query, why in parity.skipped:
        err().print(f"not asked: {shorten(query, 60)}: {why}", highlight=False, soft_wrap=True, markup=False)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
