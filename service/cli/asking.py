"""`plumbline search` and `ask`: over the corpus itself, or over a running service."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from textwrap import indent
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ingestion.corpus.corpus import Selection
from ingestion.corpus.scope import Scope, TenantId
from service.cli.console import out, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.retrieval.query import MAX_LIMIT, SearchMode, SearchQuery
from service.settings import ServiceSettings

InCollections = Annotated[list[str] | None, typer.Option("--collection", help="Look in it only; may be repeated.")]

app = typer.Typer()

Show = Callable[[str, dict[str, Any]], None]

_SHOWN_LINES = 6
_LABEL_STYLES = {"strong": "green", "weak": "yellow", "none": "red"}
_SUPPORT_STYLES = {"supported": "green", "partial": "yellow", "unsupported": "red", "contradicted": "red"}


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    mode: Annotated[SearchMode, typer.Option(help="`exact` finds what SQL LIKE would.")] = SearchMode.HYBRID,
    limit: Annotated[int, typer.Option(help="Hits to show.", min=1, max=MAX_LIMIT)] = 5,
    collection: InCollections = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Search the corpus; no language model is involved."""
    with reported():
        if url:
            body = {"query": query, "mode": mode.value, "limit": limit, "collections": collection or []}
            found = Remote(url, api_key).search(body)
        else:
            wanted = SearchQuery(query, mode, limit, selection=Selection(tuple(collection or ())))
            found = asyncio.run(_search(settings(quiet=True), Scope(TenantId(tenant)), wanted))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _show_hits(out(), found)


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


async def _search(loaded: ServiceSettings, scope: Scope, query: SearchQuery) -> dict[str, Any]:
    from service.api.models.search import SearchResponse
    from service.runtime import open_reading

    async with open_reading(loaded) as reading:
        result = await asyncio.to_thread(reading.searcher.search, scope, query)
        found = SearchResponse.of(result, query_id=str(uuid.uuid4()), index_version=result.index_version)
        return found.model_dump(mode="json")


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


def _show_hits(console: Console, found: dict[str, Any]) -> None:
    relevance = found["relevance"]
    style = _LABEL_STYLES[relevance["label"]]
    console.print(
        f"relevance [{style}]{relevance['label']}[/{style}] ({relevance['confidence']:.2f}), "
        f"{len(found['hits'])} of {found['total']} in {found['timings_ms'].get('total', 0):.0f} ms",
        highlight=False,
    )
    for rank, hit in enumerate(found["hits"], start=1):
        document = hit["document"]
        path = " > ".join([document["title"], *hit["heading_path"]])
        console.print(f"\n[bold]{rank}. {escape(path)}[/bold]  {hit['score']:.2f}", highlight=False)
        console.print(f"[dim]{escape(document['uri'])}[/dim]", highlight=False, soft_wrap=True)
        lines = hit["text"].strip().splitlines()
        shown = "\n".join(lines[:_SHOWN_LINES]) + ("\n…" if len(lines) > _SHOWN_LINES else "")
        console.print(Text(indent(shown, "   ")), soft_wrap=True)


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
