"""The first result of a request, kept so that repeating the request repeats the result and not the work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import TenantId
from service.errors import IdempotencyKeyReused, RequestInProgress
from service.ledger.tables import idempotency_keys

KEPT_FOR = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=15)
"""A request that was begun this long ago and has no result died with its process."""


@dataclass(frozen=True, slots=True)
class FirstResult:
    """What the first request with that key was answered."""

    status: int
    body: bytes


class IdempotencyLedger:
    """Keys are the tenant's own: two tenants may use the same one. Safe from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, tenant: TenantId, key: str, fingerprint: str) -> FirstResult | None:
        """The first result if there is one; None if this is the first request, which then must `finish` or `abandon`.

        Raises: IdempotencyKeyReused for another request under that key; RequestInProgress while the first one runs.
        """
        now = datetime.now(UTC)
        columns = idempotency_keys.c
        with write_transaction(self._engine) as connection:
            connection.execute(delete(idempotency_keys).where(_stale(now)))
            row = connection.execute(
                select(columns.fingerprint, columns.status, columns.body).where(_is(tenant, key)).with_for_update()
            ).one_or_none()
            if row is None:
                self._insert(connection, tenant, key, fingerprint, now)
                return None
        if row.fingerprint != fingerprint:
            raise IdempotencyKeyReused("this Idempotency-Key was used for another request: take a new one")
        if row.status is None:
            raise _still_running()
        return FirstResult(row.status, row.body)

    def finish(self, tenant: TenantId, key: str, result: FirstResult) -> None:
        """Keep the result of the first request."""
        with write_transaction(self._engine) as connection:
            connection.execute(
                update(idempotency_keys).where(_is(tenant, key)).values(status=result.status, body=result.body)
            )

    def abandon(self, tenant: TenantId, key: str) -> None:
        """Forget a request that failed, so that it may be tried again."""
        with write_transaction(self._engine) as connection:
            connection.execute(delete(idempotency_keys).where(_is(tenant, key), idempotency_keys.c.status.is_(None)))

    def _insert(self, connection: Connection, tenant: TenantId, key: str, fingerprint: str, now: datetime) -> None:
        try:
            connection.execute(
                insert(idempotency_keys).values(tenant=tenant, key=key, fingerprint=fingerprint, started_at=now)
            )
        except IntegrityError as error:  # Postgres: the same request arrived twice at the same moment
            raise _still_running() from error


def _still_running() -> RequestInProgress:
    return RequestInProgress("the first request with this Idempotency-Key is still running: try again later")


def _is(tenant: TenantId, key: str) -> ColumnElement[bool]:
    return and_(idempotency_keys.c.tenant == tenant, idempotency_keys.c.key == key)


def _stale(now: datetime) -> ColumnElement[bool]:
    columns = idempotency_keys.c
    return or_(
        columns.started_at < now - KEPT_FOR,
        and_(columns.status.is_(None), columns.started_at < now - ABANDONED_AFTER),
    )
