"""Exact search in the catalogue: the rows of `chunk_texts`, an index over their trigrams, and what is found in them.

The index is the database's own: FTS5 in SQLite, pg_trgm in Postgres. Where it can't be had every search reads all of
the tenant's text: slower, and the same is found. What the rows hold is `literal`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import structlog
from sqlalchemy import Connection, CursorResult, Engine, Row, select, text
from sqlalchemy.exc import DBAPIError

from ingestion.corpus import tables
from ingestion.corpus.database import insert_if_absent, write_transaction
from ingestion.corpus.filters import Filter
from ingestion.corpus.index.conditions import reading, vendor_filter
from ingestion.corpus.index.engine import IndexQuery
from ingestion.corpus.index.plain import PlainDialect, document_payload
from ingestion.corpus.literal import OVERLAP, TITLE, LiteralText, fold, holds
from ingestion.corpus.records import ChunkId, DocumentDraft, DocumentKey, VersionId, chunk_id
from ingestion.corpus.scope import Scope, reader_patterns
from ingestion.corpus.versions import CONTENT_DIGITS

log = structlog.get_logger(__name__)

_TRIGRAM = 3
_MAX_TRIGRAMS = 8
"""Of a long needle so many trigrams, spread over it, find next to as little as all of them, and faster."""
_BATCH = 500
_PREPARING = 0x706C_756D
"""Key of the lock under which one process at a time makes the index."""


@dataclass(frozen=True, slots=True)
class LiteralQuery:
    """What to find: any collection if none is named."""

    needle: str
    generation: str
    collections: tuple[str, ...] = ()
    filter: Filter | None = None
    limit: int = 100


class LiteralStore:
    """Safe from several threads."""

    def __init__(self, engine: Engine) -> None:
        """Makes the trigram index if it is not there and can be made."""
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self.is_indexed = _prepare(engine)
        """Whether there is one."""

    def find(self, scope: Scope, query: LiteralQuery) -> tuple[ChunkId, ...]:
        """Chunks of live documents in which the needle begins, or in whose title it is: then the first one.

        Up to `limit`, in the order in which they were stored, which is the same at every call.
        """
        needle = fold(query.needle)
        with self._engine.connect() as connection, self._rows(connection, scope, query, needle[:OVERLAP]) as result:
            rows: Iterator[Row[Any]] = chain.from_iterable(result.partitions(_BATCH))
            if len(needle) > OVERLAP:
                rows = _verified(connection, rows, needle)
            if query.filter is not None:
                rows = _passing(connection, scope, query, rows)
            return tuple(map(_chunk_of, islice(_one_each(rows), query.limit)))

    def _rows(self, connection: Connection, scope: Scope, query: LiteralQuery, beginning: str) -> CursorResult[Any]:
        """Rows that hold the beginning of the needle, as far as it is sure to be in one, and may be read."""
        parameters: dict[str, object] = {
            "tenant": scope.tenant,
            "generation": query.generation,
            "needle": beginning,
            "pattern": f"%{_escaped(beginning)}%",
            "trigrams": _trigrams(beginning),
        }
        statement = self._statement(scope, query, parameters, indexed=len(beginning) >= _TRIGRAM and self.is_indexed)
        options = {"stream_results": True, "yield_per": _BATCH}
        return connection.execute(text(statement), parameters, execution_options=options)

    def _statement(self, scope: Scope, query: LiteralQuery, parameters: dict[str, object], *, indexed: bool) -> str:
        conditions = [
            "d.tenant = :tenant",
            # As `live_chunks` of the reader: the generation is the query's, and `documents` tells the live content.
            f"substr(d.version, 1, {CONTENT_DIGITS}) = substr(t.version, 1, {CONTENT_DIGITS})",
        ]
        within = "instr" if self._sqlite else "strpos"
        for number, pattern in enumerate(reader_patterns(scope) or ()):
            parameters[f"reader{number}"] = pattern
        if (patterns := reader_patterns(scope)) is not None:
            readers = " OR ".join(f"{within}(d.readers, :reader{number}) > 0" for number in range(len(patterns)))
            conditions.append(f"({readers})")
        if query.collections:
            names = {f"collection{number}": name for number, name in enumerate(query.collections)}
            parameters.update(names)
            conditions.append(f"d.collection IN ({', '.join(f':{name}' for name in names)})")
        template = (_SQLITE_INDEXED if indexed else _SQLITE_SCAN) if self._sqlite else _POSTGRES
        return template.format(conditions=" AND ".join(conditions))


def add_texts(connection: Connection, draft: DocumentDraft, generation: str, rows: Iterable[LiteralText]) -> None:
    """Store the rows of some chunks of a version, in the transaction that stores the chunks. Those there stay."""
    values = [
        {
            "tenant": draft.tenant,
            "generation": generation,
            "document_key": draft.key,
            "version": draft.version,
            "position": row.position,
            "start": row.start,
            "own": row.own,
            "folded": row.folded,
        }
        for row in rows
    ]
    insert_if_absent(connection, tables.chunk_texts, *values)


_COLUMNS = "t.document_key, t.version, t.position, t.start, t.own, t.id"
# Of `own` only the first occurrence needs to be known: if that is not in it, none is. CROSS JOIN fixes the order.
_SQLITE = (
    f"SELECT {_COLUMNS} FROM {{source}} CROSS JOIN documents AS d ON d.key = t.document_key"  # noqa: S608
    " WHERE {where} t.tenant = :tenant AND t.generation = :generation"
    " AND instr(t.folded, :needle) BETWEEN 1 AND t.own AND {{conditions}} ORDER BY {order}"
)
_SQLITE_INDEXED = _SQLITE.format(
    source="chunk_trigrams CROSS JOIN chunk_texts AS t ON t.id = chunk_trigrams.rowid",
    where="chunk_trigrams MATCH :trigrams AND",
    order="chunk_trigrams.rowid",
)
_SQLITE_SCAN = _SQLITE.format(source="chunk_texts AS t", where="", order="t.id")
# Materialised, or the planner might go through the texts in the order of their ids.
_POSTGRES = (
    "WITH t AS MATERIALIZED ("  # noqa: S608
    f"SELECT {_COLUMNS} FROM chunk_texts AS t WHERE t.tenant = :tenant AND t.generation = :generation"
    " AND t.folded LIKE :pattern AND strpos(t.folded, :needle) BETWEEN 1 AND t.own)"
    f" SELECT {_COLUMNS} FROM t JOIN documents AS d ON d.key = t.document_key WHERE {{conditions}} ORDER BY t.id"
)


def _trigrams(needle: str) -> str:
    """An FTS5 query for rows that may hold the needle: some of its trigrams, all of which must be there."""
    every = list(dict.fromkeys(needle[start : start + _TRIGRAM] for start in range(len(needle) - _TRIGRAM + 1)))
    if len(every) > _MAX_TRIGRAMS:
        every = [every[number * (len(every) - 1) // (_MAX_TRIGRAMS - 1)] for number in range(_MAX_TRIGRAMS)]
    return " AND ".join('"{}"'.format(trigram.replace('"', '""')) for trigram in every)


def _escaped(needle: str) -> str:
    """The needle in a LIKE pattern, where nothing of it is a wildcard."""
    return needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _chunk_of(row: Row[Any]) -> ChunkId:
    return chunk_id(DocumentKey(row.document_key), VersionId(row.version), max(row.position, 0))


def _one_each(rows: Iterable[Row[Any]]) -> Iterator[Row[Any]]:
    """The first row of each chunk; only a first chunk has two, one of them the title."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if row.position <= 0:
            document = (row.document_key, row.version)
            if document in seen:
                continue
            seen.add(document)
        yield row


