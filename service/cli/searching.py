"""`plumbline search`: over the corpus itself, or over a running service."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ingestion.corpus.scope import Scope, TenantId
from service.cli.console import out, reported, settings
from service.cli.options import ApiKey, AsJson, InCollections, Tenant, Url
from service.cli.remote import Remote
from service.retrieval.query import MAX_LIMIT, MAX_OFFSET, SearchMode, SearchQuery, SortOrder
from service.settings import ServiceSettings

if TYPE_CHECKING:
    from service.api.models.search import SearchParameters

Facets = Annotated[
    list[str] | None,
    typer.Option("--facet", help="Count documents by collection, source, label or metadata.NAME; may be repeated."),
]
Filters = Annotated[
    str | None, typer.Option("--filter", help='As JSON: \'{"must": [{"key": "metadata.team", "in": ["payments"]}]}\'.')
]

app = typer.Typer()

_SHOWN_LINES = 6
_LABEL_STYLES = {"strong": "green", "weak": "yellow", "none": "red"}


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    mode: Annotated[SearchMode, typer.Option(help="`exact` finds what SQL LIKE would.")] = SearchMode.HYBRID,
    limit: Annotated[int, typer.Option(help="Hits to show.", min=1, max=MAX_LIMIT)] = 5,
    offset: Annotated[int, typer.Option(help="Hits to pass over.", min=0, max=MAX_OFFSET)] = 0,
    collection: InCollections = None,
    filter_: Filters = None,
    facet: Facets = None,
    group: Annotated[bool, typer.Option("--group", help="Show the best passage of each document only.")] = False,
    sort: Annotated[SortOrder, typer.Option(help="Order of the relevant hits.")] = SortOrder.RELEVANCE,
    fold: Annotated[
        bool | None, typer.Option("--fold/--no-fold", help="Show passages that say the same once, or each.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say of each hit why it stands where it does.")] = False,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Search the corpus; no language model is involved."""
    from service.api.models.search import SearchParameters

    with reported():
        asked = SearchParameters.model_construct(
            q=query,
            mode=mode,
            limit=limit,
            offset=offset,
            collections=tuple(collection or ()),
            filter=filter_,
            facets=tuple(facet or ()),
            group_by="document" if group else None,
            sort=sort,
            fold=fold,
            explain=explain,
        )
        wanted = asked.query_of()
        if url:
            found = Remote(url, api_key).search(_body(asked, filter_))
        else:
            found = asyncio.run(_search(settings(quiet=True), Scope(TenantId(tenant)), wanted))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        show(out(), found)


def _body(asked: SearchParameters, filter_: str | None) -> dict[str, Any]:
    """The request of `POST /v1/search` that says the same as these parameters of a GET."""
    said = asked.model_dump(mode="json", exclude={"q", "highlight", "filter"}, exclude_none=True)
    return {**said, "query": asked.q, **({"filter": json.loads(filter_)} if filter_ else {})}


async def _search(loaded: ServiceSettings, scope: Scope, query: SearchQuery) -> dict[str, Any]:
    from service.api.models.search import SearchResponse
    from service.runtime import open_reading

    async with open_reading(loaded) as reading:
        result = await asyncio.to_thread(reading.searcher.search, scope, query)
        found = SearchResponse.of(result, query_id=str(uuid.uuid4()), index_version=result.index_version)
        return found.model_dump(mode="json")


