"""How every command speaks and ends: results on standard output, everything else on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ingestion.errors import CorpusInUse, PlumblineError
from ingestion.telemetry import configure_logging
from service.settings import ServiceSettings, load_service_settings, unknown_variables

EXIT_FAILED = 1
EXIT_CANNOT_RUN = 2

_IN_USE_HINT = (
    "If that is `plumbline serve`, ask it: add --url http://127.0.0.1:8000 (its address) and --api-key if needed."
)


def out() -> Console:
    """For results."""
    return Console()


def err() -> Console:
    """For progress, warnings and errors."""
    return Console(stderr=True)


def settings(*, quiet: bool = False) -> ServiceSettings:
    """The settings of this process, with its log configured and unknown variables reported.

    `quiet` logs warnings and errors only, for commands whose output people read. Raises: ConfigurationError.
    """
    loaded = load_service_settings()
    if quiet and loaded.log_level == "info":
        loaded = loaded.model_copy(update={"log_level": "warning"})
    configure_logging(loaded)
    for variable in unknown_variables():
        structlog.get_logger(__name__).warning("unknown_setting", variable=variable.name, did_you_mean=variable.meant)
    return loaded


@contextmanager
def reported() -> Iterator[None]:
    """Turns an error of ours into one line and exit code 2: no traceback for what the user can mend."""
    try:
        yield
    except PlumblineError as error:
        err().print(f"[red]error[/red] ({error.code}): {escape(error.detail)}", soft_wrap=True, highlight=False)
        if isinstance(error, CorpusInUse):
            err().print(_IN_USE_HINT, soft_wrap=True, highlight=False)
        raise typer.Exit(EXIT_CANNOT_RUN) from error


@contextmanager
def progress(doing: str, unit: str = "") -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar on standard error while the context lasts; told what is being done, how much of it, and of how much."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    units = [TextColumn(unit)] if unit else []
    with Progress(*columns, *units, TimeElapsedColumn(), console=err(), transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def tell(doing: str, done: int, total: int | None) -> None:
            bar.update(task, description=doing, completed=done, total=total)

        yield tell
