"""`plumbline replay`: an answer once more over the same passages, beside how it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ingestion.corpus.scope import Scope, TenantId
from service.cli.console import err, out, reported, settings
from service.cli.options import AsJson, Tenant
from service.cli.wording import SUPPORT_STYLES
from service.generation.answers import Tier

if TYPE_CHECKING:
    from service.quality.replaying import Replay, ReplayWish, SentenceChange, Told, ToldSentence
    from service.settings import ServiceSettings

app = typer.Typer()

_MARKS = {"kept": "=", "new": "+", "gone": "-"}
_STYLES = {"kept": "", "new": "green", "gone": "red"}
_DIGITS = 8


@app.command()
def replay(
    answer_id: Annotated[str, typer.Argument(metavar="ANSWER_ID", help="Id of the answer, or of its trace.")],
    prompt: Annotated[str | None, typer.Option(help="Version of the prompt; the answer's own if unset.")] = None,
    model: Annotated[str | None, typer.Option(help="Fast model; the answer's own if unset.")] = None,
    tier: Annotated[Tier | None, typer.Option(help="Which model to ask; the answer's own if unset.")] = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Answer the same question from the same passages again, and show what differs.

    Without options it shows how much an answer varies by itself.
    """
    with reported():
        from service.quality.replaying import ReplayWish

        done = asyncio.run(
            _replay(settings(quiet=True), Scope(TenantId(tenant)), answer_id, ReplayWish(prompt, model, tier))
        )
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        _show(done)


async def _replay(loaded: ServiceSettings, scope: Scope, answer_id: str, wish: ReplayWish) -> Replay:
    from service.quality.replaying import replay as replay_answer
    from service.runtime import open_reading

    async with open_reading(loaded) as reading:
        return await replay_answer(reading, scope, answer_id, wish)


def _show(done: Replay) -> None:
    console = out()
    console.print(Text(done.question, style="bold"), soft_wrap=True)
    for lost in done.lost:
        err().print(f"not there any more: {lost.title}, {lost.uri} ({lost.why.value})", markup=False, soft_wrap=True)
    facts = Table("", "then", "now", title=f"over {done.passages} passages", title_justify="left")
    for name, then, now in _facts(done.before, done.after):
        facts.add_row(name, then, Text(now, style="" if then == now else "yellow"))
    console.print(facts)
    table = Table("", "then", "now", show_lines=True)
    for change in done.sentences:
        table.add_row(*_row(change))
    if done.sentences:
        console.print(table)
    for mark, sources, side in (
        ("-", set(done.before.citations) - set(done.after.citations), done.before),
        ("+", set(done.after.citations) - set(done.before.citations), done.after),
    ):
        for chunk in sorted(sources):
            uri, quote = side.citations[chunk]
            console.print(Text(f"{mark} cites {uri}: {' '.join(quote.split())}", style="dim"), soft_wrap=True)
    console.print(Text(_sum(done), style="bold"))


def _facts(before: Told, after: Told) -> Iterator[tuple[str, str, str]]:
    for name, then, now in (
        ("outcome", before.outcome, after.outcome),
        ("model", before.model, after.model),
        ("prompt", before.prompt_version, after.prompt_version),
        ("degraded", before.degraded, after.degraded),
        ("grounding", before.grounding, after.grounding),
        ("score", before.grounding_score, after.grounding_score),
        ("unsupported", before.unsupported, after.unsupported),
        ("tokens in", before.prompt_tokens, after.prompt_tokens),
        ("tokens out", before.completion_tokens, after.completion_tokens),
        ("cost", _money(before.cost_usd), _money(after.cost_usd)),
        ("time", f"{before.total_ms:.0f} ms", f"{after.total_ms:.0f} ms"),
    ):
        yield name, _cell(then), _cell(now)


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)


def _money(value: float | None) -> str | None:
    return None if value is None else f"${value:.{_DIGITS}f}".rstrip("0").rstrip(".")


def _row(change: SentenceChange) -> tuple[Text, Text, Text]:
    fate = change.fate.value
    return Text(_MARKS[fate], style=_STYLES[fate]), _sentence(change.before), _sentence(change.after)


def _sentence(sentence: ToldSentence | None) -> Text:
    if sentence is None:
        return Text("")
    text = Text(sentence.text)
    text.append(f" ({sentence.label} {sentence.score:.2f})", style=SUPPORT_STYLES[sentence.label])
    return text


def _sum(done: Replay) -> str:
    counts = {fate: sum(change.fate.value == fate for change in done.sentences) for fate in _MARKS}
    return ", ".join(f"{count} {fate}" for fate, count in counts.items())
