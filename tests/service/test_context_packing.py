"""What a pack takes and leaves: duplicates, replaced documents, neighbours, exact room."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.corpus.records import ChunkId, ElementKind, IndexedChunk, Metadata, Span
from ingestion.corpus.surroundings import PlacedChunk
from service.retrieval.packing.choosing import merge, select
from service.retrieval.packing.filling import Filler, Room
from service.retrieval.packing.records import Dropped, DropReason
from service.retrieval.packing.replaced import find_replaced
from service.retrieval.packing.stretches import Neighbours, Stretch, cut_points, needs
from service.retrieval.results import Passage, RelevanceLabel
from tests.service.retrieval_parts import chunk_of, document_of, passage, result

WORDS = " ".join(f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(80))


def select_from(*passages: Passage, openings: dict[str, str] | None = None) -> tuple[list[str], list[Dropped]]:
    """Ids of what is kept, and what is dropped."""
    documents = [entry.indexed.document for entry in passages]
    known = {document.key: (openings or {}).get(document.id, "") for document in documents}
    choice = select(passages, find_replaced(documents, known))
    return [entry.indexed.id for entry in choice.kept], list(choice.dropped)


def test_duplicates_and_unlikely_passages_are_dropped_with_what_stands_for_them() -> None:
    kept, dropped = select_from(
        passage("a", WORDS),
        passage("same", WORDS.upper()),
        passage("near", f"{WORDS}. We are happy to help."),
        passage("b", "a text of its own"),
        passage("far", "unlikely", score=0.01),
    )

    assert kept == ["chunk-a", "chunk-b"]
    assert dropped == [
        Dropped(ChunkId("chunk-same"), DropReason.DUPLICATE, ChunkId("chunk-a")),
        Dropped(ChunkId("chunk-near"), DropReason.DUPLICATE, ChunkId("chunk-a")),
        Dropped(ChunkId("chunk-far"), DropReason.NOT_RELEVANT),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("wait 30 seconds", "wait 300 seconds"),
        ("on `gw-01` run it", "on `gw-02` run it"),
        ("run\n\n```sh\nkubectl get pods\n```", "run\n\n```sh\nkubectl delete pods\n```"),
        ("run\n\n    systemctl start db\n", "run\n\n    systemctl stop db\n"),
        ("use --force here", "use --dry-run here"),
        ("do restart it", "do not restart it"),
        ("enable the feature", "disable the feature"),
        ("in the north site", "in the south site"),
        ("listen on 10.0.0.1:8080", "listen on 10.0.0.1:8081"),
        ("GH-5021 came", "GH-5022 came"),
    ],
)
def test_texts_that_differ_in_what_counts_are_two(first: str, second: str) -> None:
    one, two, again = f"{WORDS} {first}", f"{WORDS} {second}", f"{WORDS}   {first}"

    assert select_from(passage("a", one), passage("b", two)) == (["chunk-a", "chunk-b"], [])
    assert select_from(passage("a", two), passage("b", one)) == (["chunk-a", "chunk-b"], [])
    assert select_from(passage("a", one), passage("b", again))[0] == ["chunk-a"]


@pytest.mark.parametrize(
    ("facts", "opening"),
    [
        ({"superseded_by": "new"}, ""),
        ({"superseded_by": ["docs/new.md"]}, ""),
        ({"replaced_by": "New"}, ""),
        ({}, "# Old\n\n**Status: SUPERSEDED on 2025-10-14 by [new.md](new.md).** Kept only"),
        ({}, "This page is deprecated: use [the new one](../docs/new.md)."),
    ],
)
def test_a_replaced_document_gives_way_to_the_one_it_names(facts: Metadata, opening: str) -> None:
    old, new = passage("old", "quite another text", metadata=facts), passage("new", WORDS, score=0.5)

    kept, dropped = select_from(old, new, openings={"old": opening})

    assert kept == ["chunk-new"]
    assert dropped == [Dropped(ChunkId("chunk-old"), DropReason.SUPERSEDED, ChunkId("chunk-new"))]


def test_a_document_that_says_whom_it_replaces_replaces_it() -> None:
    kept, dropped = select_from(passage("old", "one text"), passage("new", WORDS, metadata={"supersedes": "old"}))

    assert kept == ["chunk-new"]
    assert [drop.reason for drop in dropped] == [DropReason.SUPERSEDED]


def test_a_replaced_document_stays_behind_the_others_where_its_successor_is_not_found() -> None:
    old = passage("old", "quite another text", score=0.99, metadata={"superseded_by": "elsewhere"})

    assert select_from(old, passage("b", WORDS)) == (["chunk-b", "chunk-old"], [])


def test_a_retired_document_without_a_named_successor_gives_way_to_anything_current() -> None:
    old = passage("old", "quite another text", metadata={"status": "Deprecated since 2024"})

    assert select_from(old, passage("b", WORDS)) == (
        ["chunk-b"],
        [Dropped(ChunkId("chunk-old"), DropReason.SUPERSEDED)],
    )
    assert select_from(old) == (["chunk-old"], [])


def test_documents_that_name_each_other_replace_neither() -> None:
    first = passage("a", "one text", metadata={"superseded_by": "b"})
    second = passage("b", WORDS, metadata={"superseded_by": "a"})

    assert select_from(first, second) == (["chunk-a", "chunk-b"], [])


def test_merging_keeps_the_best_score_and_ignores_searches_without_relevance() -> None:
    first = result(passage("a", "x", 0.5), passage("b", "y", 0.4))
    second = result(passage("b", "y", 0.7), passage("c", "z", 0.4))
    nothing = result(passage("d", "w", 0.99), label=RelevanceLabel.NONE)

    assert [(entry.indexed.id, entry.score) for entry in merge([first, second, nothing])] == [
        ("chunk-b", 0.7),
        ("chunk-a", 0.5),
        ("chunk-c", 0.4),
    ]


def row(*texts: str, kinds: tuple[ElementKind, ...] = (ElementKind.PARAGRAPH,), name: str = "d") -> list[PlacedChunk]:
    """The chunks of one document, a blank line between them."""
    placed, at = [], 0
    for position, text in enumerate(texts):
        chunk = replace(chunk_of(text, at), position=position, kinds=kinds)
        placed.append(
            PlacedChunk(IndexedChunk(ChunkId(f"{name}-{position}"), chunk, document_of(name)), "\n\n" if at else "")
        )
        at += len(text) + 2
    return placed


def fill(
    found: list[PlacedChunk],
    around: list[PlacedChunk],
    budget: int,
    most: int = 50,
    barred: frozenset[ChunkId] = frozenset(),
) -> list[Stretch]:
    """Stretches, a token being a character."""
    neighbours = Neighbours({placed.indexed.id: placed for placed in (*found, *around)})
    filler = Filler(Room(budget, most, len), neighbours, barred, {})
    stretches = filler.fill([Passage(placed.indexed, 0.9 - at / 100) for at, placed in enumerate(found)])
    assert len(filler.text()) <= budget
    return stretches


def ids(stretches: list[Stretch]) -> list[list[str]]:
    return [[placed.indexed.id for placed in stretch.chunks] for stretch in stretches]


def test_adjacent_passages_become_one_in_the_order_of_the_text() -> None:
    chunks = row("first words", "second words", "third words", "fourth words")

    stretches = fill([chunks[2], chunks[0], chunks[1]], [], 10_000)

    assert ids(stretches) == [["d-0", "d-1", "d-2"]]
    assert stretches[0].text == "first words\n\nsecond words\n\nthird words"
    assert stretches[0].span == Span(0, len(stretches[0].text))


def test_a_list_that_was_cut_is_completed_and_a_bare_heading_gets_its_text() -> None:
    items = row("- one", "- two", kinds=(ElementKind.LIST_ITEM,))
    heading, body = row("## Steps", "Do this.")
    heading = PlacedChunk(
        replace(heading.indexed, chunk=replace(heading.indexed.chunk, kinds=(ElementKind.HEADING,))), ""
    )

    assert needs(items[0].indexed, items[1].indexed)
    assert needs(heading.indexed, body.indexed)
    assert not needs(body.indexed, row("Other.", "Text.")[1].indexed)
    assert ids(fill([items[1]], items, 10_000)) == [["d-0", "d-1"]]


def test_what_is_left_of_the_budget_goes_to_the_next_passage_and_then_to_neighbours() -> None:
    chunks = row("a" * 50, "b" * 50, "c" * 50)
    other = row("Long line one is here.\nLong line two is here.\nLong line three is here.", name="e")

    assert ids(fill([chunks[1]], chunks, 10_000)) == [["d-0", "d-1", "d-2"]]
    assert ids(fill([chunks[1]], chunks, 10_000, barred=frozenset({ChunkId("d-0")}))) == [["d-1", "d-2"]]
    cut = fill([chunks[1], other[0]], chunks, 165)
    assert [stretch.text for stretch in cut] == ["b" * 50, "Long line one is here.\nLong line two is here."]
    assert cut[1].span == Span(0, 45)


def test_a_text_is_cut_neither_inside_code_nor_after_an_announcement() -> None:
    text = "Restart it like this here:\n\n```sh\nkubectl one\nkubectl two\n```\nThen wait. Look again."

    cuts = [text[:end] for end in cut_points(text)]

    assert cuts == [text[: text.index("\nThen")], text[: text.index(" Look")], text]


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
    budget=st.integers(1, 700),
    most=st.integers(1, 8),
)
@settings(max_examples=150)
def test_the_room_holds_whatever_comes(lengths: list[int], order: object, budget: int, most: int) -> None:
    chunks = [*row(*("x" * length for length in lengths)), *row(*("y z. " * length for length in lengths), name="e")]
    found = order.sample(chunks, max(1, len(chunks) // 2))  # type: ignore[attr-defined]

    stretches = fill(found, chunks, budget, most)

    assert len(stretches) <= most
    taken = [id_ for stretch in ids(stretches) for id_ in stretch]
    assert len(set(taken)) == len(taken)
    for stretch in stretches:
        positions = [placed.indexed.chunk.position for placed in stretch.chunks]
        assert positions == list(range(positions[0], positions[0] + len(positions)))
        assert len(stretch.text) == stretch.span.end - stretch.span.start
