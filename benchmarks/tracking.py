"""What tracking adds to a search: `python -m benchmarks.tracking [--corpus FOLDER] [--control]`.

Two servers over copies of one corpus (see `many_chunks`), one with traces and the audit log's entries of questions, and
one without, are asked the same queries
over kept-alive connections: in blocks, turn and turn about (ABBA), with a rest between blocks that is longer than the
flush window, so that no server pays for the other's traces. Every block of the one has its twin of the other, asked the
same within a second or two; the intervals are by bootstrap over these pairs (95 %). The rest is no help to the server
with traces: its work falls into its own block, but for the last flush.

`--control` leaves traces out on both sides: what the ratio is worth on this machine.
A corpus folder that is given is kept and used again; building one of 10,000 chunks takes a minute or two.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import running_api
from benchmarks.many_chunks import fill
from benchmarks.search import questions
from ingestion.settings import Settings

BLOCK = 40
WARM_UP = 100
REST_S = 0.7
RESAMPLED = 2_000
GOALS = {50: 1.03, 99: 1.05}
_COUNTERS = re.compile(r"^(plumbline_ledger_(?:written|dropped)_total\S*) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Server:
    """A served corpus, and a connection to it that is kept."""

    connection: HTTPConnection
    pid: int

    def search(self, query: str) -> float:
        """Milliseconds until the whole response was there."""
        body = json.dumps({"query": query})
        started = time.perf_counter()
        self.connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        answer = response.read()
        taken = (time.perf_counter() - started) * 1e3
        assert response.status == 200, answer
        return taken

    def counters(self) -> dict[str, float]:
        self.connection.close()
        self.connection.request("GET", "/metrics")
        return {name: float(value) for name, value in _COUNTERS.findall(self.connection.getresponse().read().decode())}

    def cpu_s(self) -> float:
        """CPU time of the process so far."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--corpus", type=Path, help="folder to keep the corpus in")
    arguments.add_argument("--chunks", type=int, default=10_000, help="chunks of the corpus")
    arguments.add_argument("--seconds", type=float, default=150, help="time to measure for")
    arguments.add_argument("--control", action="store_true", help="no traces on both sides")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        root = chosen.corpus or Path(temporary) / "corpus"
        settings = Settings(data_dir=root / "data", models_dir=root / "models")
        chunks = fill(settings, chosen.chunks)
        off = {"PLUMBLINE_LEDGER__ENABLED": "false", "PLUMBLINE_AUDIT__QUESTIONS": "false"}
        settings_of: dict[str, dict[str, str]] = {"without": off, "with": off if chosen.control else {}}
        servers = {}
        for name, variables in settings_of.items():
            copy = Path(temporary) / name
            shutil.copytree(settings.data_dir, copy)
            address, pid = stack.enter_context(running_api(copy, root / "models", variables))
            servers[name] = Server(stack.enter_context(closing(HTTPConnection(urlsplit(address).netloc))), pid)
        before = {name: server.cpu_s() for name, server in servers.items()}
        without, with_ = measure(servers["without"], servers["with"], chosen.seconds)
        print(f"\n{chunks} chunks; {len(with_)} pairs of blocks of {BLOCK} searches; control: {chosen.control}")
        report(without, with_)
        for name, server in servers.items():
            told = ", ".join(f"{counter} {value:.0f}" for counter, value in server.counters().items())
            spent = (server.cpu_s() - before[name]) / (WARM_UP + len(with_) * (BLOCK + 1))
            print(f"{name}: {told or 'no record'}; CPU {spent * 1e3:.2f} ms per search")


def measure(without: Server, with_: Server, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Milliseconds `(pairs, BLOCK)` of both servers."""
    asked = [one.query for one in islice(questions(), 2_000)]
    for query in asked[:WARM_UP]:
        for server in (without, with_):
            server.search(query)
    taken: tuple[list[list[float]], list[list[float]]] = ([], [])
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        pair = len(taken[0])
        queries = [asked[(pair * BLOCK + place) % len(asked)] for place in range(BLOCK)]
        order = ((without, taken[0]), (with_, taken[1]))
        for server, times in order if pair % 2 else order[::-1]:
            time.sleep(REST_S)
            server.connection.close()  # the server may have closed it meanwhile
            server.search(queries[-1])
            times.append([server.search(query) for query in queries])
    return np.array(taken[0]), np.array(taken[1])


def report(without: NDArray[np.float64], with_: NDArray[np.float64]) -> None:
    """Percentiles of both, and their ratios with intervals."""
    chance = np.random.default_rng(7)
    drawn = [chance.integers(0, len(with_), len(with_)) for _ in range(RESAMPLED)]
    print(f"{'':6} {'without':>9} {'with':>9} {'ratio':>7}   95 % interval")
    for percent in (50, 90, 95, 99):
        ratios = [np.percentile(with_[rows], percent) / np.percentile(without[rows], percent) for rows in drawn]
        low, high = np.percentile(ratios, (2.5, 97.5))
        first, second = np.percentile(without, percent), np.percentile(with_, percent)
        goal = f", goal: at most {GOALS[percent]}" if percent in GOALS else ""
        print(f"p{percent:<5} {first:9.2f} {second:9.2f} {second / first:7.3f}   {low:.3f} to {high:.3f}{goal}")
    # The median over pairs of the ratio within a pair: what is least moved by other work on the machine.
    paired = np.median(np.median(with_, axis=1) / np.median(without, axis=1))
    print(f"median over pairs of the ratio of their medians: {paired:.3f}")


if __name__ == "__main__":
    main()
