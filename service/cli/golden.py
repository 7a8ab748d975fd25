"""`plumbline golden`: answers that went wrong become golden cases, which a person reviews in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest
from service.api.models.candidates import WorstAnswers
from service.cli.console import err, out, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.ledger.database import migrate_ledger
from service.ledger.feedback import Feedback
from service.ledger.traces import Traces
from service.quality.candidates import add_candidate, candidate, worst
from service.quality.golden import GoldenCase, read_golden
from service.quality.windows import window_of

app = typer.Typer(help="Golden cases out of answers that went wrong, for a person to review.", no_args_is_help=True)

CANDIDATES = Path("golden/candidates.jsonl")
_SHORT = 70
_MAX_LISTED = 100

InFile = Annotated[Path, typer.Option("--file", help="Golden file (JSON Lines) of the candidates.")]


@app.command()
def add(
    from_answer: Annotated[str | None, typer.Option(help="Id of the answer that is wrong.")] = None,
    from_query: Annotated[str | None, typer.Option(help="Id of a search, a context pack or an answer's query.")] = None,
    file: InFile = CANDIDATES,
    must_refuse: Annotated[
        bool, typer.Option("--must-refuse", help="The documents hold no answer: it should have been refused.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    tenant: Tenant = "default",
) -> None:
    """Make a candidate of an answer or a search, with what people said of it in its note."""
    with reported():
        if (from_answer is None) == (from_query is None):
            raise InvalidRequest("name one of --from-answer ID and --from-query ID")
        id_ = from_answer or from_query or ""
        if url:
            path = f"/v1/quality/candidates/{quote(id_, safe='')}?{urlencode({'must_refuse': must_refuse})}"
            case = GoldenCase.model_validate(Remote(url, api_key).call("GET", path)["case"])
        else:
            with ledger() as database:
                trace = Traces(database).get(TenantId(tenant), id_)
                given = Feedback(database).of_trace(TenantId(tenant), trace.id)
            case = candidate(trace, given, must_refuse=must_refuse)
        added = add_candidate(file, case)
    if not added.new:
        err().print(f"{file} has it already, as {added.case.id}: nothing was added", highlight=False, markup=False)
        return
    out().print(f"{added.case.id} added to {file}", highlight=False, markup=False)
    if added.case.note:
        out().print(added.case.note, highlight=False, markup=False, soft_wrap=True)
    err().print("a person decides what is right: mend the line and set `reviewed` to true", highlight=False)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="Golden file (JSON Lines).")] = CANDIDATES) -> None:
    """Whether a golden file can be read, and which of its cases still wait for review."""
    with reported():
        cases = read_golden(file)
    waiting = [case for case in cases if not case.reviewed]
    if waiting:
        out().print(_table(waiting))
    counts = f"{len(cases)} case{'' if len(cases) == 1 else 's'}, {len(cases) - len(waiting)} reviewed"
    out().print(f"{file}: {counts}, {len(waiting)} waiting for review", highlight=False, markup=False)


@app.command("list")
def list_(
    file: Annotated[Path, typer.Argument(help="Golden file (JSON Lines).")] = CANDIDATES,
    worst_: Annotated[
        bool, typer.Option("--worst", help="Instead: the answers that are most worth a case, by feedback and verdicts.")
    ] = False,
    window: Annotated[str, typer.Option(help="With --worst: of so long: 24h, 7d, 4w.")] = "7d",
    collection: Annotated[str | None, typer.Option(help="With --worst: in this collection only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MAX_LISTED, help="With --worst: so many at most.")] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """The cases of a golden file, or the answers that should become one."""
    with reported():
        if not worst_:
            cases = read_golden(file)
        elif url:
            told = {"window": window, "limit": limit} | ({"collection": collection} if collection else {})
            found = Remote(url, api_key).call("GET", f"/v1/quality/candidates?{urlencode(told)}")
            page = WorstAnswers.model_validate(found)
        else:
            stretch = window_of(window)
            with ledger() as database:
                answers = worst(database, TenantId(tenant), stretch.start, stretch.end, collection)
            page = WorstAnswers.of(answers, 0, limit)
    if not worst_:
        _show_cases(cases, as_json=as_json)
    elif as_json:
        typer.echo(page.model_dump_json())
    else:
        _show_worst(page)


def tell_unreviewed(paths: Sequence[Path]) -> None:
    """Say how many candidates of these golden files are not measured on."""
    for path in paths:
        waiting = sum(not case.reviewed for case in read_golden(path)) if path.is_file() else 0
        if waiting:
            some = "1 case waits" if waiting == 1 else f"{waiting} cases wait"
            err().print(f"{path}: {some} for review and {'is' if waiting == 1 else 'are'} left out", highlight=False)


@contextmanager
def ledger() -> Iterator[Engine]:
    """The database of the settings, brought up to date; a service may be running on it."""
    database = open_database(settings(quiet=True))
    try:
        migrate_ledger(database)
        yield database
    finally:
        database.dispose()


def _show_cases(cases: Sequence[GoldenCase], *, as_json: bool) -> None:
    if as_json:
        told: list[dict[str, Any]] = [case.model_dump(mode="json", exclude_none=True) for case in cases]
        typer.echo(json.dumps(told))
    else:
        out().print(_table(cases))


def _table(cases: Sequence[GoldenCase]) -> Table:
    table = Table("case", "question", "relevant", "reviewed")
    for case in cases:
        relevant = "must refuse" if case.must_refuse else "\n".join(case.judged()) or "none yet"
        question = escape(shorten(case.question, _SHORT, placeholder=" …"))
        table.add_row(escape(case.id), question, escape(relevant), "yes" if case.reviewed else "no")
    return table


def _show_worst(page: WorstAnswers) -> None:
    if not page.answers:
        err().print("no answer of that time was rated down, corrected, unsupported or refused for no good reason")
        raise typer.Exit(0)
    table = Table(Column("answer", no_wrap=True), "asked", "question", "why")
    for one in page.answers:
        question = escape(shorten(one.question or "(its words were not kept)", _SHORT, placeholder=" …"))
        table.add_row(one.trace_id, f"{one.at:%Y-%m-%d %H:%M}", question, escape("\n".join(one.reasons)))
    out().print(table)
    err().print("`plumbline golden add --from-answer ID` makes a candidate of one", highlight=False)
