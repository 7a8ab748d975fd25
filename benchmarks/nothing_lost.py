"""Whether anything is lost: `python -m benchmarks.nothing_lost [--seeds N] [--first N] [--edits N] [--kills N]`.

Places of every kind of origin are edited at random, also while they are synced, by a process that is killed again and
again, at each of its stages; after one undisturbed sync the corpus is compared with the origins and with a corpus that
met them only then. Tables of Postgres and MariaDB take part where these are installed. `--local` embeds with the
packaged model; `--server` keeps the index on the Qdrant server that PLUMBLINE_TEST_QDRANT names and the catalogue in
Postgres. Ends with status 1 if there is any difference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.nothing_lost import Ending, Life
from tests.acceptance.places import open_worlds, settings_of
from tests.conftest import postgres_programs
from tests.embeddings_endpoint import Endpoint
from tests.ingestion.syncing.parts import quick_endpoint
from tests.mariadb import mariadb_programs, running_mariadb
from tests.postgres import running_postgres


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--first", type=int, default=1)
    arguments.add_argument("--edits", type=int, default=200)
    arguments.add_argument("--kills", type=int, default=20)
    chosen = arguments.parse_args()
    with ExitStack() as stack:
        endpoint = stack.enter_context(quick_endpoint())
        servers = {}
        if (postgres := postgres_programs()) is not None:
            servers["postgres"] = stack.enter_context(running_postgres(postgres))
        if (mariadb := mariadb_programs()) is not None:
            servers["mariadb"] = stack.enter_context(running_mariadb(mariadb))
        endings = []
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            started = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="nothing-lost-") as folder:
                ending = live(Path(folder), servers, endpoint, seed, (chosen.edits, chosen.kills))
            tell(ending, time.monotonic() - started)
            endings.append(ending)
    differences = sum(len(ending.differences) for ending in endings)
    print(f"\n{len(endings)} lives: {differences} differences  (promised: 0)")
    sys.exit(1 if differences else 0)


def live(folder: Path, servers: dict[str, str], endpoint: Endpoint, seed: int, size: tuple[int, int]) -> Ending:
    """One life of so many edits and kills."""
    edits, kills = size
    with open_worlds(folder / "places", servers) as worlds:
        settings, fresh = (settings_of(worlds, folder / name, endpoint) for name in ("corpus", "fresh"))
        return Life(worlds, settings, seed=seed, edits=edits, kills=kills).run(fresh)


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