def _verified(connection: Connection, rows: Iterable[Row[Any]], needle: str) -> Iterator[Row[Any]]:
    """Those of the rows in which all of a needle begins that is longer than what they hold for sure."""
    texts, versions = tables.chunk_texts.c, tables.versions.c
    whole: tuple[str, str, str] | None = None
    for row in rows:
        if row.position == TITLE:
            if needle in (connection.scalar(select(texts.folded).where(texts.id == row.id)) or ""):
                yield row
            continue
        if whole is None or whole[:2] != (row.document_key, row.version):
            mine = (versions.document_key == row.document_key, versions.version == row.version)
            whole = (row.document_key, row.version, connection.scalar(select(versions.text).where(*mine)) or "")
        if holds(whole[2], LiteralText(row.position, row.start, row.own, ""), needle):
            yield row


def _passing(connection: Connection, scope: Scope, query: LiteralQuery, rows: Iterator[Row[Any]]) -> Iterator[Row[Any]]:
    """Those of the rows whose document passes the filter, by the very rules of the vector index."""
    where = reading(PlainDialect(), scope, IndexQuery(collections=query.collections, filter=query.filter))
    passes = vendor_filter(where)
    verdicts: dict[str, bool] = {}
    while batch := list(islice(rows, _BATCH)):
        unknown = {row.document_key for row in batch} - verdicts.keys()
        documents = select(tables.documents).where(tables.documents.c.key.in_(unknown))
        for document in connection.execute(documents):
            verdicts[document.key] = passes(document_payload(document))
        yield from (row for row in batch if verdicts.get(row.document_key, False))


