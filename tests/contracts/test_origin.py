"""What every origin keeps to: all that is there is met once, what is gone is not, and silence deletes nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ingestion.errors import SourceUnavailable
from ingestion.sources.origin import End, Fetched, Gone, Sighting, Unchanged
from tests.contracts.origins import SERVER_WORLDS, WORLDS, Memory, World

_SERVERS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in sorted(SERVER_WORLDS)]


@pytest.fixture(params=[*sorted(WORLDS), *_SERVERS])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    name = request.param
    if name in SERVER_WORLDS:
        context = SERVER_WORLDS[name](request.getfixturevalue(f"{name}_url"))
    else:
        context = WORLDS[name](tmp_path)
    with context as opened:
        opened.put("one", "The first text, about rollbacks.")
        opened.put("deep/two", "The second text, about certificates.")
        opened.put("deep/er/three", "The third text, about queues.")
        yield opened


def scan(world: World, memory: Memory) -> list[Sighting]:
    """One sync by a fresh process."""
    with closing(world.open()) as origin:
        return memory.learn(origin.scan(memory))


def fetched(sightings: list[Sighting]) -> dict[str, bytes]:
    return {sighting.key: sighting.document.data for sighting in sightings if isinstance(sighting, Fetched)}


def test_a_first_scan_fetches_each_document_once_and_ends(world: World) -> None:
    seen = scan(world, Memory())
    keys = Counter(sighting.key for sighting in seen if not isinstance(sighting, End))
    assert keys == Counter({world.key(name): 1 for name in ("one", "deep/two", "deep/er/three")})
    assert seen[-1] == End(complete=True)
    assert sum(isinstance(sighting, End) for sighting in seen) == 1
    assert b"about rollbacks" in fetched(seen)[world.key("one")]


def test_what_readers_and_databases_see_is_plain_text(world: World) -> None:
    for sighting in scan(world, Memory()):
        if isinstance(sighting, Fetched):
            for text in (sighting.key, sighting.document.uri, sighting.document.name):
                assert text
                assert text.encode("utf-8").decode() == text
                assert "\0" not in text
            assert "." in sighting.document.name


def test_uris_tell_documents_apart(world: World) -> None:
    uris = [sighting.document.uri for sighting in scan(world, Memory()) if isinstance(sighting, Fetched)]
    assert len(set(uris)) == len(uris) == 3


def test_a_second_scan_finds_everything_unchanged(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    seen = scan(world, memory)
    assert {type(sighting) for sighting in seen} == {Unchanged, End}
    assert seen[-1] == End(complete=True)
    assert len(memory.items) == 3


def test_only_what_was_edited_is_fetched_again(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.put("deep/two", "Another second text, about tokens.")
    changed = fetched(scan(world, memory))
    assert list(changed) == [world.key("deep/two")]
    assert b"about tokens" in changed[world.key("deep/two")]


def test_an_edit_to_the_same_length_is_seen(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.put("one", "The first text, about ROLLBACKS.")
    assert list(fetched(scan(world, memory))) == [world.key("one")]


def test_an_edit_taken_back_ends_in_the_first_content(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.put("one", "Something else, for a while.")
    scan(world, memory)
    world.put("one", "The first text, about rollbacks.")
    assert b"about rollbacks" in fetched(scan(world, memory))[world.key("one")]


def test_a_new_document_is_fetched_and_the_others_are_not(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.put("deep/four", "The fourth text, about alerts.")
    assert list(fetched(scan(world, memory))) == [world.key("deep/four")]
    assert len(memory.items) == 4


def test_a_deleted_document_is_gone(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.delete("deep/two")
    seen = scan(world, memory)
    assert seen[-1] == End(complete=True)
    assert set(memory.items) == {world.key("one"), world.key("deep/er/three")}


def test_a_deleted_document_can_come_back(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.delete("one")
    scan(world, memory)
    world.put("one", "The first text is back.")
    assert b"is back" in fetched(scan(world, memory))[world.key("one")]


def test_a_renamed_document_is_gone_under_its_old_key(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    world.rename("one", "deep/uno")
    assert b"about rollbacks" in fetched(scan(world, memory))[world.key("deep/uno")]
    assert set(memory.items) == {world.key(name) for name in ("deep/uno", "deep/two", "deep/er/three")}


def test_when_all_was_deleted_one_by_one_nothing_is_left(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    for name in ("one", "deep/two", "deep/er/three"):
        world.delete(name)
    scan(world, memory)
    assert memory.items == {}


def test_an_origin_that_cannot_be_listed_deletes_nothing(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    before = dict(memory.items)
    with world.broken(), closing(world.open()) as origin:
        seen: list[Sighting] = []
        with suppress(SourceUnavailable):
            seen = memory.learn(origin.scan(memory))
            assert seen[-1] == End(complete=False), "a scan that met nothing must not pass for complete"
        assert not any(isinstance(sighting, Gone) for sighting in seen)
    assert memory.items == before


def test_after_a_failure_the_next_scan_is_as_if_there_had_been_none(world: World) -> None:
    memory = Memory()
    scan(world, memory)
    with world.broken(), closing(world.open()) as origin, suppress(SourceUnavailable):
        memory.learn(origin.scan(memory))
    world.put("deep/two", "Edited after the failure.")
    assert list(fetched(scan(world, memory))) == [world.key("deep/two")]
    assert len(memory.items) == 3


def test_a_token_is_the_same_until_something_changes(world: World) -> None:
    with closing(world.open()) as origin:
        first = origin.token()
        assert (first is not None) == world.has_token
        assert origin.token() == first
        world.put("one", "Edited, so the token differs.")
        assert first is None or origin.token() != first


def test_one_origin_can_be_scanned_twice_and_after_a_scan_that_was_given_up(world: World) -> None:
    with closing(world.open()) as origin:
        given_up = origin.scan(Memory())
        next(given_up)
        del given_up
        memory = Memory()
        assert len(fetched(memory.learn(origin.scan(memory)))) == 3
        assert fetched(memory.learn(origin.scan(memory))) == {}


def test_closing_twice_does_no_harm(world: World) -> None:
    origin = world.open()
    memory = Memory()
    memory.learn(origin.scan(memory))
    origin.close()
    origin.close()


def test_the_memory_is_asked_for_some_hundreds_at_a_time(world: World) -> None:
    world.put_all({f"many/{number}": f"Text number {number} of many." for number in range(600)})
    memory = Memory()
    assert len(fetched(scan(world, memory))) == 603
    assert 1 < memory.largest_question <= 500


def test_after_any_edits_what_was_fetched_is_what_is_there(world: World) -> None:
    """Random puts, deletions, renames and failures, in a fixed order that any failure can be repeated with."""
    chance = random.Random(20)
    there = dict.fromkeys(("one", "deep/two", "deep/er/three"), "")
    memory, texts = Memory(), {}
    for number in range(24):
        name, other = chance.choice(sorted(there)), f"{chance.choice(['', 'deep/', 'x/'])}new-{number}"
        match chance.choice(["put", "add", "delete", "rename"]):
            case "delete" if len(there) > 2:
                world.delete(name)
                del there[name]
            case "rename":
                world.rename(name, other)
                there[other] = there.pop(name)
            case action:
                changed = name if action == "put" else other
                there[changed] = f"Edit number {number} of {changed}."
                world.put(changed, there[changed])
        if number % 6 == 5:
            with world.broken(), closing(world.open()) as origin, suppress(SourceUnavailable):
                memory.learn(origin.scan(memory))
        if number % 3 == 2:
            texts.update(fetched(scan(world, memory)))
            assert set(memory.items) == {world.key(name) for name in there}
            assert all(text.encode() in texts[world.key(name)] for name, text in there.items())
