"""The documents of an upload: they wait in the job's items with their bytes until they are ingested."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, func, insert, select, update

from ingestion.corpus import tables
from ingestion.corpus.database import write_transaction
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope
from ingestion.job_store.reading import now
from ingestion.job_store.records import ItemStatus, JobId, JobItem, JobKind, JobState

_ATTACHED_TO = "attached_to"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document that waits. `attempts` are the tries that did not end."""

    position: int
    attempts: int


class UploadStore:
    """Reads and writes of items."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, scope: Scope, job: JobId, sources: Sequence[DocumentSource], *, unchanged: Collection[int] = ()
    ) -> None:
        """Store a job with the bytes of its documents, so that it outlives the process.

        `unchanged` are positions of documents that are live as they are: they are done. A job of nothing else is over.
        """
        created_at = now()
        over = len(unchanged) == len(sources)
        rows = [
            {
                "job_id": job,
                "position": position,
                "document_id": source.id,
                "uri": source.uri,
                "attributes": _attributes(source),
                "data": None if position in unchanged else source.data,
                "status": ItemStatus.UNCHANGED if position in unchanged else ItemStatus.QUEUED,
            }
            for position, source in enumerate(sources)
        ]
        head = {
            "id": job,
            "tenant": scope.tenant,
            "kind": JobKind.UPLOAD,
            "state": JobState.SUCCEEDED if over else JobState.QUEUED,
            "total": len(rows),
            "stage_seconds": {},
            "created_at": created_at,
            "finished_at": created_at if over else None,
        }
        with write_transaction(self._engine) as connection:
            connection.execute(insert(tables.jobs).values(head))
            connection.execute(insert(tables.job_items), rows)

    def waiting(self, job: JobId) -> list[Waiting]:
        """The documents that still wait, in their order."""
        items = tables.job_items.c
        query = (
            select(items.position, items.attempts)
            .where(items.job_id == job, items.status == ItemStatus.QUEUED)
            .order_by(items.position)
        )
        with self._engine.connect() as connection:
            return [Waiting(row.position, row.attempts) for row in connection.execute(query)]

    def load(self, job: JobId, position: int) -> DocumentSource:
        """A document that waits, with its bytes."""
        items = tables.job_items.c
        query = select(tables.job_items).where(items.job_id == job, items.position == position)
        with self._engine.connect() as connection:
            return _source(connection.execute(query).one())

    def count_try(self, job: JobId, positions: Sequence[int], by: int = 1) -> None:
        """Count a try of these documents before it is made; by -1: it ended, if not in an outcome, then in order."""
        items = tables.job_items.c
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(tables.job_items)
                .where(items.job_id == job, items.position.in_(positions), items.status == ItemStatus.QUEUED)
                .values(attempts=items.attempts + by)
            )

    def finish(
        self, job: JobId, position: int, status: ItemStatus, *, code: str | None = None, detail: str | None = None
    ) -> None:
        """Record what became of a document and drop its bytes."""
        items = tables.job_items.c
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(tables.job_items)
                .where(items.job_id == job, items.position == position, items.status == ItemStatus.QUEUED)
                .values(status=status, code=code, detail=detail, data=None)
            )

    def attached(self, job: JobId) -> set[DocumentId]:
        """The attached files that were recorded so far."""
        items = tables.job_items.c
        recorded = select(items.document_id).where(
            items.job_id == job, items.attributes[_ATTACHED_TO].as_string().is_not(None)
        )
        with self._engine.connect() as connection:
            return {DocumentId(id_) for id_ in connection.scalars(recorded)}

    def add_attached(self, job: JobId, item: JobItem, attached_to: DocumentId) -> None:
        """Record what became of a file that came with a document, after the job's other items."""
        items = tables.job_items.c
        with write_transaction(self._engine) as connection:
            last = connection.scalar(select(func.max(items.position)).where(items.job_id == job))
            row = {
                "job_id": job,
                "position": 0 if last is None else last + 1,
                "document_id": item.document_id,
                "uri": item.uri,
                "attributes": {_ATTACHED_TO: attached_to},
                "status": item.status,
                "code": item.code,
                "detail": item.detail,
            }
            connection.execute(insert(tables.job_items).values(row))


def _attributes(source: DocumentSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "title": source.title,
        "collection": source.collection,
        "source": source.source,
        "labels": list(source.labels),
        "metadata": dict(source.metadata),
        "media_type": source.media_type,
        "modified_at": source.modified_at.isoformat() if source.modified_at else None,
    }


def _source(row: Row[Any]) -> DocumentSource:
    facts = dict(row.attributes)
    modified_at = facts.pop("modified_at")
    labels = tuple(facts.pop("labels"))
    return DocumentSource(
        id=DocumentId(row.document_id),
        uri=row.uri,
        data=row.data or b"",
        labels=labels,
        modified_at=datetime.fromisoformat(modified_at) if modified_at else None,
        **facts,
    )
