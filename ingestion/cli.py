"""`plumbline ingest`: files and folders into the corpus, with progress, a summary and an exit code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.records import DEFAULT_COLLECTION, Metadata
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import InvalidRequest, PlumblineError
from ingestion.parsing import DocumentParser
from ingestion.parsing.detect import readable_suffixes
from ingestion.pipeline import Outcome, OutcomeStatus, Pipeline
from ingestion.settings import Settings, load_settings
from ingestion.sources.files import Attributes, FileSelection, read_files, select_files
from ingestion.telemetry import configure_logging

EXIT_SOME_FAILED = 1
EXIT_CANNOT_RUN = 2


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are searched through.")],
    collection: Annotated[str, typer.Option(help="Collection to put the documents in.")] = DEFAULT_COLLECTION,
    label: Annotated[list[str] | None, typer.Option(help="Group that may read them; may be repeated.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="`key=value` to store with each; may be repeated.")] = None,
    tenant: Annotated[str, typer.Option(help="Tenant that owns them.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Add files to the corpus. What is there already, unchanged, costs nothing."""
    console = Console(stderr=True)
    try:
        settings = load_settings(Settings)
        configure_logging(settings)
        attributes = Attributes(collection, tuple(label or ()), _pairs(metadata or ()))
        selection = select_files(paths, readable_suffixes())
        tally = _run(settings, Scope(TenantId(tenant)), selection, attributes, console)
    except PlumblineError as error:
        console.print(f"[red]error[/red] ({error.code}): {error.detail}", soft_wrap=True)
        raise typer.Exit(EXIT_CANNOT_RUN) from error
    if as_json:
        typer.echo(json.dumps(_summary(tally, selection), indent=2))
    else:
        _print_summary(console, tally, selection)
    if tally.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


@dataclass(slots=True)
class _Tally:
    """What became of the documents. Of those that went well only their number is kept."""

    counts: Counter[OutcomeStatus] = field(default_factory=Counter)
    chunks: int = 0
    failures: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        self.chunks += outcome.chunks
        if outcome.status is OutcomeStatus.FAILED:
            self.failures.append(outcome)


def _run(
    settings: Settings, scope: Scope, selection: FileSelection, attributes: Attributes, console: Console
) -> _Tally:
    tally = _Tally()
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        pipeline = Pipeline(corpus, parser)
        sources = read_files(selection.files, attributes, max_bytes=settings.parsing.max_bytes)
        with _progress(console, tally, total=len(selection.files)) as advance:
            for outcome in pipeline.ingest(scope, sources):
                tally.add(outcome)
                advance(outcome)
        if tally.chunks:
            corpus.writer.flush()
    return tally


@contextmanager
def _progress(console: Console, tally: _Tally, *, total: int) -> Iterator[Callable[[Outcome], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("ingesting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[chunks]} chunks"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[last]}[/dim]"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("ingest", total=total, chunks=0, last="")

        def advance(outcome: Outcome) -> None:
            progress.update(task, advance=outcome.attached_to is None, chunks=tally.chunks, last=outcome.uri)

        yield advance


def _pairs(arguments: Iterable[str]) -> Metadata:
    pairs = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise InvalidRequest(f"--metadata {argument!r} is not of the form key=value")
        pairs[key] = value
    return pairs


def _summary(tally: _Tally, selection: FileSelection) -> dict[str, object]:
    return {
        **{status.value: tally.counts[status] for status in OutcomeStatus},
        "chunks": tally.chunks,
        "skipped": len(selection.skipped),
        "failures": [
            {"uri": outcome.uri, "code": outcome.code, "detail": outcome.detail} for outcome in tally.failures
        ],
    }


def _print_summary(console: Console, tally: _Tally, selection: FileSelection) -> None:
    line = ", ".join(
        f"{tally.counts[status]} {name}"
        for status, name in (
            (OutcomeStatus.CREATED, "added"),
            (OutcomeStatus.UPDATED, "changed"),
            (OutcomeStatus.UNCHANGED, "unchanged"),
            (OutcomeStatus.FAILED, "failed"),
        )
    )
    console.print(f"{tally.counts.total()} documents: {line}; {tally.chunks} chunks written")
    if selection.skipped:
        kinds = ", ".join(sorted({path.suffix or path.name for path in selection.skipped}))
        console.print(f"[dim]{len(selection.skipped)} files of kinds that are not read were left out ({kinds})[/dim]")
    if tally.failures:
        table = Table("file", "code", "what is wrong", title="failed", title_justify="left", title_style="red")
        for outcome in tally.failures:
            table.add_row(outcome.uri, str(outcome.code), outcome.detail)
        console.print(table)
