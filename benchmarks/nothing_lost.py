"""Whether anything is lost: `python -m benchmarks.nothing_lost [--seeds N] [--first N] [--edits N] [--kills N]`.

Places of every kind of origin are edited at random, also while they are synced, by a process that is killed again and
again, at each of its stages; after one undisturbed sync the corpus is compared with the origins and with a corpus that
met them only then. Tables of Postgres and MariaDB take part where these are installed. `--server` keeps the index on
the Qdrant server that PLUMBLINE_TEST_QDRANT names, and the catalogue in Postgres. Ends with status 1 if there is any
difference.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tests.acceptance.nothing_lost import Ending, Life
from tests.acceptance.places import new_database, open_worlds, settings_of
from tests.conftest import postgres_programs
from tests.embeddings_endpoint import Endpoint
from tests.ingestion.syncing.parts import quick_endpoint
from tests.mariadb import mariadb_programs, running_mariadb
from tests.postgres import running_postgres
from tests.servers import QdrantServer, running_qdrant


@dataclass(frozen=True, slots=True)
class Parts:
    """What all lives share. With `qdrant` the corpora are on servers."""

    servers: dict[str, str]
    endpoint: Endpoint
    qdrant: QdrantServer | None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--first", type=int, default=1)
    arguments.add_argument("--edits", type=int, default=200)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--server", action="store_true")
    chosen = arguments.parse_args()
    endings = []
    with ExitStack() as stack:
        parts = open_parts(stack, server=chosen.server)
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            started = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="nothing-lost-") as folder:
                ending = live(Path(folder), parts, seed, edits=chosen.edits, kills=chosen.kills)
            tell(ending, time.monotonic() - started)
            endings.append(ending)
    differences = sum(len(ending.differences) for ending in endings)
    edits = sum(sum(ending.edits.values()) for ending in endings)
    kills = sum(len(ending.kills) for ending in endings)
    print(f"\n{edits} edits, {kills} kills in {len(endings)} lives: {differences} differences  (promised: 0)")
    sys.exit(1 if differences else 0)


def open_parts(stack: ExitStack, *, server: bool) -> Parts:
    """Exits with a sentence where a server is asked for and absent."""
    servers = {}
    if (postgres := postgres_programs()) is not None:
        servers["postgres"] = stack.enter_context(running_postgres(postgres))
    if (mariadb := mariadb_programs()) is not None:
        servers["mariadb"] = stack.enter_context(running_mariadb(mariadb))
    qdrant = None
    if server:
        binary = os.environ.get("PLUMBLINE_TEST_QDRANT")
        if not binary or "postgres" not in servers:
            sys.exit("--server needs Postgres, and a Qdrant server that PLUMBLINE_TEST_QDRANT names")
        storage = stack.enter_context(tempfile.TemporaryDirectory(prefix="nothing-lost-qdrant-"))
        qdrant = stack.enter_context(running_qdrant(Path(binary), Path(storage)))
    return Parts(servers, stack.enter_context(quick_endpoint()), qdrant)


def live(folder: Path, parts: Parts, seed: int, *, edits: int, kills: int) -> Ending:
    """One life of so many edits and kills."""
    with ExitStack() as stack:
        worlds = stack.enter_context(open_worlds(folder / "places", parts.servers))
        settings, fresh = (
            settings_of(worlds, folder / name, parts.endpoint, **_stores(stack, parts, f"{name}-{seed}"))
            for name in ("corpus", "fresh")
        )
        return Life(worlds, settings, seed=seed, edits=edits, kills=kills).run(fresh)


def _stores(stack: ExitStack, parts: Parts, name: str) -> dict[str, object]:
    """Where catalogue and index are, if not in the data folder."""
    if parts.qdrant is None:
        return {}
    database = stack.enter_context(new_database(parts.servers["postgres"]))
    return {"database_url": SecretStr(database), "index": parts.qdrant.settings(name)}


def tell(ending: Ending, seconds: float) -> None:
    """Print one life as a table."""
    held = sum(kill.held for kill in ending.kills)
    orphans = Counter(name for kill in ending.kills for name in kill.beside)
    print(
        f"\nseed {ending.seed}: {sum(ending.edits.values())} edits ({ending.edits_beside} during a sync), "
        f"{len(ending.kills)} kills ({held} at a step, {len(ending.kills) - held} between), {ending.syncs} syncs of a "
        f"source completed by {ending.processes} processes, {ending.quarantined} documents quarantined on the way, "
        f"{seconds:.0f} s"
    )
    print(f"  ran when their parent was killed: {dict(orphans) or 'none'}; syncs to be tried again: {ending.failures}")
    print(f"  {'source':10} {'documents':>9} {'edits':>6} {'kills':>6} {'differences':>12}  killed at")
    for name in [*ending.edits, ""]:
        kills = [kill.stage for kill in ending.kills if kill.source == name]
        stages = ", ".join(f"{stage} {count}" for stage, count in Counter(kills).most_common())
        numbers = (ending.documents.get(name, ""), ending.edits.get(name, ""), len(kills))
        differences = len(ending.of(name or "corpus"))
        print(f"  {name or '(corpus)':10} {numbers[0]:>9} {numbers[1]:>6} {numbers[2]:>6} {differences:>12}  {stages}")
    for source, what in ending.differences[:40]:
        print(f"  DIFFERS {source}: {what[:600]}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
