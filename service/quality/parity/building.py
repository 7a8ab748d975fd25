"""A corpus of a table, made by the product's own source of kind `sql`: for this comparison alone, or kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import ConfigurationError, Conflict
from ingestion.settings import EngineKind, IndexSettings
from ingestion.sources.definitions import SourceDefinition, SourceId, SqlOrigin
from ingestion.syncing import ItemRecord, Oversight, Sources, SourceStore, SyncProgress, open_syncer
from service.quality.parity.table import LikeTable
from service.settings import ServiceSettings

SCOPE = Scope(TenantId("default"))
SOURCE = SourceId("like-parity")
_DATABASE = "parity"
_MARK = "like-parity.txt"
"""Says that a folder was made here. Another one that is not empty is never written to."""

Tell = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much if that is known."""


@dataclass(frozen=True, slots=True)
class Built:
    """A corpus of the table: where it is, what made it, and why rows are not in it."""

    settings: ServiceSettings
    source: SourceDefinition
    failures: Mapping[DocumentId, str]


def definition_of(table: LikeTable, title: str | None) -> SourceDefinition:
    """The source that makes a document of each row, with all searched columns as its text."""
    return SourceDefinition(
        id=SOURCE,
        origin=SqlOrigin(database=_DATABASE, table=table.quoted, key=table.key, text=table.columns, title=title),
        collection=SOURCE,
    )


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """The folder to build in: `keep`, or one that is gone when the context ends.

    Raises: ConfigurationError if `keep` holds something else.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="plumbline-like-") as made:
            yield Path(made)
        return
    if keep.exists() and not (keep / _MARK).is_file() and (not keep.is_dir() or any(keep.iterdir())):
        raise ConfigurationError(f"{keep} is not empty and was not made by like-parity: name another folder")
    try:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / _MARK).write_text("A corpus made by `plumbline like-parity`; it can be made again.\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{keep} cannot be written: {error.strerror}") from error
    yield keep


def build(settings: ServiceSettings, folder: Path, source: SourceDefinition, address: SecretStr, tell: Tell) -> Built:
    """The corpus in that folder, in step with the table as it is now.

    Raises: SourceUnavailable if the table can't be read, ConfigurationError if not every row could be looked at.
    """
    built = settings.model_copy(
        update={
            "data_dir": folder,
            "models_dir": settings.models_path,
            "database_url": None,
            "index": IndexSettings(engine=EngineKind.EDGE, rebuild=settings.index.rebuild),
            "sources": settings.sources.model_copy(update={"databases": {_DATABASE: address}}),
        }
    )
    failures: dict[DocumentId, str] = {}

    def progress(state: SyncProgress) -> None:
        tell("ingesting the table", state.seen, state.total)

    def record(item: ItemRecord) -> None:
        if item.code is not None:
            failures[item.document_id] = f"{item.code}: {item.detail or ''}".rstrip(": ")

    with open_corpus(built) as corpus:
        sources = Sources(corpus, SourceStore(corpus.database), built)
        try:
            sources.add(SCOPE, source, remote=False)
        except Conflict:
            sources.update(SCOPE, source, remote=False)
        with open_syncer(corpus, built) as syncer:
            report = syncer.sync(SCOPE, SOURCE, Oversight(progress, record=record))
        corpus.writer.flush()
    if not report.complete:
        raise ConfigurationError("not every row of the table could be looked at: start it again")
    return Built(built, source, failures)
