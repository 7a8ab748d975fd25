"""`plumbline gaps`: what people asked and the documents did not tell."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.markup import escape
from rich.table import Table

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.scope import Scope, TenantId
from service.api.models.gaps import GapPage
from service.cli.console import out, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.ledger.database import migrate_ledger
from service.quality.knowledge.gaps import find_gaps
from service.quality.knowledge.windows import window_of

app = typer.Typer()

_REASONS = {
    "nothing_relevant": "nothing relevant",
    "weak_relevance": "weak",
    "refused": "refused",
    "weakly_grounded": "weakly grounded",
    "rated_down": "rated down",
}
_MAX_SHOWN = 100

InWindow = Annotated[str, typer.Option(help="The last hours, days or weeks: 24h, 7d, 4w.")]
Limit = Annotated[int, typer.Option(min=1, max=_MAX_SHOWN, help="So many at most.")]
InCollection = Annotated[str | None, typer.Option(help="In this collection only.")]


@app.command()
def gaps(
    window: InWindow = "7d",
    collection: InCollection = None,
    limit: Limit = 20,
    url: Url = None,
    api_key: ApiKey = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """What was asked, found nothing or little, was refused, weakly grounded or rated down; most frequent first."""
    with reported():
        if url:
            told = {"window": window, "limit": limit} | ({"collection": collection} if collection else {})
            page = GapPage.model_validate(Remote(url, api_key).call("GET", f"/v1/quality/gaps?{urlencode(told)}"))
        else:
            stretch = window_of(window)
            with open_corpus(settings(quiet=True)) as corpus:
                migrate_ledger(corpus.database)
                report = find_gaps(corpus, Scope(TenantId(tenant)), stretch, collection)
            page = GapPage.of(report, 0, limit)
    if as_json:
        typer.echo(page.model_dump_json())
    else:
        _show(page)


def _show(page: GapPage) -> None:
    table = Table(show_lines=True)
    for name in ("times", "asked", "what went wrong", "last", "nearest documents"):
        table.add_column(name, justify="right" if name == "times" else "left", overflow="fold")
    for gap in page.gaps:
        others = [one.text for one in gap.examples if one.text != gap.label][:2]
        wrong = ", ".join(f"{_REASONS[reason]} {share:.0%}" for reason, share in gap.shares.items())
        table.add_row(
            str(gap.count),
            "\n".join([f"[bold]{escape(gap.label)}[/bold]", *(f"[dim]{escape(other)}[/dim]" for other in others)]),
            wrong,
            f"{gap.last_seen:%Y-%m-%d %H:%M}",
            "\n".join(escape(f"{one.title} ({one.uri})") for one in gap.nearest),
        )
    if page.gaps:
        out().print(table)
    for line in _notes(page):
        out().print(line, highlight=False)


def _notes(page: GapPage) -> list[str]:
    share = f" ({page.failed / page.asked:.0%})" if page.asked else ""
    told: dict[str, Any] = {
        f"{page.failed} of {page.asked} operations failed{share}; {page.total} gaps": True,
        f"{page.without_words} failures are in no gap: their words were not kept": page.without_words,
        f"not complete: {page.compared} of {page.questions} different questions were compared": not page.complete,
    }
    return [line for line, holds in told.items() if holds]
