"""What each start of the service puts into the audit log: that it was, and which settings are other than the last time.

Secrets are never told: whether one changed shows in a keyed hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, SecretStr
from sqlalchemy import Connection, Engine, select

from ingestion.corpus.database import write_transaction
from service.ledger.audit import SERVICE, SERVICE_CHAIN, Action, Audit, Note, append
from service.ledger.secrets import ledger_secret
from service.ledger.tables import audit_log
from service.settings import ServiceSettings

DEFAULT = "default"
CHANGED = "changed"

_KEY = "settings"
_HASH_CHARS = 16
_LONGEST = 500
_HIDDEN = "hash "
_USERINFO = re.compile(r"://[^/@\s]+@")


@contextmanager
def open_audit(engine: Engine, settings: ServiceSettings) -> Iterator[Audit]:
    """The audit log of a service that starts now. Heads are told at its start and at its end."""
    audit = Audit(engine, settings.audit)
    note_start(engine, settings)
    audit.tell_heads()
    yield audit
    audit.tell_heads()


def note_start(engine: Engine, settings: ServiceSettings) -> None:
    """Write an entry about this start, and before it one about the settings that changed since the last one."""
    told = told_settings(settings, ledger_secret(engine, _KEY))
    start = Note(SERVICE_CHAIN, SERVICE, Action.SERVICE_START, version("plumbline"), {"settings": told})
    with write_transaction(engine) as connection:
        before = _last(connection)
        changes = {} if before is None else changed(before, told)
        change = Note(SERVICE_CHAIN, SERVICE, Action.SETTINGS_CHANGE, None, {"settings": changes})
        append(connection, SERVICE_CHAIN, [change, start] if changes else [start])


def told_settings(settings: BaseModel, key: bytes, prefix: str = "PLUMBLINE_") -> dict[str, str]:
    """Every setting that is not at its default, by its variable: as JSON, a secret as a hash."""
    told: dict[str, str] = {}
    for name, field in type(settings).model_fields.items():
        value, variable = getattr(settings, name), f"{prefix}{name.upper()}"
        if isinstance(value, BaseModel):
            told |= told_settings(value, key, f"{variable}__")
        elif value != field.get_default(call_default_factory=True):
            told[variable] = _told(value, key)
    return told


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Old and new value of each setting that is another; of a secret only that it changed."""
    found = {}
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, DEFAULT), now.get(name, DEFAULT)
        if old != new:
            found[name] = {"old": _open(old, "set"), "new": _open(new, CHANGED)}
    return found


def _told(value: Any, key: bytes) -> str:
    if isinstance(value, SecretStr):
        return _HIDDEN + _hash(value.get_secret_value(), key)
    if isinstance(value, Mapping) and any(isinstance(one, SecretStr) for one in value.values()):
        # Names of databases are no secrets, their addresses are.
        return _HIDDEN + ", ".join(f"{name} {_told(one, key).removeprefix(_HIDDEN)}" for name, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        text = json.dumps([str(one) for one in value])
    else:
        text = json.dumps(value, default=str)
    # An address with a name and a password in it is a secret, and one that is too long is told as one is.
    hidden = _USERINFO.search(text) is not None or len(text) > _LONGEST
    return f"{_HIDDEN}{_hash(text, key)}" if hidden else text


def _open(told: str, word: str) -> str:
    return word if told.startswith(_HIDDEN) else told


def _hash(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_HASH_CHARS]


def _last(connection: Connection) -> dict[str, str] | None:
    """The settings that the last start told; None if there is none."""
    columns = audit_log.c
    starts = select(columns.detail).where(columns.tenant == SERVICE_CHAIN, columns.action == Action.SERVICE_START.value)
    found = connection.execute(starts.order_by(columns.n.desc()).limit(1)).scalar_one_or_none()
    return None if found is None else dict(found["settings"])
