"""How hits are to be weighed in a generation, as fitted to a tenant's collections; what it means is the reader's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from ingestion.corpus import tables
from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import Scope, TenantId

ALL = ""
"""Stands for every collection that has no profile of its own."""
_NOTICE_S = 5.0
"""How long a profile that another process has stored may be unknown here."""

_rankings = tables.rankings.c


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile as JSON, of one collection or of ALL."""

    collection: str
    profile: Mapping[str, Any]
    fitted_at: datetime


class RankingStore:
    """Rows of `rankings`. Safe from several threads; a search asks the database every few seconds only."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, TenantId], tuple[float, dict[str, StoredProfile]]] = {}

    def profiles(self, scope: Scope, generation: str) -> Mapping[str, StoredProfile]:
        """The tenant's profiles of a generation by collection; those of the last few seconds may be missing."""
        key = generation, scope.tenant
        with self._lock:
            read_at, profiles = self._known.get(key, (float("-inf"), {}))
        if self._clock() - read_at < _NOTICE_S:
            return profiles
        mine = (_rankings.generation == generation, _rankings.tenant == scope.tenant)
        with self._engine.connect() as connection:
            rows = connection.execute(select(tables.rankings).where(*mine).order_by(_rankings.collection)).all()
        profiles = {row.collection: StoredProfile(row.collection, row.profile, row.fitted_at) for row in rows}
        with self._lock:
            self._known[key] = self._clock(), profiles
        return profiles

    def put(self, scope: Scope, generation: str, collection: str, profile: Mapping[str, Any]) -> None:
        """Store a profile in place of the one before it; effective at once in this process."""
        row = {"generation": generation, "tenant": scope.tenant, "collection": collection}
        with write_transaction(self._engine) as connection:
            connection.execute(delete(tables.rankings).where(*_only(scope, generation, collection)))
            values = row | {"profile": dict(profile), "fitted_at": datetime.now(UTC)}
            connection.execute(insert(tables.rankings).values(values))
        self._forget(scope, generation)

    def remove(self, scope: Scope, generation: str, collection: str) -> bool:
        """Whether there was a profile to remove."""
        with write_transaction(self._engine) as connection:
            removed = connection.execute(delete(tables.rankings).where(*_only(scope, generation, collection))).rowcount
        self._forget(scope, generation)
        return removed > 0

    def _forget(self, scope: Scope, generation: str) -> None:
        with self._lock:
            self._known.pop((generation, scope.tenant), None)


def _only(scope: Scope, generation: str, collection: str) -> tuple[Any, ...]:
    mine = (_rankings.tenant == scope.tenant, _rankings.generation == generation)
    return (*mine, _rankings.collection == collection)
