"""A throwaway MariaDB for tests: its own folder, port and user; gone when the context ends."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pymysql

from tests.postgres import free_port

_STARTUP_S = 60.0


@dataclass(frozen=True, slots=True)
class MariaDbPrograms:
    """Where the server and the script that fills a new data folder are."""

    server: Path
    install: Path


def mariadb_programs() -> MariaDbPrograms | None:
    """The installed programs, or None. Debian keeps the server outside of the usual path."""
    where = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    server, install = (shutil.which(name, path=where) for name in ("mariadbd", "mariadb-install-db"))
    return MariaDbPrograms(Path(server), Path(install)) if server and install else None


def _unprivileged_user() -> str | None:
    """MariaDB does not like to run as root: the user to run it as instead, or None if we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "mysql" if "mysql" in names else "nobody"


@contextmanager
def running_mariadb(programs: MariaDbPrograms) -> Iterator[str]:
    """Address (`mysql+pymysql://plumbline:…@127.0.0.1:…/`) of a server whose user may do everything.

    Loopback only, nothing synced to disk: for tests. Raises: RuntimeError with its log if it does not start.
    """
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="plumbline-mariadb-"))
    if user is not None:
        shutil.chown(folder, user)
    log_file = folder / "server.log"
    try:
        with log_file.open("ab") as log:
            command = [str(programs.install), "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db"]
            command += ["--auth-root-authentication-method=normal", *([f"--user={user}"] if user else [])]
            subprocess.run(command, stdout=log, stderr=log, timeout=120, cwd=folder, check=True)
            (folder / "start.sql").write_text(
                "CREATE USER plumbline@'127.0.0.1' IDENTIFIED BY 'Secret-4711';\n"
                "GRANT ALL ON *.* TO plumbline@'127.0.0.1' WITH GRANT OPTION;\n"
            )
            port = free_port()
            process = subprocess.Popen(
                _server_command(programs, folder, port, user), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            _wait_until_ready(process, port, log_file)
            yield f"mysql+pymysql://plumbline:Secret-4711@127.0.0.1:{port}/"
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_command(programs: MariaDbPrograms, folder: Path, port: int, user: str | None) -> list[str]:
    command = [str(programs.server), "--no-defaults", f"--datadir={folder / 'data'}", f"--port={port}"]
    command += ["--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
    command += [f"--init-file={folder / 'start.sql'}", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
    command += ["--innodb-buffer-pool-size=64M", "--performance-schema=OFF", "--skip-name-resolve"]
    command += ["--sql-mode=STRICT_TRANS_TABLES", "--max-allowed-packet=64M"]
    return command + ([f"--user={user}"] if user else [])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + _STARTUP_S
    while time.monotonic() < deadline:
        with suppress(pymysql.err.OperationalError):
            pymysql.connect(host="127.0.0.1", port=port, user="plumbline", password="Secret-4711").close()
            return
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"MariaDB did not start:\n{log_file.read_text(errors='replace')[-4000:]}")
