"""`plumbline context`: a context pack for a log, a ticket or a question, from the corpus or a running service."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ingestion.corpus.corpus import Selection
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from service.cli.console import err, out, reported, settings
from service.cli.options import ApiKey, AsJson, Tenant, Url
from service.cli.remote import Remote
from service.retrieval.context import MAX_BUDGET, MAX_PASSAGES, MAX_TEXT_BYTES, MIN_BUDGET, ContextQuery
from service.retrieval.tokens import DEFAULT_ENCODING
from service.settings import ServiceSettings

app = typer.Typer()


@app.command()
def context(
    file: Annotated[str, typer.Argument(help="File with the log, ticket or question; - for standard input.")] = "-",
    budget: Annotated[int, typer.Option(help="Most tokens of the pack.", min=MIN_BUDGET, max=MAX_BUDGET)] = 2_000,
    encoding: Annotated[str, typer.Option(help="tiktoken encoding that they are counted in.")] = DEFAULT_ENCODING,
    max_passages: Annotated[int, typer.Option(help="Most passages.", min=1, max=MAX_PASSAGES)] = MAX_PASSAGES,
    collection: Annotated[list[str] | None, typer.Option(help="Look in it only; may be repeated.")] = None,
    explain: Annotated[bool, typer.Option(help="Say on standard error what was searched, taken and left out.")] = False,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Print the passages about a long, noisy text within a budget of tokens; no language model is involved.

    Ends with 1 if nothing relevant was found.
    """
    with reported():
        body: dict[str, Any] = {
            "text": _read(file),
            "budget_tokens": budget,
            "encoding": encoding,
            "max_passages": max_passages,
            "collections": collection or [],
        }
        if url:
            pack = Remote(url, api_key).call("POST", "/v1/context", body)
        else:
            pack = asyncio.run(_build(settings(quiet=True), Scope(TenantId(tenant)), _query_of(body)))
    if explain:
        _explain(err(), pack)
    if as_json:
        typer.echo(json.dumps(pack))
    else:
        out().print(pack["context"], markup=False, highlight=False, soft_wrap=True)
    if not pack["passages"]:
        raise typer.Exit(1)


def _read(file: str) -> str:
    """The text; of more than a pack may be asked for, an error. Raises: InvalidRequest."""
    try:
        data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1) if file == "-" else _head(Path(file))
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}", pointer="/text") from error
    if len(data) > MAX_TEXT_BYTES:
        raise InvalidRequest(f"{file} is longer than {MAX_TEXT_BYTES} bytes: cut it, the end first", pointer="/text")
    return data.decode(errors="replace")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_TEXT_BYTES + 1)


def _query_of(body: dict[str, Any]) -> ContextQuery:
    selection = Selection(tuple(body["collections"]))
    return ContextQuery(body["text"], body["budget_tokens"], body["encoding"], body["max_passages"], selection)


async def _build(loaded: ServiceSettings, scope: Scope, query: ContextQuery) -> dict[str, Any]:
    from service.api.models.context import ContextResponse
    from service.runtime import open_reading

    async with open_reading(loaded) as reading:
        pack = await asyncio.to_thread(reading.contexts.build, scope, query)
        return ContextResponse.of(pack, query_id=str(uuid.uuid4())).model_dump(mode="json")


def _explain(console: Console, pack: dict[str, Any]) -> None:
    relevance = pack["relevance"]
    lines = [f"relevance {relevance['label']} ({relevance['confidence']:.2f}), {pack['tokens']} tokens"]
    lines += [f"searched  {query}" for query in pack["queries_used"]]
    for passage in pack["passages"]:
        span, document = passage["span"], passage["document"]
        marks = [f"{len(passage['chunk_ids'])} chunks"] if len(passage["chunk_ids"]) > 1 else []
        marks += ["cut"] if passage["truncated"] else []
        marks += [passage["note"]] if passage["note"] else []
        place = f"{document['uri']} {span['start']}-{span['end']}"
        lines.append(
            f"[{passage['n']}] {passage['score']:.2f}  {passage['tokens']} tokens  {', '.join([place, *marks])}"
        )
    for drop in pack["dropped"]:
        instead = f", for it {drop['kept_chunk_id']}" if drop["kept_chunk_id"] else ""
        lines.append(f"left out  {drop['chunk_id']}: {drop['reason']}{instead}")
    console.print("\n".join(escape(line) for line in lines), highlight=False, soft_wrap=True)
