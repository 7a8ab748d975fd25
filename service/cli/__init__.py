"""The command `plumbline`: one program for whoever runs the service and for whoever asks it."""

from __future__ import annotations

import typer

from ingestion.cli import ingest
from service.cli import (
    asking,
    auditing,
    evaluating,
    feedback,
    gaps,
    generations,
    golden,
    jobs,
    keys,
    packing,
    parity,
    promoting,
    quality,
    releasing,
    replaying,
    searching,
    serving,
    sources,
    traces,
    tuning,
    verifying,
)
from service.cli.doctor import doctor
from service.cli.operator import noting

app = typer.Typer(
    name="plumbline",
    help="Semantic search and cited answers over your runbooks, docs and tables, with every sentence checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(noting(ingest))
app.add_typer(serving.app)
app.add_typer(searching.app)
app.add_typer(asking.app)
app.add_typer(verifying.app)
app.add_typer(packing.app)
app.add_typer(tuning.app)
app.add_typer(sources.app)
app.add_typer(generations.app)
app.add_typer(evaluating.app)
app.add_typer(promoting.app)
app.add_typer(releasing.app)
app.add_typer(replaying.app)
app.add_typer(parity.app)
app.add_typer(quality.app)
app.add_typer(gaps.app)
app.command()(doctor)
app.add_typer(golden.app, name="golden")
app.add_typer(feedback.app, name="feedback")
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")
app.add_typer(auditing.app, name="audit")
app.add_typer(traces.app, name="traces")


def main() -> None:
    """Entry point of the distribution."""
    app()
