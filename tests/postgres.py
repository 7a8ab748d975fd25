"""A throwaway Postgres for tests: its own folder, port and user; gone when the context ends."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged_user() -> str | None:
    """Postgres refuses to run as root: the user to run it as instead, or None if we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def running_postgres(programs: Path) -> Iterator[str]:
    """Address (`postgresql+psycopg://…/postgres`) of a server started with the programs in that folder.

    Loopback only, no password, nothing synced to disk: for tests.
    """
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="plumbline-postgres-"))
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c full_page_writes=off"

    def pg(*command: str) -> None:
        # To a file, not a pipe: the server inherits it, and a pipe would never see its end.
        with (folder / "commands.log").open("a+") as log:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=120, user=user, cwd=folder, check=False)
            if done.returncode:
                log.seek(0)
                raise RuntimeError(f"{command[0]} failed:\n{log.read()}")

    try:
        auth = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
        pg(str(programs / "initdb"), "-D", str(data), *auth)
        log_file = str(folder / "server.log")
        pg(str(programs / "pg_ctl"), "-D", str(data), "-l", log_file, "-o", options, "-w", "-t", "60", "start")
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            pg(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
