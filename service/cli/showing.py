"""How sources, their syncs and comparisons look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from service.cli.desks import Facts, SyncState

_HEALTH_STYLES = {"ok": "green", "never_synced": "dim", "failing": "red", "stalled": "red", "paused": "yellow"}
_ENDED_STYLES = {"succeeded": "green", "partial": "yellow", "cancelled": "yellow"}
_DIFFERENCES = {
    "missing": "at the origin, not in the corpus",
    "stale": "in the corpus as another version",
    "orphaned": "in the corpus, no longer at the origin",
    "failed": "could not be read",
    "quarantined": "failed too often and are no longer tried; `plumbline source retry` lets them out",
}
_SHOWN = 10
_LEFT_OUT_BELOW = {"from": 70, "next": 50, "synced": 38, "documents": 28}
"""Columns that give way first on a terminal with fewer columns than this beside the longest name."""


def show_list(console: Console, sources: list[Facts], now: datetime) -> None:
    """A line for each source, with what fits, and below it what is wrong with those that have a trouble."""
    columns = {name: Column(name, no_wrap=True) for name in ("name", "health", "documents", "synced", "next")}
    columns["from"] = Column("from")  # the only one that may shrink; its cells keep to one line
    longest = max((len(source["id"]) for source in sources), default=0)
    for name, width in _LEFT_OUT_BELOW.items():
        if console.width < longest + width:
            del columns[name]
    table = Table(*columns.values(), box=None, pad_edge=False, header_style="dim")
    for source in sources:
        cells: dict[str, str | Text] = {
            "name": Text(source["id"]),
            "health": _health(source),
            "documents": _documents(source["counts"]),
            "synced": _when(source["succeeded_at"], now) or "never",
            "next": _next(source, now),
            "from": Text(f"{source['origin']['kind']} {_place(source['origin'])}", no_wrap=True, overflow="ellipsis"),
        }
        table.add_row(*(cells[name] for name in columns))
    console.print(table)
    for source in sources:
        if source["error"]:
            show_trouble(console, source["id"], source["error"]["code"], source["error"]["detail"])


def show_source(console: Console, source: Facts, now: datetime) -> None:
    """All that is known of one source, what is unset left out."""
    table = Table(
        Column(style="dim", no_wrap=True), Column(overflow="fold"), show_header=False, box=None, pad_edge=False
    )
    origin = source["origin"]
    table.add_row(origin["kind"], Text(_place(origin)))
    for name, value in origin.items():
        if name not in ("kind", "path", "url", "database", "table") and value not in (None, "", [], {}, False):
            table.add_row(name, Text(_plain(value)))
    for name in ("collection", "labels", "metadata"):
        if source[name]:
            table.add_row(name, Text(_plain(source[name])))
    table.add_row("health", _health(source))
    for name, moment in (("added", "created_at"), ("last tried", "attempted_at"), ("last synced", "succeeded_at")):
        if source[moment]:
            table.add_row(name, f"{_when(source[moment], now)} [dim]({_moment(source[moment])})[/dim]")
    if source["counts"]:
        table.add_row("last sync", _counted(source["counts"]))
    table.add_row("next sync", _next(source, now))
    console.print(Text(source["id"], style="bold"))
    console.print(table)
    if source["error"]:
        show_trouble(console, source["id"], source["error"]["code"], source["error"]["detail"])


def show_end(console: Console, id_: str, state: SyncState) -> None:
    """One line about a sync that ended, and one for each document that failed."""
    style = _ENDED_STYLES.get(str(state.ended), "red")
    ended = f"{escape(id_)}: [{style}]{state.ended}[/{style}]"
    told = "" if state.ended == "failed" else f", {_number(state.done, 'document')}: {_counted(state.counts)}"
    console.print(ended + told, highlight=False, soft_wrap=True)
    if state.detail:
        console.print(f"  {escape(state.detail)}", highlight=False, soft_wrap=True)
    for failure in state.failures[:_SHOWN]:
        line = f"  {failure['uri']}: {failure['code']}: {failure['detail']}"
        console.print(Text(line), highlight=False, soft_wrap=True)
    failed = state.counts.get("failed", 0) + state.counts.get("quarantined", 0)
    if (left := failed - min(len(state.failures), _SHOWN)) > 0 and state.failures:
        console.print(f"  and {left} more", highlight=False)


def show_reconciliation(console: Console, id_: str, found: Facts) -> None:
    """Whether origin and corpus are equal, else what differs."""
    documents = _number(found["documents"], "document")
    if found["equal"]:
        told = f"{documents} of {escape(id_)}, the same at the origin, in the catalogue and in the index"
        console.print(f"[green]equal[/green]: {told}", highlight=False)
        return
    console.print(f"[red]not equal[/red]: {escape(id_)}, {documents} in the corpus", highlight=False)
    for name, meaning in _DIFFERENCES.items():
        if found[name]["count"]:
            console.print(f"  {found[name]['count']} {name} [dim]({meaning})[/dim]", highlight=False, soft_wrap=True)
            for uri in found[name]["uris"][:_SHOWN]:
                console.print(Text(f"    {uri}"), soft_wrap=True)
            if (left := found[name]["count"] - _SHOWN) > 0:
                console.print(f"    and {left} more", highlight=False)
    if found["index_differs"]:
        told = _number(found["index_differs"], "chunk")
        console.print(f"  {told} not in both of catalogue and index", highlight=False)
    if found["oldest_unsynced_s"] is not None:
        age = _span(timedelta(seconds=found["oldest_unsynced_s"]))
        console.print(f"  the oldest of these changes is {age} old", highlight=False)
    if not found["complete"]:
        console.print("  not everything at the origin could be looked at", highlight=False)


def show_trouble(console: Console, id_: str, code: str, detail: str) -> None:
    """Why a source's last sync did not end well."""
    line = f"[red]{escape(id_)}[/red]: {code}: {escape(detail)}"
    console.print(line, highlight=False, soft_wrap=True)


