"""`plumbline feedback`: what people did with results and said of them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import typer
from rich.markup import escape
from rich.table import Column, Table

from ingestion.corpus.scope import TenantId
from service.api.models.feedback import MAX_PAGE, FeedbackModel, FeedbackPage, FeedbackParameters
from service.cli.console import err, out, reported
from service.cli.golden import ledger
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.ledger.feedback import Feedback, Kind, Rating

app = typer.Typer(help="What people did with results and said of them.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Feedback comes in over HTTP (`POST /v1/feedback`)."""


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    rating: Annotated[Rating | None, typer.Option(help="Only these ratings.")] = None,
    trace: Annotated[str | None, typer.Option(help="Only on this query or answer, by the id of its trace.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="So many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """The feedback, newest first."""
    told = {"kind": kind, "rating": rating, "trace_id": trace, "limit": limit, "cursor": cursor}
    asked = {name: value for name, value in told.items() if value is not None}
    with reported():
        if url:
            found = Remote(url, api_key).call("GET", f"/v1/feedback?{urlencode(asked)}")
            page = FeedbackPage.model_validate(found)
        else:
            parameters = FeedbackParameters.model_validate(asked)
            with ledger() as database:
                listed = Feedback(database).list(TenantId(tenant), parameters.filter_of(), cursor=cursor, limit=limit)
            feedback = [FeedbackModel.of(record) for record in listed.items]
            page = FeedbackPage(feedback=feedback, next_cursor=listed.next_cursor)
    if as_json:
        typer.echo(page.model_dump_json())
        return
    table = Table("at", "kind", "", "rank", Column("trace", no_wrap=True))
    for one in page.feedback:
        said = " ".join(filter(None, (one.rating, one.outcome, one.text)))
        table.add_row(
            f"{one.at:%Y-%m-%d %H:%M}", one.kind, escape(said), "" if one.rank is None else str(one.rank), one.trace_id
        )
    out().print(table)
    if page.next_cursor:
        err().print(f"more: --cursor {page.next_cursor}", highlight=False, soft_wrap=True)
