"""`plumbline quality`: the signals of all traffic, now and in the window before, and what is worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import TenantId
from service.api.models.quality import QualityResponse
from service.cli.console import out, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.ledger.database import migrate_ledger
from service.quality.online.report import quality as quality_of
from service.quality.windows import slice_of
from service.settings import ServiceSettings

app = typer.Typer()

Facts = dict[str, Any]

InWindow = Annotated[str, typer.Option(help="The last minutes, hours, days or weeks: 15m, 24h, 7d, 4w.")]
InCollection = Annotated[str | None, typer.Option(help="What was searched in this collection only.")]

_RETRIEVAL = {
    "zero_result_rate": "found nothing",
    "weak_relevance_rate": "weak relevance",
    "no_relevance_rate": "nothing relevant",
    "legs_disagree_rate": "legs disagree",
    "failed_rate": "failed",
}
_ANSWERS = {
    "refusal_rate": "refused",
    "degraded_rate": "degraded",
    "grounded_rate": "grounded",
    "unsupported_sentence_rate": "unsupported sentences",
    "citation_precision": "citation precision",
}
_NUMBERS = {
    "confidence_drift": "drift of confidence",
    "top_score_drift": "drift of best score",
    "click_mrr": "MRR of clicks",
    "click_ndcg": "nDCG of clicks",
}
_SHOWN_MODELS = 10


@app.command()
def quality(
    window: InWindow = "24h",
    collection: InCollection = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """How good search and answers were lately: relevance, grounding, speed and cost, beside the window before."""
    with reported():
        if url:
            asked = {"window": window} | ({"collection": collection} if collection else {})
            answered = Remote(url, api_key).call("GET", f"/v1/quality?{urlencode(asked)}")
            found = QualityResponse.model_validate(answered)
        else:
            about = slice_of(window, datetime.now(UTC), TenantId(tenant), collection)
            loaded = settings(quiet=True)
            with _ledger(loaded) as engine:
                found = QualityResponse.of(quality_of(engine, about, loaded.signals), window)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        show(out(), found.model_dump(mode="json"))


@contextmanager
def _ledger(loaded: ServiceSettings) -> Iterator[Engine]:
    """The database alone: a service that runs over the same data folder is not in the way."""
    engine = open_database(loaded)
    try:
        migrate_ledger(engine)
        yield engine
    finally:
        engine.dispose()


def show(console: Console, found: Facts) -> None:
    """A response of `/v1/quality` for people."""
    where = f" in {escape(found['collection'])}" if found["collection"] else ""
    console.print(f"[bold]The last {found['window']}{where}[/bold], and the {found['window']} before", highlight=False)
    if not found["queries"]["now"] and not found["queries"]["before"]:
        console.print("Nobody asked anything. Searches and answers over HTTP leave traces.", highlight=False)
        return
    console.print(_figures(found))
    console.print(_latency(found["latency"]))
    if found["latency_sampled"]:
        console.print("[dim]Times are those of a random sample.[/dim]", highlight=False)
    if found["models"]:
        _show_models(console, found)
    for finding in found["findings"]:
        console.print(Text.assemble(("worth a look: ", "yellow"), finding["detail"]), soft_wrap=True)
    if not found["findings"]:
        console.print("[green]nothing is worth a look[/green]", highlight=False)


def _figures(found: Facts) -> Table:
    table = _table("", "now", "before", "change", "of")
    bad = {finding["signal"] for finding in found["findings"]}
    table.add_row("queries", *_counts(found["queries"]), "")
    for operation, count in found["operations"].items():
        table.add_row(f"  {operation}", *_counts(count), "")
    for name, label in _RETRIEVAL.items():
        table.add_row(*_rate(label, found[name], name in bad))
    table.add_row("answers", *_counts(found["answers"]), "")
    for name, label in _ANSWERS.items():
        table.add_row(*_rate(label, found[name], name in bad))
        for reason, figure in found.get(
            {"refusal_rate": "refusals", "degraded_rate": "degraded"}.get(name, ""), {}
        ).items():
            table.add_row(*_rate(f"  {reason.replace('_', ' ')}", figure, False))
    for name, label in _NUMBERS.items():
        if found[name]["now"] is not None or found[name]["before"] is not None:
            table.add_row(*_rate(label, found[name], name in bad, share=False))
    for said in found["feedback"]:
        table.add_row(" ".join(filter(None, ("feedback:", said["kind"], said["value"]))), *_counts(said), "")
    return table


def _latency(stages: list[Facts]) -> Table:
    table = _table("time, ms", "p50 now", "before", "p95 now", "before", "of")
    for one in stages:
        times = [
            f"{value:,.1f}" if value is not None else "-" for name in ("p50_ms", "p95_ms") for value in _both(one[name])
        ]
        style = None if one["stage"] == "total" else "dim"
        table.add_row(f"{one['operation']} {one['stage']}", *times, f"{one['now_over']:,}", style=style)
    return table


def _show_models(console: Console, found: Facts) -> None:
    table = _table("model, prompt", "answers", "unsupported", "calls", "tokens in", "out", "cost $", "before")
    for one in found["models"][:_SHOWN_MODELS]:
        now, before = one["now"], one["before"]
        name = ", ".join(filter(None, (one["model"] or "no model", one["prompt_version"])))
        tokens = (f"{now[kind]:,}" for kind in ("calls", "prompt_tokens", "completion_tokens"))
        unsupported = _percent(now["unsupported_sentence_rate"])
        table.add_row(name, f"{now['answers']:,}", unsupported, *tokens, _money(now), _money(before))
    console.print(table)
    if (left := len(found["models"]) - _SHOWN_MODELS) > 0:
        console.print(f"and {left} more", highlight=False)


def _table(first: str, *others: str) -> Table:
    columns = (Column(name, justify="right", no_wrap=True) for name in others)
    return Table(Column(first), *columns, box=None, pad_edge=False, header_style="dim")


def _rate(label: str, figure: Mapping[str, Any], bad: bool, *, share: bool = True) -> tuple[Text | str, ...]:
    form = _percent if share else _plain
    now, before = figure["now"], figure["before"]
    style = "red" if bad else ""
    change = "" if now is None or before is None else _arrow(now - before, f"{form(abs(now - before))}")
    return (
        Text(f"  {label}" if share else label, style),
        form(now),
        form(before),
        Text(change, style),
        f"{figure['now_over']:,}",
    )


def _counts(count: Mapping[str, int]) -> tuple[str, str, str]:
    now, before = count["now"], count["before"]
    return f"{now:,}", f"{before:,}", _arrow(now - before, f"{abs(now - before):,}")


def _arrow(difference: float, size: str) -> str:
    return f"{'↑' if difference > 0 else '↓'} {size}" if difference else "="


def _both(pair: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    return pair["now"], pair["before"]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _money(usage: Mapping[str, Any]) -> str:
    cost = usage["cost_usd"]
    return "-" if cost is None else f"{cost:,.4f}" + ("+" if usage["unpriced_calls"] else "")
