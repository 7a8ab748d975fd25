"""Secrets that the ledger makes for itself, once for all processes."""

from __future__ import annotations

import secrets

from sqlalchemy import Engine, select

from ingestion.corpus.database import insert_if_absent, write_transaction
from service.ledger.tables import ledger_secrets

QUERY_HASH = "query_hash"


def ledger_secret(engine: Engine, name: str) -> bytes:
    """32 random bytes, the same for everyone who asks for that name."""
    with write_transaction(engine) as connection:
        insert_if_absent(connection, ledger_secrets, {"name": name, "value": secrets.token_bytes(32)})
        found: bytes = connection.execute(
            select(ledger_secrets.c.value).where(ledger_secrets.c.name == name)
        ).scalar_one()
    return found
