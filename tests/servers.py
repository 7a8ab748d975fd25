"""A throwaway Qdrant server for tests: its own folder and ports, on loopback; gone when the context ends."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingestion.settings import EngineKind, IndexSettings

_STARTUP_S = 60.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class QdrantServer:
    """A running server. `pid` is its process, for tests that stop it."""

    url: str
    grpc_port: int
    pid: int

    def settings(self, prefix: str, *, timeout_s: float = 30.0, write_batch: int = 64) -> IndexSettings:
        """Index settings that lead here; a prefix of its own keeps one test's points from another's."""
        return IndexSettings(
            engine=EngineKind.SERVER,
            url=self.url,
            grpc_port=self.grpc_port,
            prefix=prefix,
            timeout_s=timeout_s,
            write_batch=write_batch,
        )


def free_ports(count: int) -> list[int]:
    """Different TCP ports that were free on loopback a moment ago."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@contextmanager
def running_qdrant(binary: Path, folder: Path, *, api_key: str | None = None) -> Iterator[QdrantServer]:
    """A server with its data in `folder`, ready to answer. Raises: RuntimeError with its log if it does not start."""
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        http_port, grpc_port = free_ports(2)
        process = _start(binary, folder, {"HTTP_PORT": http_port, "GRPC_PORT": grpc_port}, api_key)
        try:
            url = f"http://127.0.0.1:{http_port}"
            if _becomes_ready(process, url):
                yield QdrantServer(url, grpc_port, process.pid)
                return
            # Another program may have taken the port in between: try others.
            if attempt == _ATTEMPTS - 1:
                raise RuntimeError(f"Qdrant did not start:\n{(folder / 'server.log').read_text()[-4000:]}")
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(binary: Path, folder: Path, ports: dict[str, int], api_key: str | None) -> subprocess.Popen[bytes]:
    environment = {
        "QDRANT__SERVICE__HOST": "127.0.0.1",
        "QDRANT__TELEMETRY_DISABLED": "true",
        "QDRANT__STORAGE__STORAGE_PATH": str(folder / "storage"),
        "QDRANT__STORAGE__SNAPSHOTS_PATH": str(folder / "snapshots"),
        **{f"QDRANT__SERVICE__{name}": str(port) for name, port in ports.items()},
    }
    if api_key is not None:
        environment["QDRANT__SERVICE__API_KEY"] = api_key
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen([binary], env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _becomes_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + _STARTUP_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200) and process.poll() is None
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        return False
    return False