class Moved:
    """Shows how a sync goes."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, state: SyncState) -> None:
        counts = _counted(state.counts) if any(state.counts.values()) else state.stage or ""
        self._progress.update(self._task, completed=state.done, total=state.total, counts=counts)


@contextmanager
def progress_of(console: Console, id_: str) -> Iterator[Moved]:
    """A bar for one sync; gone when the context ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f} documents"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[counts]}[/dim]"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Moved(progress, progress.add_task(escape(id_), total=None, counts=""))


def _health(source: Facts) -> str:
    health, failures = source["health"], source["failures"]
    style = _HEALTH_STYLES.get(health, "")
    times = f" {failures}x" if failures > 1 else ""
    return f"[{style}]{health.replace('_', ' ')}{times}[/{style}]"


def _documents(counts: Mapping[str, int]) -> str:
    failed = counts.get("failed", 0) + counts.get("quarantined", 0)
    return f"{counts.get('seen', 0):,}" + (f" ({failed:,} failed)" if failed else "") if counts else ""


def _next(source: Facts, now: datetime) -> str:
    if source["paused"]:
        return "paused"
    watched = source["origin"].get("watch", False)
    if source["due_at"] is None:
        return "on change" if watched else "on demand"
    return _when(source["due_at"], now) or ""


def _place(origin: Facts) -> str:
    match origin["kind"]:
        case "folder":
            return str(origin["path"])
        case "sql":
            return f"{origin['database']}, {origin['table'] or 'a query'}"
        case _:
            return str(origin["url"])


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "yes" if value is True else str(value)


def _when(moment: str | None, now: datetime) -> str | None:
    """`3 min ago`, `in 2 h`, `now`."""
    if moment is None:
        return None
    ahead = datetime.fromisoformat(moment) - now
    if abs(ahead) < timedelta(seconds=2):
        return "now"
    if ahead < timedelta(0):
        return f"{_span(-ahead)} ago"
    return f"in {_span(ahead)}"


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _counted(counts: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{number:,} {name}" for name, number in counts.items() if number and name != "seen") or "no change"
    )


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