def _prepare(engine: Engine) -> bool:
    """Make the trigram index over what is stored, if it is not there; False if it can't be made."""
    try:
        with write_transaction(engine) as connection:
            if engine.dialect.name == "sqlite":
                _prepare_sqlite(connection)
            else:
                _prepare_postgres(connection)
    except DBAPIError as error:
        log.warning("literal_index_missing", detail=str(error.orig), consequence="exact search reads all texts")
        return False
    return True


def _prepare_sqlite(connection: Connection) -> None:
    names = "'chunk_trigrams', 'chunk_trigrams_added', 'chunk_trigrams_removed'"
    there = connection.scalar(text(f"SELECT count(*) FROM sqlite_master WHERE name IN ({names})"))  # noqa: S608
    if there == len(_SQLITE_INDEX):
        return
    with _told(connection):
        for statement in _SQLITE_INDEX:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO chunk_trigrams (chunk_trigrams) VALUES ('rebuild')")


# `detail=none`: only which rows hold a trigram, half the size; that they stand side by side is seen in the text.
_SQLITE_INDEX = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS chunk_trigrams USING fts5(folded, content='chunk_texts', content_rowid='id',"
    " tokenize='trigram case_sensitive 1', detail=none)",
    "CREATE TRIGGER IF NOT EXISTS chunk_trigrams_added AFTER INSERT ON chunk_texts BEGIN"
    " INSERT INTO chunk_trigrams (rowid, folded) VALUES (new.id, new.folded); END",
    "CREATE TRIGGER IF NOT EXISTS chunk_trigrams_removed AFTER DELETE ON chunk_texts BEGIN"
    " INSERT INTO chunk_trigrams (chunk_trigrams, rowid, folded) VALUES ('delete', old.id, old.folded); END",
)


def _prepare_postgres(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PREPARING})
    if connection.scalar(text("SELECT to_regclass('ix_chunk_texts_trigrams')")) is None:
        with _told(connection):
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            connection.exec_driver_sql(
                "CREATE INDEX ix_chunk_texts_trigrams ON chunk_texts USING gin (folded gin_trgm_ops)"
            )


@contextmanager
def _told(connection: Connection) -> Iterator[None]:
    """Says what takes long, where it does."""
    rows = connection.scalar(text("SELECT count(*) FROM chunk_texts"))
    if rows:
        log.info("literal_index_begun", texts=rows)
    yield
    if rows:
        log.info("literal_index_made", texts=rows)
