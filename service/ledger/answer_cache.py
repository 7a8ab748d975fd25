"""Answers kept as text for when they are asked for again: bounded in age and number, forgotten with their documents.

What the text means, and when it may be served, is left to `generation.caching`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, select

from ingestion.corpus.database import insert_if_absent, write_transaction
from ingestion.corpus.records import DocumentKey
from ingestion.corpus.scope import TenantId
from service.ledger.tables import cached_answers

KEPT_FOR = timedelta(days=7)
MOST_PER_TENANT = 1_000
LONGEST_TEXT = 200_000
"""Characters; a longer answer is not kept."""


class KeptAnswers:
    """Texts by tenant and key. Blocking; safe from several threads and processes.

    Whatever is done here first removes what is older than `kept_for`, of every tenant.
    """

    def __init__(
        self, engine: Engine, *, kept_for: timedelta = KEPT_FOR, most_per_tenant: int = MOST_PER_TENANT
    ) -> None:
        self._engine = engine
        self._kept_for = kept_for
        self._most = most_per_tenant

    def get(self, tenant: TenantId, key: str) -> str | None:
        """What was kept under that key, if it still is."""
        columns = cached_answers.c
        with self._engine.connect() as connection:
            stale = connection.execute(select(columns.key).where(self._is_stale()).limit(1)).first() is not None
            answer = connection.scalar(select(columns.answer).where(_is(tenant, key), ~self._is_stale()))
        if stale:
            self.prune()
        return None if answer is None else str(json.loads(answer)["answer"])

    def put(self, tenant: TenantId, key: str, text: str, documents: Sequence[DocumentKey]) -> bool:
        """Keep a text, in the place of what was there, until one of the documents is forgotten.

        False if it is too long to be kept. The oldest of the tenant go when there are too many.
        """
        if len(text) > LONGEST_TEXT:
            return False
        row = {
            "tenant": tenant,
            "key": key,
            "answer": json.dumps({"documents": sorted(set(documents)), "answer": text}),
            "created_at": datetime.now(UTC),
        }
        with write_transaction(self._engine) as connection:
            connection.execute(delete(cached_answers).where(self._is_stale() | _is(tenant, key)))
            insert_if_absent(connection, cached_answers, row)  # Postgres: another may have put it at the same moment
            self._limit(connection, tenant)
        return True

    def drop(self, tenant: TenantId, key: str) -> None:
        """Forget what is kept under a key."""
        with write_transaction(self._engine) as connection:
            connection.execute(delete(cached_answers).where(_is(tenant, key)))

    def forget(self, tenant: TenantId, document: DocumentKey | None = None) -> int:
        """How many answers are gone: all of the tenant, or those that were written from one document."""
        which = cached_answers.c.tenant == tenant
        if document is not None:
            # A key is a UUID, so it stands nowhere by chance; a row per document would cost more than it saves.
            which = and_(which, cached_answers.c.answer.contains(document, autoescape=True))
        with write_transaction(self._engine) as connection:
            return connection.execute(delete(cached_answers).where(which | self._is_stale())).rowcount

    def prune(self) -> None:
        """Remove what is too old."""
        with write_transaction(self._engine) as connection:
            connection.execute(delete(cached_answers).where(self._is_stale()))

    def _is_stale(self) -> ColumnElement[bool]:
        return cached_answers.c.created_at < datetime.now(UTC) - self._kept_for

    def _limit(self, connection: Connection, tenant: TenantId) -> None:
        columns = cached_answers.c
        newest = select(columns.key).where(columns.tenant == tenant).order_by(columns.created_at.desc(), columns.key)
        surplus = newest.offset(self._most)
        connection.execute(delete(cached_answers).where(columns.tenant == tenant, columns.key.in_(surplus)))


def _is(tenant: TenantId, key: str) -> ColumnElement[bool]:
    return and_(cached_answers.c.tenant == tenant, cached_answers.c.key == key)