def show(console: Console, found: dict[str, Any]) -> None:
    """A response of `/v1/search` for people; fields that an older service does not send are left out."""
    relevance = found["relevance"]
    style = _LABEL_STYLES[relevance["label"]]
    more = " or more" if found.get("total_is") == "at_least" else ""
    console.print(
        f"relevance [{style}]{relevance['label']}[/{style}] ({relevance['confidence']:.2f}), "
        f"{len(found['hits'])} of {found['total']}{more} in {found['timings_ms'].get('total', 0):.0f} ms",
        highlight=False,
    )
    if found.get("corrections"):
        meant = ", ".join(f"{one['meant']} for {one['written']}" for one in found["corrections"])
        console.print(f"also searched for {escape(meant)}", highlight=False, soft_wrap=True)
    if found.get("explanation"):
        _show_query(console, found["explanation"])
    for rank, hit in enumerate(found["hits"], start=1):
        _show_hit(console, rank, hit)
    for name, values in found.get("facets", {}).items():
        counts = ", ".join(f"{value['value']} ({value['count']})" for value in values) or "no document has it"
        console.print(f"\n[bold]{escape(name)}[/bold]: {escape(counts)}", highlight=False, soft_wrap=True)


def _show_hit(console: Console, rank: int, hit: dict[str, Any]) -> None:
    document = hit["document"]
    path = " > ".join([document["title"], *hit["heading_path"]])
    console.print(f"\n[bold]{rank}. {escape(path)}[/bold]  {hit['score']:.2f}", highlight=False)
    console.print(f"[dim]{escape(document['uri'])}[/dim]", highlight=False, soft_wrap=True)
    text = Text(hit["text"])
    if hit.get("best_sentence"):
        start = hit["span"]["start"]
        text.stylize("bold", hit["best_sentence"]["start"] - start, hit["best_sentence"]["end"] - start)
    lines = text.split("\n")
    while lines and not lines[0].plain.strip():
        lines.pop(0)
    for line in lines[:_SHOWN_LINES]:
        console.print(Text("   ").append_text(line), soft_wrap=True)
    if len(lines) > _SHOWN_LINES:
        console.print("   …")
    for other in hit.get("duplicates", ()):
        console.print(f"   [dim]the same in {escape(other['document']['uri'])}[/dim]", highlight=False, soft_wrap=True)
    if hit.get("more_passages"):
        console.print(f"   [dim]{hit['more_passages']} more in this document[/dim]", highlight=False)
    if hit.get("explanation"):
        _show_reasons(console, hit["explanation"])


def _show_query(console: Console, told: dict[str, Any]) -> None:
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in told["weights"].items())
    terms = ", ".join(f"{term} {weight:.2f}" for term, weight in told["terms"].items())
    found = ", ".join(f"{name} {count}" for name, count in told["candidates"].items())
    fitted = "" if told["fitted"] is None else f" (fitted to {told['fitted'] or 'all collections'})"
    lines = {"kind": told["kind"], "weights": weights + fitted, "literally": ", ".join(told["needles"]), "terms": terms}
    lines["corrected"] = ", ".join(f"{word} to {meant}" for word, meant in told["corrections"].items())
    lines["synonyms"] = ", ".join(f"{word}: {', '.join(others)}" for word, others in told["synonyms"].items())
    lines["found"] = found
    console.print(_table(lines))


def _show_reasons(console: Console, told: dict[str, Any]) -> None:
    lines = {"ranked by": "further down" if told["fused"] is None else f"{told['fused']:.3f}"}
    for name, leg in (("meaning", told["dense"]), ("words", told["sparse"])):
        if leg:
            lines[name] = f"rank {leg['rank']}, score {leg['score']:.3f}, adds {leg['contribution']:.3f}"
    lines["title"] = f"adds {told['title']:.3f}" if told["title"] else ""
    lines["literally"] = ", ".join(told["exact"])
    if told["rerank"]:
        lines["reranker"] = f"score {told['rerank']['score']:.3f}, rank {told['rerank']['rank_before']} before"
    if told["preference"]:
        lines["preferred"] = f"{told['preference']['change']:+.3f}"
    lines["superseded"] = "comes after what replaced it" if told["superseded"] else ""
    lines["has"] = ", ".join(told["terms"])
    lines["has not"] = ", ".join(told["missing"])
    console.print(_table(lines))


def _table(lines: dict[str, str]) -> Table:
    """Two columns; a line without a value is left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 3))
    for name, value in lines.items():
        if value:
            table.add_row(Text(name, style="dim"), Text(value))
    return table
