"""`plumbline ask`: over the corpus itself, or over a running service."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from service.cli.console import out, reported, settings
from service.cli.options import ApiKey, AsJson, InCollections, Tenant, Url
from service.cli.remote import Remote
from service.cli.wording import SUPPORT_STYLES, cost_of, degraded, reasons_of, withheld
from service.generation.answers import Tier
from service.settings import Policy, ServiceSettings

app = typer.Typer()

Show = Callable[[str, dict[str, Any]], None]


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    collection: InCollections = None,
    policy: Annotated[
        Policy | None, typer.Option(help="What becomes of sentences that the sources do not support.")
    ] = None,
    tier: Annotated[Tier, typer.Option(help="Which model to ask.")] = Tier.AUTO,
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
        elif not as_json and name == "retrieval":
            _show_question(console, question, data)
        elif not as_json and name == "sentence":
            _show_sentence(console, data)

    body: dict[str, Any] = {"question": question, "collections": collection or [], "tier": tier.value}
    if policy is not None:
        body["unsupported"] = policy.value
    with reported():
        if url:
            for name, data in Remote(url, api_key).ask(body):
                show(name, data)
        else:
            asyncio.run(_ask(settings(quiet=True), Scope(TenantId(tenant)), body, show))
    if as_json:
        typer.echo(json.dumps(done))
    else:
        _show_end(console, done)


async def _ask(loaded: ServiceSettings, scope: Scope, body: dict[str, Any], show: Show) -> None:
    from pydantic import ValidationError

    from service.api.events import AnswerIds, payload
    from service.api.models.answers import AnswerRequest
    from service.runtime import open_reading
    from service.tracking.tracker import Asked

    try:
        query = AnswerRequest.model_validate(body).query_of()
    except ValidationError as error:
        wrong = error.errors()[0]
        raise InvalidRequest(f"{wrong['loc'][0]}: {wrong['msg']}") from error
    ids = AnswerIds(str(uuid.uuid4()), str(uuid.uuid4()), "")
    asked = Asked(ids.answer_id, ids.query_id, scope.tenant)
    async with open_reading(loaded) as reading:
        events = reading.answerer.answer(scope, query, asked.id)
        async with aclosing(reading.tracker.following(asked, query, events)) as followed:
            async for event in followed:
                name, data = payload(event, ids)
                show(name, data.model_dump(mode="json"))


def _show_question(console: Console, asked: str, retrieval: dict[str, Any]) -> None:
    understood = retrieval["question"]
    if understood.split() != asked.split():
        _say(console, f"understood as: {' / '.join(understood.splitlines())}", "dim")


def _show_sentence(console: Console, sentence: dict[str, Any]) -> None:
    support = sentence["support"]["label"]
    markers = "".join(f"[{number}]" for number in sentence["citations"])
    line = Text(sentence["text"])
    line.append(f" {markers}", style=SUPPORT_STYLES[support])
    if support != "supported":
        reasons = "; ".join(reasons_of(sentence["support"]["checks"]))
        line.append(f" ({support}{': ' if reasons else ''}{reasons})", style=SUPPORT_STYLES[support])
    console.print(line, soft_wrap=True)


def _show_end(console: Console, answer: dict[str, Any]) -> None:
    if answer["refusal"]:
        _show_refusal(console, answer["refusal"])
    if answer["citations"]:
        console.print()
    for citation in answer["citations"]:
        document, span = citation["document"], citation["span"]
        where = f"{document['uri']} ({span['start']}-{span['end']})"
        _say(console, f"[{citation['n']}] {document['title']}, {where}", "dim")
    if answer["grounding"]:
        _say(console, f"grounding: {answer['grounding']['label']}", "dim")
    if left_out := withheld(answer["grounding"]):
        _say(console, left_out, "yellow")
    if answer["degraded"]:
        _say(console, degraded(answer["degraded"], answered=answer["answered"]), "yellow")
    if cost := cost_of(answer):
        _say(console, cost, "dim")
    _say(console, f"answer {answer['answer_id']}", "dim")


def _show_refusal(console: Console, refusal: dict[str, Any]) -> None:
    _say(console, refusal["message"], "yellow")
    if nearest := refusal.get("nearest"):
        _say(console, "The documents that come nearest:", "dim")
    for document in nearest or ():
        _say(console, f"  {document['title']}, {document['uri']}", "dim")


def _say(console: Console, line: str, style: str) -> None:
    console.print(Text(line, style=style), highlight=False, soft_wrap=True)
