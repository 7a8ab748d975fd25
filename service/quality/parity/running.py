"""A comparison from its options to its result: the table and a corpus are opened, compared and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from ingestion.sources.definitions import SourceDefinition
from ingestion.syncing import Sources, SourceStore, document_id_of_row
from service.quality.parity.building import SCOPE, Tell, build, definition_of, folder_for
from service.quality.parity.comparing import IdsOf, Limits, Sides, compare
from service.quality.parity.explaining import Explainer
from service.quality.parity.records import Parity
from service.quality.parity.table import LikeTable, TableName, open_table
from service.runtime import open_reading
from service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class _Side:
    """Our side: a collection, the sources that may have filled it, and why documents could not be ingested."""

    settings: ServiceSettings
    scope: Scope
    collection: str
    source: SourceDefinition | None = None
    failures: Mapping[DocumentId, str] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be compared. `title` is the column of the title; None takes the first of several columns."""

    settings: ServiceSettings
    address: SecretStr
    asked: TableName
    title: str | None
    limits: Limits

    def with_own_corpus(self, queries: tuple[str, ...], keep: Path | None, tell: Tell) -> Parity:
        """Against a corpus made of the table for this, kept in the folder `keep` if there is one.

        Raises: InvalidRequest, ConfigurationError, SourceUnavailable, as the table, the folder and the corpus do.
        """
        with self._table() as table, folder_for(keep) as folder:
            built = build(self.settings, folder, definition_of(table, self._title(table)), self.address, tell)
            side = _Side(built.settings, SCOPE, built.source.collection, built.source, built.failures)
            return asyncio.run(self._compare(table, side, queries, tell))

    def with_collection(self, queries: tuple[str, ...], collection: str, scope: Scope, tell: Tell) -> Parity:
        """Against a collection that is there. Its documents are rows by their ids, or of a source of kind `sql`.

        Raises: as `with_own_corpus`, and CorpusInUse.
        """
        with self._table() as table:
            return asyncio.run(self._compare(table, _Side(self.settings, scope, collection), queries, tell))

    def _table(self) -> AbstractContextManager[LikeTable]:
        return open_table(self.address, self.asked, timeout_s=self.settings.sources.statement_timeout_s)

    def _title(self, table: LikeTable) -> str | None:
        if self.title is not None:
            return table.spelled(self.title)
        return table.columns[0] if len(table.columns) > 1 else None

    async def _compare(self, table: LikeTable, side: _Side, queries: tuple[str, ...], tell: Tell) -> Parity:
        async with open_reading(side.settings) as reading:
            explainer = Explainer(reading.corpus, side.scope, side.collection, side.failures or {})
            ids_of = _ids_of(side, reading.corpus)
            sides = Sides(table, reading.corpus, reading.searcher, explainer, ids_of)
            return await asyncio.to_thread(compare, sides, queries, self.limits, tell)


def _ids_of(side: _Side, corpus: Corpus) -> IdsOf:
    if side.source is not None:
        source = side.source
        return lambda key: (document_id_of_row(source, key),)
    if not corpus.list_documents(side.scope, DocumentQuery(collection=side.collection), limit=1).items:
        raise InvalidRequest(f"the collection {side.collection!r} holds no document")
    sources = tuple(_sql_sources(side, corpus))

    def ids_of(key: Any) -> tuple[DocumentId, ...]:
        return (DocumentId(str(key)), *(document_id_of_row(source, key) for source in sources))

    return ids_of


def _sql_sources(side: _Side, corpus: Corpus) -> Iterator[SourceDefinition]:
    """Sources that make rows documents of the collection."""
    sources = Sources(corpus, SourceStore(corpus.database), side.settings)
    cursor = None
    while True:
        page = sources.list(side.scope, cursor=cursor, limit=100)
        for source in page.items:
            if source.definition.origin.kind == "sql" and source.definition.collection == side.collection:
                yield source.definition
        if (cursor := page.next_cursor) is None:
            return
