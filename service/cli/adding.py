"""`plumbline source add`: one command for each kind of origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ingestion.corpus.records import DEFAULT_COLLECTION
from ingestion.errors import InvalidRequest
from ingestion.sources.definitions import FolderOrigin, GitOrigin, SqlOrigin, WebOrigin
from service.api.models.sources import SourceRequest
from service.cli.console import err, reported
from service.cli.desks import Facts
from service.cli.options import ApiKey, Caller, Tenant, Url

app = typer.Typer(
    name="add", help="Add a source: a folder, a Git repository, a web site or an SQL table.", no_args_is_help=True
)

NewId = Annotated[
    str, typer.Argument(metavar="NAME", help="Name to give it: lower-case letters, digits, dots and dashes.")
]
InCollection = Annotated[str, typer.Option("--collection", help="Collection to put the documents in.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="Group that may read them; may be repeated.")]
MetadataPairs = Annotated[
    list[str] | None, typer.Option("--metadata", help="`key=value` to store with each; may be repeated.")
]
Every = Annotated[str | None, typer.Option(help="Sync by itself so often: 30s, 15m, 6h, 1d. On demand if not given.")]
Include = Annotated[list[str] | None, typer.Option(help="Only paths that match this glob; may be repeated.")]
Exclude = Annotated[list[str] | None, typer.Option(help="No path that matches this glob; may be repeated.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class _Filing:
    """How the documents of a new source are filed, and how often it is synced."""

    collection: str
    labels: list[str] | None
    metadata: list[str] | None
    every: str | None


@app.command("folder")
def add_folder(
    id_: NewId,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder; all that lies below it is read.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Sync as soon as something changes, while the service runs.")
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    collection: InCollection = DEFAULT_COLLECTION,
    label: Labels = None,
    metadata: MetadataPairs = None,
    every: Every = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """A folder of this machine (with --url: of the machine of the service)."""
    with _checked():
        whole = path if url else path.resolve()
        if not url and not whole.is_dir():
            raise InvalidRequest(f"{whole} is not a folder")
        origin = FolderOrigin(path=whole, watch=watch, include=_globs(include), exclude=_globs(exclude))
        _add(Caller(tenant, url, api_key), id_, origin, _Filing(collection, label, metadata, every))


@app.command("git")
def add_git(
    id_: NewId,
    repository: Annotated[
        str, typer.Argument(metavar="REPOSITORY", help="What `git clone` takes: https, ssh, or a path.")
    ],
    branch: Annotated[str | None, typer.Option(help="The repository's default branch if not given.")] = None,
    subpath: Annotated[str, typer.Option(help="Only this folder of the repository.")] = "",
    include: Include = None,
    exclude: Exclude = None,
    collection: InCollection = DEFAULT_COLLECTION,
    label: Labels = None,
    metadata: MetadataPairs = None,
    every: Every = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """A branch of a Git repository."""
    with _checked():
        origin = GitOrigin(
            url=repository, branch=branch, subpath=subpath, include=_globs(include), exclude=_globs(exclude)
        )
        _add(Caller(tenant, url, api_key), id_, origin, _Filing(collection, label, metadata, every))


@app.command("web")
def add_web(
    id_: NewId,
    start: Annotated[str, typer.Argument(metavar="ADDRESS", help="Start page, or a sitemap (`.xml`).")],
    max_pages: Annotated[int, typer.Option(help="Read no more pages than this.")] = 1000,
    delay: Annotated[float, typer.Option(help="Seconds between two requests.")] = 0.2,
    include: Include = None,
    exclude: Exclude = None,
    collection: InCollection = DEFAULT_COLLECTION,
    label: Labels = None,
    metadata: MetadataPairs = None,
    every: Every = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """A web site, by its sitemap or by following links; robots.txt is kept to."""
    with _checked():
        origin = WebOrigin(
            url=start, max_pages=max_pages, delay_s=delay, include=_globs(include), exclude=_globs(exclude)
        )
        _add(Caller(tenant, url, api_key), id_, origin, _Filing(collection, label, metadata, every))


@app.command("sql")
def add_sql(
    id_: NewId,
    database: Annotated[
        str, typer.Argument(metavar="DATABASE", help="Name of a database in PLUMBLINE_SOURCES__DATABASES.")
    ],
    key: Annotated[str, typer.Option(help="Column that identifies a row.")],
    text: Annotated[list[str], typer.Option(help="Column with text; may be repeated.")],
    table: Annotated[str | None, typer.Option(help="Table or view.")] = None,
    query: Annotated[str | None, typer.Option(help="One SELECT, in place of --table.")] = None,
    title: Annotated[str | None, typer.Option(help="Column for the title.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Column to store as metadata; may be repeated.")] = None,
    updated_at: Annotated[str | None, typer.Option(help="Column that changes with every change of a row.")] = None,
    collection: InCollection = DEFAULT_COLLECTION,
    label: Labels = None,
    metadata: MetadataPairs = None,
    every: Every = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Rows of a table or a query, one document each."""
    with _checked():
        origin = SqlOrigin(
            database=database,
            table=table,
            query=query,
            key=key,
            text=tuple(text),
            title=title,
            metadata=tuple(column or ()),
            updated_at=updated_at,
        )
        _add(Caller(tenant, url, api_key), id_, origin, _Filing(collection, label, metadata, every))


@contextmanager
def _checked() -> Iterator[None]:
    """Tells a wrong definition as the error of ours that it is."""
    with reported():
        try:
            yield
        except ValidationError as error:
            wrong = "; ".join(
                f"{_field(one['loc'])}{one['msg'].removeprefix('Value error, ')}" for one in error.errors()
            )
            raise InvalidRequest(wrong) from error


def _add(caller: Caller, id_: str, origin: FolderOrigin | GitOrigin | WebOrigin | SqlOrigin, filing: _Filing) -> None:
    definition = SourceRequest(
        id=id_,
        origin=origin,
        collection=filing.collection,
        labels=tuple(filing.labels or ()),
        metadata=dict(_pairs(filing.metadata or ())),
        interval_s=None if filing.every is None else _seconds(filing.every),
    )
    source = caller.desk().add(definition)
    err().print(f"{id_} is added: {how_synced(source)}", highlight=False)


def how_synced(source: Facts) -> str:
    """What brings the documents of a source, in words."""
    if source["interval_s"] or source["origin"].get("watch"):
        return "the service syncs it while it runs"
    return f"sync it with `plumbline source sync {source['id']}`"


def _field(location: tuple[int | str, ...]) -> str:
    names = [str(part) for part in location if not isinstance(part, int)]
    return f"{'.'.join(names)}: " if names else ""


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise InvalidRequest(f"--every {text!r} is not a time: write 30s, 15m, 6h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def _pairs(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise InvalidRequest(f"--metadata {argument!r} is not of the form key=value")
        yield key, value


def _globs(globs: list[str] | None) -> tuple[str, ...]:
    return tuple(globs or ())
