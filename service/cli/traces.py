"""`plumbline traces`: what was asked, what was found and answered, and how it was judged.

Over HTTP, or from the database beside a running service. How one trace looks is left to `tracing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from ingestion.errors import InvalidRequest
from service.cli.console import err, out, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.cli.tracing import show_list, show_trace
from service.ledger.database import migrate_ledger
from service.ledger.feedback import Feedback
from service.ledger.traces import Operation, Sort, Traces

app = typer.Typer(help="List and show traces of searches, context packs and answers.", no_args_is_help=True)

Found = dict[str, Any]

_MOST = 100


@app.command("list")
def list_traces(
    worst: Annotated[bool, typer.Option("--worst", help="Worst first, of the last 7 days, not newest.")] = False,
    operation: Annotated[Operation | None, typer.Option(help="Only these.")] = None,
    outcome: Annotated[str | None, typer.Option(help="`ok`, `refused`, `closed` or the code of an error.")] = None,
    relevance: Annotated[str | None, typer.Option(help="`strong`, `weak` or `none`.")] = None,
    grounding: Annotated[str | None, typer.Option(help="`grounded`, `partial` or `ungrounded`.")] = None,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    model: Annotated[str | None, typer.Option(help="Only answers of this model.")] = None,
    prompt_version: Annotated[str | None, typer.Option(help="Only answers by this prompt.")] = None,
    window: Annotated[str | None, typer.Option(help="Not older than so long: `24h`, `7d`.")] = None,
    limit: Annotated[int, typer.Option(help="Traces to show.", min=1, max=_MOST)] = 20,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """The newest traces, or the worst."""
    given = {
        "operation": operation and operation.value,
        "outcome": outcome,
        "relevance": relevance,
        "grounding": grounding,
        "collection": collection,
        "model": model,
        "prompt_version": prompt_version,
        "window": window,
        "sort": (Sort.WORST if worst else Sort.NEWEST).value,
        "limit": limit,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    with reported(), _ledger(url, api_key, tenant) as ledger:
        found = ledger.list(wanted)
    if as_json:
        typer.echo(json.dumps(found))
    elif found["traces"]:
        show_list(out(), found["traces"])
    else:
        err().print("no traces")


@app.command()
def show(
    trace: Annotated[str, typer.Argument(help="Id of a search, a context pack or an answer.")],
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Everything that is known of one search, context pack or answer."""
    with reported(), _ledger(url, api_key, tenant) as ledger:
        found = ledger.get(trace)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        show_trace(out(), found)


class _Distant:
    """The traces of a running service."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def list(self, wanted: Found) -> Found:
        return self._remote.call("GET", "/v1/traces?" + urlencode(wanted))

    def get(self, id_: str) -> Found:
        return self._remote.call("GET", f"/v1/traces/{quote(id_, safe='')}")


class _Local:
    """The traces of a database."""

    def __init__(self, traces: Traces, feedback: Feedback, tenant: TenantId) -> None:
        self._traces = traces
        self._feedback = feedback
        self._tenant = tenant

    def list(self, wanted: Found) -> Found:
        from datetime import UTC, datetime

        from pydantic import ValidationError

        from service.api.models.traces import TracePage, TraceParameters, TraceSummary

        try:
            asked = TraceParameters.model_validate(wanted)
        except ValidationError as error:
            wrong = error.errors()[0]
            raise InvalidRequest(f"{wrong['loc'][0]}: {wrong['msg']}") from error
        page = self._traces.list(self._tenant, asked.filter_of(datetime.now(UTC)), sort=asked.sort, limit=asked.limit)
        traces = [TraceSummary.of(trace) for trace in page.items]
        return TracePage(traces=traces, next_cursor=page.next_cursor).model_dump(mode="json")

    def get(self, id_: str) -> Found:
        from service.api.models.traces import TraceDetail

        trace = self._traces.get(self._tenant, id_)
        calls, feedback = self._traces.calls(self._tenant, trace), self._feedback.of_trace(self._tenant, trace.id)
        return TraceDetail.whole(trace, calls, feedback).model_dump(mode="json")


@contextmanager
def _ledger(url: str | None, key: str | None, tenant: str) -> Iterator[_Distant | _Local]:
    if url:
        yield _Distant(Remote(url, key))
        return
    database = open_database(settings(quiet=True))
    try:
        migrate_ledger(database)
        yield _Local(Traces(database), Feedback(database), TenantId(tenant))
    finally:
        database.dispose()
