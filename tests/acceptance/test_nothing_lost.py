"""After 200 random edits and 20 kills in the middle of syncs, the corpus is what the origins are; also meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.nothing_lost import STAGES, Ending, Life
from tests.acceptance.places import open_worlds, settings_of
from tests.conftest import postgres_programs
from tests.ingestion.syncing.parts import quick_endpoint
from tests.mariadb import mariadb_programs

SEED = 20
EDITS, KILLS = 200, 20
ALWAYS = ("folder", "mail", "git", "web", "sqlite")
IF_PRESENT = {"postgres": postgres_programs, "mariadb": mariadb_programs}


@pytest.fixture(scope="module")
def ending(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ending]:
    """One life of places of every kind, of those on servers as far as these are present."""
    servers = {name: request.getfixturevalue(f"{name}_server") for name, found in IF_PRESENT.items() if found()}
    folder: Path = tmp_path_factory.mktemp("nothing-lost")
    with quick_endpoint() as endpoint, open_worlds(folder / "places", servers) as worlds:
        settings, fresh = (settings_of(worlds, folder / name, endpoint) for name in ("corpus", "fresh"))
        yield Life(worlds, settings, seed=SEED, edits=EDITS, kills=KILLS).run(fresh)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "source", [*ALWAYS, *(pytest.param(name, marks=getattr(pytest.mark, name)) for name in IF_PRESENT)]
)
def test_origin_and_corpus_do_not_differ(ending: Ending, source: str) -> None:
    assert ending.of(source) == []
    assert ending.edits[source] > 0
    assert ending.documents[source] > 0


@pytest.mark.timeout(900)
def test_nothing_is_left_over_and_all_is_as_if_it_had_come_at_once(ending: Ending) -> None:
    assert ending.differences == []
    assert sum(ending.edits.values()) >= EDITS
    assert ending.edits_beside > 0


@pytest.mark.timeout(900)
def test_the_kills_hit_every_stage_of_a_sync(ending: Ending) -> None:
    assert len(ending.kills) == KILLS
    assert set(STAGES) <= {kill.stage for kill in ending.kills}
    assert Counter(kill.source != "" for kill in ending.kills)[True] >= KILLS - 2, "few while the corpus was opened"
    assert any("python" in name for kill in ending.kills for name in kill.beside), "no parser process was at work"
