"""`plumbline tune`: fits how much each leg of a search counts to a collection, and keeps it if it is better."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ingestion.corpus.ranking_store import ALL
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest
from service.cli.console import out, reported, settings
from service.cli.golden import tell_unreviewed
from service.cli.options import AsJson, Tenant
from service.quality.clicks import click_cases, searches
from service.quality.golden import load_golden
from service.quality.observing import Observer, sample
from service.quality.tuning import LEAST_QUERIES, Fit, Seen, fit, profile_of
from service.quality.windows import window_of
from service.runtime import Reading, open_reading

app = typer.Typer()


@app.command()
def tune(
    golden: Annotated[
        list[Path] | None, typer.Argument(metavar="GOLDEN", help="Golden files (JSON Lines) with relevant documents.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Fit to this collection; else to all that have no weights of their own.")
    ] = None,
    clicks: Annotated[
        bool, typer.Option("--clicks", help="Instead of a golden file: searches whose hits people opened.")
    ] = False,
    window: Annotated[str, typer.Option(help="With --clicks: of the last hours, days or weeks: 24h, 7d, 4w.")] = "4w",
    sentences: Annotated[
        int, typer.Option(min=LEAST_QUERIES, help="Without a golden file: sentences of the corpus to ask it by.")
    ] = 300,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be adopted, and store nothing.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the weights that hold anywhere.")] = False,
    as_json: AsJson = False,
    tenant: Tenant = "default",
) -> None:
    """Fit the weights of both legs, kind of query by kind of query, and adopt what is better beyond doubt.

    Weights belong to the generation of the index that is searched: after a switch, tune again.
    """
    with reported():
        chosen = Scope(TenantId(tenant))
        fits: tuple[Fit, ...] = ()
        if reset:
            stored = asyncio.run(_reset(chosen, collection))
        else:
            if clicks and golden:
                raise InvalidRequest("--clicks and golden files exclude each other: fit to one, then to the other")
            asked = _Asked(tuple(golden or ()), window if clicks else None, collection, sentences)
            fits, stored = asyncio.run(_tune(chosen, asked, store=not dry_run))
            tell_unreviewed(asked.golden)
    if as_json:
        typer.echo(json.dumps({"fits": [asdict(one) for one in fits], "stored": stored}))
    elif reset:
        out().print("back to the weights that hold anywhere" if stored else "there were no fitted weights")
    else:
        out().print(_table(fits))
        out().print(_said(fits, stored))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to fit to: golden files, clicks of a `window`, or `sentences` of the corpus itself."""

    golden: tuple[Path, ...]
    window: str | None
    collection: str | None
    sentences: int


async def _tune(scope: Scope, asked: _Asked, *, store: bool) -> tuple[tuple[Fit, ...], bool]:
    cases = [case for path in asked.golden for case in load_golden(path)]
    collection = asked.collection
    async with open_reading(settings()) as reading:

        def run() -> tuple[tuple[Fit, ...], bool]:
            observer = Observer(reading.corpus, reading.searcher, scope, (collection,) if collection else ())
            if asked.golden:
                seen = list(observer.ask(cases))
            elif asked.window is not None:
                seen = _by_clicks(reading, observer, asked.window)
            else:
                seen = _by_itself(reading, observer, asked.sentences)
            fits = fit(seen)
            profile = profile_of(fits, collection or ALL)
            if profile is None or not store:
                return fits, False
            reading.corpus.rankings.put(scope, reading.corpus.index_version, collection or ALL, profile.dump())
            return fits, True

        return await asyncio.to_thread(run)


async def _reset(scope: Scope, collection: str | None) -> bool:
    async with open_reading(settings()) as reading:
        return await asyncio.to_thread(
            reading.corpus.rankings.remove, scope, reading.corpus.index_version, collection or ALL
        )


def _by_clicks(reading: Reading, observer: Observer, window: str) -> list[Seen]:
    """Raises: InvalidRequest if too few questions have hits that were opened."""
    stretch = window_of(window)
    (collection,) = observer.collections or (None,)
    found = searches(reading.corpus.database, observer.scope.tenant, stretch.start, stretch.end, collection)
    seen = [one for one in observer.ask(click_cases(found)) if one.judged]
    kinds = Counter(one.kind for one in seen)
    if not kinds or max(kinds.values()) < LEAST_QUERIES:
        counted = ", ".join(f"{count} of kind {kind}" for kind, count in kinds.most_common()) or "none"
        wordless = sum(bool(one.clicks) and one.question is None for one in found)
        hidden = f"; of {wordless} searches the words were not kept (PLUMBLINE_LEDGER__CONTENT)" if wordless else ""
        raise InvalidRequest(
            f"{LEAST_QUERIES} different questions of one kind with hits that were opened are needed, and in {window} "
            f"there are {counted}{hidden}: take a longer --window, or a golden file"
        )
    return seen


def _by_itself(reading: Reading, observer: Observer, wanted: int) -> list[Seen]:
    """Raises: InvalidRequest if the documents are too short to be asked about each other."""
    seen = list(observer.ask_itself(sample(reading.corpus, observer.scope, observer.collections, wanted)))
    if len(seen) < LEAST_QUERIES:
        raise InvalidRequest(
            f"only {len(seen)} sentences stand in documents of several chunks, and {LEAST_QUERIES} are needed: "
            "name a golden file"
        )
    return seen


def _table(fits: tuple[Fit, ...]) -> Table:
    table = Table(title="nDCG@10 by kind of query; fitted is cross-validated")
    for name in ("kind", "queries", "dense alone", "words alone", "as is", "fitted", "gain, 95 %", "weights", ""):
        table.add_column(name, justify="left" if name in ("kind", "weights", "") else "right")
    for one in fits:
        measures = (one.dense, one.sparse, one.default, one.fitted)
        table.add_row(
            one.kind,
            str(one.queries),
            *(f"{value:.3f}" for value in measures),
            f"{one.low:+.3f} to {one.high:+.3f}",
            f"dense {one.weights.dense:g}, title {one.weights.title:g}",
            "adopted" if one.adopted else "",
        )
    return table


def _said(fits: tuple[Fit, ...], stored: bool) -> str:
    if not fits:
        return f"no kind of query has {LEAST_QUERIES} questions with relevant documents: nothing was fitted"
    if not any(one.adopted for one in fits):
        return "no weights are better beyond doubt: the ones that hold anywhere stay"
    return "adopted: searches use these weights now" if stored else "a dry run: nothing was stored"
