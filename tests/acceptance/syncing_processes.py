"""Runs `syncing_child` as a process: hears what it does, lets it go on, or kills it in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from ingestion.settings import Settings

REPO = Path(__file__).resolve().parents[2]
_FAREWELL_S = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the process. `number` counts the events of that stage; of `step` and `held` only."""

    what: str
    source: str
    stage: str = ""
    number: int = 0
    report: dict[str, Any] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    error: str = ""


class SyncingProcess:
    """One process, from its start until it has ended, in one way or another."""

    def __init__(self, settings: Settings, order: Sequence[str], holds: Sequence[tuple[str, int]]) -> None:
        plan = json.dumps({"order": list(order), "holds": list(holds)})
        self._log = settings.data_dir.with_name(f"{settings.data_dir.name}.log")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.syncing_child", plan],
                cwd=REPO,
                env=_environment(settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._below: list[psutil.Process] = []

    def __enter__(self) -> SyncingProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def events(self) -> Iterator[Event]:
        """What it says, as it says it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"@") and line.endswith(b"\n"):
                said = json.loads(line[1:])
                yield Event(said.pop("event"), **said)

    def go_on(self) -> None:
        """After `held`."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def kill(self) -> tuple[tuple[str, ...], list[Event]]:
        """The names of the processes that it had started and that ran, and what it had said that was not heard yet."""
        with suppress(psutil.NoSuchProcess):
            self._below = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        status = self._process.wait()
        unheard = list(self.events())
        done = bool(unheard) and unheard[-1].what == "done"
        assert status == -signal.SIGKILL or (done and status == 0), f"it had ended by itself: {self._complaint()}"
        return tuple(sorted(filter(None, map(_name, self._below)))), unheard

    def survivors(self) -> list[str]:
        """Names of the processes that it had started and that do not end."""
        deadline = time.monotonic() + _FAREWELL_S
        while (alive := list(filter(None, map(_name, self._below)))) and time.monotonic() < deadline:
            time.sleep(0.01)
        return alive

    def ended_well(self) -> None:
        assert self._process.wait() == 0, self._complaint()

    def _complaint(self) -> str:
        return f"status {self._process.returncode}: {self._log.read_text(errors='replace')[-3000:]}"


def _name(process: psutil.Process) -> str | None:
    """None if it is no more, or only its parent has not noticed."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except psutil.NoSuchProcess:
        return None


def temporary_folder(settings: Settings) -> Path:
    """The folder for temporary files of the processes."""
    folder = settings.data_dir.with_name(f"{settings.data_dir.name}-tmp")
    folder.mkdir(exist_ok=True)
    return folder


def _environment(settings: Settings) -> dict[str, str]:
    """All the settings that differ from what is set by default."""
    embedder, sources = settings.embedder, settings.sources
    databases = {name: address.get_secret_value() for name, address in sources.databases.items()}
    given = {
        "DATA_DIR": str(settings.data_dir),
        "LOG_LEVEL": "warning",
        "SOURCES__DATABASES": json.dumps(databases),
        "SOURCES__ALLOWED_HOSTS": json.dumps(sources.allowed_hosts),
        "INDEX": settings.index.model_dump_json(),
        "EMBEDDER": json.dumps(embedder.model_dump(mode="json") | {"api_key": _secret(embedder.api_key)}),
    }
    if settings.models_dir is not None:
        given["MODELS_DIR"] = str(settings.models_dir)
    if settings.database_url is not None:
        given["DATABASE_URL"] = settings.database_url.get_secret_value()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    return own | {f"PLUMBLINE_{name}": value for name, value in given.items()}


def _secret(value: Any) -> str | None:
    return None if value is None else value.get_secret_value()
