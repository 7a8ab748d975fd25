"""API keys: made, listed, revoked and recognised. A key is `pl_<id>_<secret>`; only the hash of its secret is stored.

The hash is one round of SHA-256. Slow, salted hashes protect passwords, which can be guessed; the secret has
256 random bits, which can't, and every request has to check it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, insert, select, update

from ingestion.corpus.database import write_transaction
from ingestion.corpus.scope import PUBLIC_READER, TenantId
from ingestion.errors import InvalidRequest, NotFound
from service.access.principals import DEFAULT_TENANT, Permission, Principal
from service.errors import Unauthenticated
from service.ledger.audit import SERVICE, Action, Note, append
from service.ledger.tables import api_keys

PREFIX = "pl_"
_USE_NOTED_EVERY = timedelta(minutes=1)
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_NO_HASH = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be. `labels=None` reads every document of the tenant; a set, those and unlabelled ones."""

    name: str
    tenant: TenantId = DEFAULT_TENANT
    permissions: frozenset[Permission] = field(default_factory=lambda: frozenset({Permission.SEARCH}))
    labels: frozenset[str] | None = None
    expires_at: datetime | None = None

    def check(self) -> None:
        """Raises: InvalidRequest."""
        if not 0 < len(self.name.strip()) <= 128:
            raise InvalidRequest("a key needs a name of at most 128 characters", pointer="/name")
        if not _TENANT.fullmatch(self.tenant):
            raise InvalidRequest(
                "a tenant is 1 to 64 lower-case letters, digits, - and _, and begins with a letter or digit",
                pointer="/tenant",
            )
        if not self.permissions:
            raise InvalidRequest("a key needs at least one scope", pointer="/scopes")
        for label in self.labels or ():
            if not _LABEL.fullmatch(label) or label == PUBLIC_READER:
                raise InvalidRequest(f"not a label: {label!r}", pointer="/labels")


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key, without its secret."""

    id: str
    name: str
    tenant: TenantId
    permissions: frozenset[Permission]
    labels: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class Keys:
    """The keys of every tenant. Safe from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, new: NewKey, by: str = SERVICE) -> tuple[Key, str]:
        """The key and its token, which is not stored and can't be had again. `by` is told to the audit log.

        Raises: InvalidRequest.
        """
        new.check()
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = Key(
            id_,
            new.name.strip(),
            new.tenant,
            new.permissions,
            new.labels,
            datetime.now(UTC),
            new.expires_at,
            None,
            None,
        )
        row = {
            "id": id_,
            "secret_sha256": _hash(secret),
            "name": key.name,
            "tenant": key.tenant,
            "scopes": sorted(key.permissions),
            "labels": None if key.labels is None else sorted(key.labels),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        }
        with write_transaction(self._engine) as connection:
            connection.execute(insert(api_keys).values(row))
            detail = {name: row[name] for name in ("name", "scopes", "labels")}
            expires_at = None if key.expires_at is None else key.expires_at.isoformat()
            note = Note(key.tenant, by, Action.KEY_CREATE, id_, {**detail, "expires_at": expires_at})
            append(connection, key.tenant, [note])
        return key, f"{PREFIX}{id_}_{secret}"

    def list(self) -> tuple[Key, ...]:
        """Every key ever made, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id)).all()
        return tuple(_key(row) for row in rows)

    def revoke(self, id_: str, by: str = SERVICE) -> None:
        """The key is refused from now on. Revoking twice is revoking once. Raises: NotFound."""
        with write_transaction(self._engine) as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == id_)).one_or_none()
            if row is None:
                raise NotFound(f"no key {id_!r}; `plumbline keys list` shows their ids")
            if row.revoked_at is None:
                connection.execute(update(api_keys).where(api_keys.c.id == id_).values(revoked_at=datetime.now(UTC)))
                append(connection, row.tenant, [Note(row.tenant, by, Action.KEY_REVOKE, id_, {"name": row.name})])

    def are_required(self) -> bool:
        """Whether there is a key that was not revoked. An expired one counts: expiry must not open the door."""
        with self._engine.connect() as connection:
            return (
                connection.execute(select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None)).limit(1)).first()
                is not None
            )

    def recognise(self, token: str) -> Principal:
        """Who carries that token. Raises: Unauthenticated, in the same words whatever is wrong with it."""
        id_, _, secret = token.removeprefix(PREFIX).partition("_")
        with self._engine.connect() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == id_[:16])).one_or_none()
        # Compared even if there is no such key, so that the time taken does not tell.
        matches = hmac.compare_digest(_hash(secret), _NO_HASH if row is None else row.secret_sha256)
        now = datetime.now(UTC)
        if row is None or not matches or not token.startswith(PREFIX) or _key(row).state(now) != "active":
            raise Unauthenticated("this key is not valid: unknown, revoked or expired")
        key = _key(row)
        if key.last_used_at is None or now - key.last_used_at > _USE_NOTED_EVERY:
            self._note_use(key.id, now)
        return Principal(key.tenant, key.permissions, key.labels, key.id)

    def _note_use(self, id_: str, now: datetime) -> None:
        with write_transaction(self._engine) as connection:
            connection.execute(update(api_keys).where(api_keys.c.id == id_).values(last_used_at=now))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Row[Any]) -> Key:
    labels: Iterable[str] | None = row.labels
    return Key(
        id=row.id,
        name=row.name,
        tenant=TenantId(row.tenant),
        permissions=frozenset(Permission(scope) for scope in row.scopes),
        labels=None if labels is None else frozenset(labels),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
