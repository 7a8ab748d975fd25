"""The words and languages of each tenant's documents: recorded as documents are staged, read to understand queries.

Counts are approximate, right to a factor of two: a process writes one when it has doubled, and a document that comes
again is counted again.
`count_words` counts anew. An older corpus has no words until its documents come again or are rebuilt, which the change
of the lexical encoder makes happen anyway; until then queries are read as English and nothing is corrected.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Engine, Table, and_, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from ingestion.corpus import tables
from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import TenantId
from ingestion.corpus.stemming import ALGORITHMS, language_of
from ingestion.corpus.words import spelled_words

_MOST_REMEMBERED = 300_000
"""Words of all tenants that a recorder counts; beyond that it begins anew."""
_MOST_COUNTED = 1_000_000
_BATCH = 200


@dataclass(frozen=True, slots=True)
class VocabularyState:
    """`changes` grows with each change; words before `counted_at_change` may be gone."""

    changes: int
    counted_at_change: int


class WordRecorder:
    """Records words within the transactions of others, next to nothing where all are known. Safe from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[TenantId, dict[str, int]] = {}
        self._languages: dict[tuple[TenantId, str], int] = {}
        self._remembered = 0

    def record(self, connection: Connection, tenant: TenantId, texts: Iterable[str], language: str | None) -> None:
        """Note the words of one document. `language`: ISO 639-1; one without a stemmer is not noted."""
        found = {word.casefold() for text in texts for word in spelled_words(text)}
        fresh, doubled = self._count(tenant, found)
        spoken = self._count_language(tenant, language) if language in ALGORITHMS else 0
        change = _next_change(connection, tenant) if fresh or spoken else 0
        _add(connection, tenant, {**dict.fromkeys(fresh, 1), **doubled}, change)
        if spoken:
            _add_languages(connection, tenant, {str(language): spoken})

    def _count_language(self, tenant: TenantId, language: str | None) -> int:
        """By how much the language's count grew if it is a power of two by now, else 0."""
        with self._lock:
            count = self._languages[tenant, str(language)] = self._languages.get((tenant, str(language)), 0) + 1
        return 0 if count & (count - 1) else max(1, count // 2)

    def _count(self, tenant: TenantId, found: set[str]) -> tuple[list[str], dict[str, int]]:
        """Words that are new to this process, and by how much those grew whose count is a power of two by now."""
        with self._lock:
            if self._remembered > _MOST_REMEMBERED:
                self._counts.clear()
                self._remembered = 0
            counts = self._counts.setdefault(tenant, {})
            fresh, doubled = [], {}
            for word in sorted(found):
                count = counts[word] = counts.get(word, 0) + 1
                if count == 1:
                    fresh.append(word)
                elif count & (count - 1) == 0:
                    doubled[word] = count // 2
            self._remembered += len(fresh)
        return fresh, doubled


class WordReader:
    """Reads what was recorded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Built once: every search runs it.
        rows = tables.vocabularies.c
        self._state = select(rows.changes, rows.counted_at_change).where(rows.tenant == bindparam("tenant"))

    def state(self, tenant: TenantId) -> VocabularyState:
        """How far the tenant's words are by now: one look into an index."""
        with self._engine.connect() as connection:
            row = connection.execute(self._state, {"tenant": tenant}).one_or_none()
        return VocabularyState(0, 0) if row is None else VocabularyState(row.changes, row.counted_at_change)

    def languages(self, tenant: TenantId) -> dict[str, int]:
        """ISO 639-1 codes of languages with a stemmer, those of most documents first, with about how many these are."""
        rows = tables.languages.c
        order = rows.documents.desc(), rows.language
        query = select(rows.language, rows.documents).where(rows.tenant == tenant).order_by(*order)
        with self._engine.connect() as connection:
            return {row.language: row.documents for row in connection.execute(query)}

    def words(self, tenant: TenantId, *, after: int = 0, most: int) -> list[tuple[str, int]]:
        """Up to `most` words that came after a change, those in most documents first, with how many these are."""
        rows = tables.words.c
        query = (
            select(rows.word, rows.documents)
            .where(and_(rows.tenant == tenant, rows.added > after))
            .order_by(rows.documents.desc(), rows.word)
            .limit(most)
        )
        with self._engine.connect() as connection:
            return [(word, documents) for word, documents in connection.execute(query)]


def count_words(engine: Engine, tenant: TenantId) -> int:
    """Count the tenant's words and languages anew, from the text of its live documents; returns how many words.

    What changes meanwhile is recorded as ever. Words beyond a million distinct ones that stand in one document only are
    left out.
    """
    counts: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for title, text, language in _live_texts(engine, tenant):
        counts.update({word.casefold() for part in (title, text) for word in spelled_words(part)})
        if language is not None and language in ALGORITHMS:
            languages[language] += 1
        if len(counts) > _MOST_COUNTED:
            counts = Counter({word: count for word, count in counts.items() if count > 1})
    with write_transaction(engine) as connection:
        change = _next_change(connection, tenant)
        connection.execute(delete(tables.words).where(tables.words.c.tenant == tenant))
        connection.execute(delete(tables.languages).where(tables.languages.c.tenant == tenant))
        _add(connection, tenant, counts, change)
        _add_languages(connection, tenant, languages)
        vocabularies = tables.vocabularies
        connection.execute(
            vocabularies.update().where(vocabularies.c.tenant == tenant).values(counted_at_change=change)
        )
    return len(counts)


def _live_texts(engine: Engine, tenant: TenantId) -> Iterator[tuple[str, str, str | None]]:
    """Title, text and language of each live document, some at a time."""
    documents, versions = tables.documents.c, tables.versions.c
    after = ""
    while True:
        query = (
            select(documents.key, documents.title, documents.metadata, versions.text)
            .join_from(
                tables.documents,
                tables.versions,
                and_(versions.document_key == documents.key, versions.version == documents.version),
            )
            .where(documents.tenant == tenant, documents.key > after)
            .order_by(documents.key)
            .limit(_BATCH)
        )
        with engine.connect() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            yield row.title, row.text, language_of(row.metadata)
        if len(rows) < _BATCH:
            return
        after = rows[-1].key


def _next_change(connection: Connection, tenant: TenantId) -> int:
    """The number of this change. Others of the tenant wait until it is through: who sees it sees all before it."""
    values = {"tenant": tenant, "changes": 1, "counted_at_change": 0}
    change: int = connection.execute(_counting(connection.dialect.name), values).scalar_one()
    return change


def _add(connection: Connection, tenant: TenantId, counts: Mapping[str, int], change: int) -> None:
    """Add to the counts, in alphabetical order, so that no two writers wait for each other in a circle."""
    rows = [{"tenant": tenant, "word": word, "documents": counts[word], "added": change} for word in sorted(counts)]
    if rows:
        connection.execute(_adding(connection.dialect.name, "word"), rows)


def _add_languages(connection: Connection, tenant: TenantId, counts: Mapping[str, int]) -> None:
    rows = [{"tenant": tenant, "language": language, "documents": counts[language]} for language in sorted(counts)]
    if rows:
        connection.execute(_adding(connection.dialect.name, "language"), rows)


# Built once: every document that is ingested runs them, and building them anew costs as much as running them.


@cache
def _counting(dialect: str) -> ReturningInsert[int]:
    table = tables.vocabularies
    upsert = _insert(dialect, table).on_conflict_do_update(
        index_elements=["tenant"], set_={"changes": table.c.changes + 1}
    )
    return upsert.returning(table.c.changes)


@cache
def _adding(dialect: str, key: str) -> postgresql.Insert | sqlite.Insert:
    table = tables.words if key == "word" else tables.languages
    insert = _insert(dialect, table)
    return insert.on_conflict_do_update(
        index_elements=["tenant", key],
        set_={"documents": table.c.documents + insert.excluded.documents},
    )


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
