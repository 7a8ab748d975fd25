"""`plumbline ask`: over the corpus itself, or over a running service."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ingestion.corpus.scope import Scope, TenantId
from service.cli.console import out, reported, settings
from service.cli.options import ApiKey, AsJson, InCollections, Tenant, Url
from service.cli.remote import Remote
from service.settings import ServiceSettings

app = typer.Typer()

Show = Callable[[str, dict[str, Any]], None]

_SUPPORT_STYLES = {"supported": "green", "partial": "yellow", "unsupported": "red", "contradicted": "red"}


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    collection: InCollections = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the corpus, each sentence with its source and whether the source supports it."""
    done: dict[str, Any] = {}
    console = out()

    def show(name: str, data: dict[str, Any]) -> None:
        if name == "done":
            done.update(data)
        elif name == "sentence" and not as_json:
            _show_sentence(console, data)

    with reported():
        if url:
            body = {"question": question, "collections": collection or []}
            for name, data in Remote(url, api_key).ask(body):
                show(name, data)
        else:
            scope = Scope(TenantId(tenant))
            asyncio.run(_ask(settings(quiet=True), scope, question, tuple(collection or ()), show))
    if as_json:
        typer.echo(json.dumps(done))
    else:
        _show_end(console, done)


async def _ask(loaded: ServiceSettings, scope: Scope, question: str, collections: tuple[str, ...], show: Show) -> None:
    from service.api.events import AnswerIds, payload
    from service.api.models.answers import AnswerRequest
    from service.runtime import open_reading

    query = AnswerRequest(question=question, collections=collections).query_of()
    ids = AnswerIds(str(uuid.uuid4()), str(uuid.uuid4()), "")
    async with open_reading(loaded) as reading:
        events: AsyncIterator[Any] = reading.answerer.answer(scope, query)
        async for event in events:
            name, data = payload(event, ids)
            show(name, data.model_dump(mode="json"))


def _show_sentence(console: Console, sentence: dict[str, Any]) -> None:
    support = sentence["support"]["label"]
    markers = "".join(f"[{number}]" for number in sentence["citations"])
    line = Text(sentence["text"])
    line.append(f" {markers}", style=_SUPPORT_STYLES[support])
    if support != "supported":
        line.append(f" ({support})", style=_SUPPORT_STYLES[support])
    console.print(line, soft_wrap=True)


def _show_end(console: Console, answer: dict[str, Any]) -> None:
    if answer["refusal"]:
        console.print(f"[yellow]{escape(answer['refusal']['message'])}[/yellow]")
    if answer["citations"]:
        console.print()
    for citation in answer["citations"]:
        document, span = citation["document"], citation["span"]
        where = f"{document['uri']} ({span['start']}-{span['end']})"
        console.print(
            f"[dim][{citation['n']}] {escape(document['title'])}, {escape(where)}[/dim]".replace("[dim][", "[dim]\\["),
            highlight=False,
            soft_wrap=True,
        )
    if answer["grounding"]:
        console.print(f"[dim]grounding: {answer['grounding']['label']}[/dim]", highlight=False)
    if answer["degraded"]:
        reason, mode = answer["degraded"]["reason"], answer["degraded"]["mode"]
        console.print(f"[yellow]degraded ({reason}): {mode}[/yellow]", highlight=False)
