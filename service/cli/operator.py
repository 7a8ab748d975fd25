"""What commands that change something tell the audit log, and as whom."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from service.cli.console import reported, settings
from service.ledger.audit import Action, Audit, Note
from service.ledger.database import migrate_ledger
from service.settings import AuditSettings


def operator() -> str:
    """How the audit log names whoever runs a command: by the account of the process, which no variable changes."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # an account of a container that has no name
        name = str(uid)
    return f"cli:{name}"


def noting(command: Callable[..., None]) -> Callable[..., None]:
    """The command `plumbline ingest`, noted in the audit log before it begins; it knows nothing of the service."""

    @wraps(command)
    def noted(**options: Any) -> None:
        with reported():
            loaded = settings(quiet=True)
            database = open_database(loaded)
            try:
                migrate_ledger(database)
                paths = [str(path) for path in options["paths"]]
                detail = {"paths": paths, "number": len(paths), "collections": [options["collection"]]}
                note = Note(options["tenant"], operator(), Action.DOCUMENTS_ADD, paths[0], detail)
                Audit(database, loaded.audit).write(note)
            finally:
                database.dispose()
        command(**options)

    return noted


@contextmanager
def audited(engine: Engine, tenant: str, action: Action, subject: str | None = None, **detail: Any) -> Iterator[None]:
    """Announce what a command changes in the context. Raises: AuditUnavailable before anything is changed."""
    migrate_ledger(engine)
    with Audit(engine, AuditSettings()).change(Note(tenant, operator(), action, subject, detail)):
        yield
