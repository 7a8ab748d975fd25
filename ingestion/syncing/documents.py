"""What the corpus holds of one source, asked of the catalogue as a whole: for deletions and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Engine, and_, distinct, exists, func, not_, or_, select

from ingestion.corpus import tables
from ingestion.corpus.records import ChunkId, DocumentId, DocumentKey
from ingestion.syncing.filing import Filing
from ingestion.syncing.records import LISTED, Difference

_documents = tables.documents.c
_items = tables.source_items.c
_chunks = tables.chunks.c


class SourceDocuments:
    """Reads only. Files attached to a document are documents here too."""

    def __init__(self, engine: Engine, filing: Filing) -> None:
        self._engine = engine
        self._collection = filing.definition.collection
        self._tenant = filing.scope.tenant
        self._source = filing.definition.id
        self._mine = and_(_documents.tenant == self._tenant, _documents.source == self._source)

    def count(self) -> int:
        """Documents with a live version, attached ones not counted."""
        live = and_(self._mine, _documents.version.is_not(None), _documents.parent.is_(None))
        with self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(tables.documents).where(live)) or 0

    def keys(self) -> list[DocumentKey]:
        with self._engine.connect() as connection:
            return [DocumentKey(key) for key in connection.scalars(select(_documents.key).where(self._mine))]

    def item_ids(self) -> list[DocumentId]:
        """The ids of all items, whether there is a document of it or not."""
        mine = and_(_items.tenant == self._tenant, _items.source == self._source)
        with self._engine.connect() as connection:
            return [DocumentId(id_) for id_ in connection.scalars(select(_items.document_id).where(mine))]

    def of_items(self, ids: Sequence[DocumentId]) -> list[tuple[DocumentId, DocumentKey]]:
        """The documents with these ids, in whichever collection they are filed."""
        query = select(_documents.id, _documents.key).where(self._mine, _documents.id.in_(ids))
        with self._engine.connect() as connection:
            return [(DocumentId(row.id), DocumentKey(row.key)) for row in connection.execute(query)]

    def misfiled(self, *, limit: int) -> list[DocumentKey]:
        """Documents in a collection that the source no longer files in, unless they still wait to be filed anew."""
        filed = tables.documents.alias("filed")
        # Not every origin gives revisions, so that a missing one alone does not say that the item was not filed anew.
        is_filed = exists().where(
            *(filed.c[name] == _documents[name] for name in ("tenant", "source", "id")),
            filed.c.collection == self._collection,
            filed.c.version.is_not(None),
        )
        waits = exists().where(self._is_item(), or_(_items.code.is_not(None), _items.revision.is_(None)))
        moved = and_(self._mine, _documents.parent.is_(None), _documents.collection != self._collection)
        moved = and_(moved, or_(is_filed, not_(waits)))
        with self._engine.connect() as connection:
            return [DocumentKey(key) for key in connection.scalars(select(_documents.key).where(moved).limit(limit))]

    def orphaned(self, scan: int) -> Difference:
        """Documents that the scan with that number did not meet, that are filed elsewhere, or whose parent is gone."""
        met = exists().where(self._is_item(), _items.scan == scan)
        above = tables.documents.alias("above")
        has_parent = exists().where(above.c.key == _documents.parent)
        stray = or_(
            and_(_documents.parent.is_(None), or_(not_(met), _documents.collection != self._collection)),
            and_(_documents.parent.is_not(None), not_(has_parent)),
        )
        query = select(_documents.id, _documents.uri).where(self._mine, stray)
        with self._engine.connect() as connection:
            count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
            rows = connection.execute(query.order_by(_documents.id).limit(LISTED)).all()
        return Difference(count, tuple(DocumentId(row.id) for row in rows), tuple(row.uri for row in rows))

    def live_chunks(self) -> int:
        """Chunks of live versions."""
        query = (
            select(func.count()).select_from(tables.chunks).join(tables.documents, self._is_live()).where(self._mine)
        )
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def live_among(self, ids: Sequence[ChunkId]) -> int:
        """How many of the chunks belong to a live version of a document of this source."""
        query = (
            select(func.count(distinct(_chunks.id)))
            .select_from(tables.chunks)
            .join(tables.documents, self._is_live())
            .where(self._mine, _chunks.id.in_(ids))
        )
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def unknown_among(self, points: Sequence[tuple[ChunkId, DocumentKey]]) -> int:
        """How many of the index's points are of no version that the catalogue knows, and of no other source's document.

        What the catalogue knows as staged or retired is not served, and is about to go.
        """
        ids = {id_ for id_, _ in points}
        with self._engine.connect() as connection:
            known = set(connection.scalars(select(_chunks.id).where(_chunks.id.in_(ids))))
            strangers = [(id_, key) for id_, key in points if id_ not in known]
            if not strangers:
                return 0
            keys = {key for _, key in strangers}
            others = select(_documents.key).where(_documents.key.in_(keys), _documents.source != self._source)
            of_others = set(connection.scalars(others))
        return sum(key not in of_others for _, key in strangers)

    def _is_item(self) -> ColumnElement[bool]:
        return and_(_items.tenant == self._tenant, _items.source == self._source, _items.document_id == _documents.id)

    @staticmethod
    def _is_live() -> ColumnElement[bool]:
        return and_(_documents.key == _chunks.document_key, _documents.version == _chunks.version)
