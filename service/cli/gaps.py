"""`plumbline gaps` and `knowledge`: what the documents did not tell, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.markup import escape
from rich.table import Table

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.scope import Scope, TenantId
from service.api.models.gaps import GapPage
from service.api.models.knowledge import DatedDocument, KnowledgeReport, OldDocument
from service.cli.console import out, progress, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.ledger.database import migrate_ledger
from service.quality.knowledge.gaps import find_gaps
from service.quality.knowledge.health import contradictions_among, examine_knowledge
from service.quality.knowledge.inventory import take_inventory
from service.quality.windows import window_of

app = typer.Typer()

_REASONS = {
    "nothing_relevant": "nothing relevant",
    "weak_relevance": "weak",
    "refused": "refused",
    "weakly_grounded": "weakly grounded",
    "rated_down": "rated down",
}
_MAX_SHOWN = 100

InWindow = Annotated[str, typer.Option(help="The last minutes, hours, days or weeks: 15m, 24h, 7d, 4w.")]
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


@app.command()
def knowledge(
    window: InWindow = "30d",
    collection: InCollection = None,
    limit: Limit = 20,
    stale_days: Annotated[
        int, typer.Option(min=1, max=3650, help="Old is what did not change for so many days.")
    ] = 365,
    url: Url = None,
    api_key: ApiKey = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Documents that contradict each other, are old or replaced and still shown, or were never shown."""
    with reported():
        if url:
            told = {"window": window, "limit": limit, "stale_days": stale_days}
            told |= {"collection": collection} if collection else {}
            answered = Remote(url, api_key).call("GET", f"/v1/quality/knowledge?{urlencode(told)}")
            report = KnowledgeReport.model_validate(answered)
        else:
            report = _examined(Scope(TenantId(tenant)), window, collection, limit, stale_days)
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        _show_knowledge(report)


def _examined(scope: Scope, window: str, collection: str | None, limit: int, stale_days: int) -> KnowledgeReport:
    stretch = window_of(window)
    with open_corpus(settings(quiet=True)) as corpus, progress("reading documents") as tell:
        migrate_ledger(corpus.database)
        inventory = take_inventory(corpus, scope, collection)
        found = contradictions_among(corpus, scope, inventory, tell)
        report = examine_knowledge(corpus.database, inventory, found, scope.tenant, stretch, stale_days)
    return KnowledgeReport.of(report, limit)


def _show_knowledge(report: KnowledgeReport) -> None:
    if report.contradictions:
        table = Table(title=f"{report.contradictions_total} contradictions", show_lines=True)
        for name in ("says", "and says"):
            table.add_column(name, overflow="fold")
        for found in report.contradictions:
            sides = ((found.one_says, found.one), (found.other_says, found.other))
            table.add_row(*(f"[bold]{escape(fact)}[/bold]  {escape(side.text)}\n[dim]{_named(side.document)}[/dim]"
                            for fact, side in sides))  # fmt: skip
        out().print(table)
    _list_old(f"{report.superseded_total} replaced and still shown", report.superseded)
    _list_old(f"{report.stale_total} old and still shown", report.stale)
    if report.never_shown:
        out().print(f"[bold]{report.never_shown_total} never shown ({report.never_shown_share:.0%})[/bold]")
        for document in report.never_shown:
            out().print(f"  {_named(document)}", highlight=False)
    out().print(
        f"{report.documents} documents, {report.operations} operations; {report.compared_pairs} pairs of "
        f"{report.compared_passages} passages compared{'' if report.complete else '; not complete'}",
        highlight=False,
    )


def _list_old(title: str, found: Sequence[OldDocument]) -> None:
    if not found:
        return
    out().print(f"[bold]{title}[/bold]")
    for old in found:
        note = f": {escape(old.note)}" if old.note else ""
        out().print(f"  {old.shown} x  {_named(old.document)}{note}", highlight=False)


def _named(document: DatedDocument) -> str:
    return escape(f"{document.title} ({document.uri}, {document.updated_at:%Y-%m-%d})")


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
