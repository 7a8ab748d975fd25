"""Exact search finds what `needle in text` finds, no more and no less, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import delete, func, select, text

from ingestion.corpus import filters, tables
from ingestion.corpus.literal_store import LiteralStore
from ingestion.corpus.records import ChunkId
from ingestion.corpus.scope import Scope
from ingestion.settings import Settings
from tests.contracts.literal_world import ACME, OTHER, LiteralWorld, Written, literal_world

DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]

TEXTS = (
    "Restart the gateway after a 502",
    "The gateway restarts by itself; restarting it again breaks the sessions of the gateway",
    "ORA-00060: deadlock detected while waiting for a resource",
    "Rotate the keys of the vault every ninety days",
    "Payments are settled at midnight",
)


@pytest.fixture(params=DATABASES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiteralWorld]:
    """An empty catalogue, on each database in turn."""
    url = SecretStr(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
    with literal_world(Settings(data_dir=tmp_path, database_url=url)) as opened:
        yield opened


@pytest.fixture(params=["indexed", "scanned"])
def either(request: pytest.FixtureRequest, world: LiteralWorld) -> LiteralWorld:
    """With the trigram index, and without."""
    world.store.is_indexed = request.param == "indexed"
    return world


def _holding(documents: list[Written], needle: str) -> set[ChunkId]:
    return {id_ for document in documents for id_ in document.holding(needle)}


def test_the_trigram_index_is_there(world: LiteralWorld) -> None:
    assert world.store.is_indexed
    assert LiteralStore(world.engine).is_indexed


@pytest.mark.parametrize(
    ("needle", "found"),
    [
        ("GATEWAY", {0, 1}),
        ("ora-00060:", {2}),
        ("ateway re", {1}),
        ("0", {0, 2}),
        ("02", {0}),
        (" ", {0, 1, 2, 3, 4}),
        ("midnight ", set()),
        ("%", set()),
        ("r_start", set()),
        ("gateway 502", set()),
        ("\ud800", set()),
        ("\0", set()),
    ],
)
def test_a_needle_is_found_as_like_finds_it(either: LiteralWorld, needle: str, found: set[int]) -> None:
    documents = [either.write(ACME, str(number), one) for number, one in enumerate(TEXTS)]

    assert set(either.find(ACME, needle)) == {id_ for number in found for id_ in documents[number].holding(needle)}
    assert set(either.find(ACME, needle)) == _holding(documents, needle)


_ODD = "aAbBßſİıÀé%_\\'\" \n\tΣσςﬁ東🙂*()-:^"  # noqa: RUF001
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), max_size=60) | st.text(
    alphabet=_ODD, max_size=600
)


@given(
    texts=st.lists(_TEXT, min_size=2, max_size=3),
    title=st.text(alphabet=_ODD, max_size=40),
    cuts=st.lists(st.integers(0, 10**6), max_size=6),
    data=st.data(),
)
def test_exact_search_equals_a_case_folded_substring_test(
    either: LiteralWorld, texts: list[str], title: str, cuts: list[int], data: st.DataObject
) -> None:
    source = data.draw(st.sampled_from([*texts, title]))
    if source and data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(source) - 1))
        needle = source[start : data.draw(st.integers(start + 1, min(len(source), start + 500)))].swapcase()
    else:
        needle = data.draw(_TEXT.filter(bool))
    _empty(either)
    documents = [either.write(ACME, str(number), one, cuts, title=title) for number, one in enumerate(texts)]

    found = either.find(ACME, needle)

    assert len(found) == len(set(found))
    assert set(found) == _holding(documents, needle)


@given(length=st.integers(1, 500), start=st.integers(0, 1500), cuts=st.lists(st.integers(1, 2000), max_size=12))
@example(length=201, start=0, cuts=[1])
@example(length=200, start=99, cuts=[100])
@example(length=201, start=99, cuts=[100])
@example(length=500, start=0, cuts=[1, 2, 3])
def test_a_needle_of_any_length_across_any_cuts(either: LiteralWorld, length: int, start: int, cuts: list[int]) -> None:
    body = "".join(f"step {number}: İ ẞ {number * number:x}\n" for number in range(120))
    _empty(either)
    document = either.write(ACME, "long", body, cuts)
    almost = either.write(ACME, "almost", body[: start + length - 1] + "¶" + body[start + length :], cuts)
    needle = body[start : start + length]

    assert set(either.find(ACME, needle)) == _holding([document, almost], needle)


def _empty(world: LiteralWorld) -> None:
    with world.engine.begin() as connection:
        for table in (tables.documents, tables.versions, tables.tombstones):
            connection.execute(delete(table))


def test_a_needle_across_two_chunks_is_found_where_it_begins(either: LiteralWorld) -> None:
    document = either.write(ACME, "two", "first half of it\n\nsecond half of it", [17])
    assert len(document.chunks) == 2

    (first,) = either.find(ACME, "of it\n\nsecond")

    assert {first} == _holding([document], "of it\n\nsecond")
    assert len(either.find(ACME, "half of it")) == 2
    assert either.find(ACME, "second half") != [first]


def test_a_title_counts_for_the_first_chunk(either: LiteralWorld) -> None:
    document = either.write(ACME, "titled", "one body\n\nanother body", [9], title="Kube-Proxy 100% down")

    assert set(either.find(ACME, "proxy 100%")) == {document.holding("one body").pop()}
    assert either.find(ACME, "downone") == []
    assert len(either.find(ACME, "body")) == 2


def test_only_the_tenants_own_and_only_what_its_readers_may_see(either: LiteralWorld) -> None:
    public, finance, both = (
        either.write(ACME, name, "the gateway", labels=labels)
        for name, labels in (("public", ()), ("finance", ("finance",)), ("both", ("finance", "ops_%")))
    )
    either.write(OTHER, "foreign", "the gateway")

    def visible(labels: frozenset[str] | None) -> set[ChunkId]:
        for needle in ("gateway", "y"):
            found = set(either.find(Scope(ACME.tenant, labels), needle))
        return found

    assert visible(None) == _holding([public, finance, both], "gateway")
    assert visible(frozenset({"finance"})) == _holding([public, finance, both], "gateway")
    assert visible(frozenset({"ops_%"})) == _holding([public, both], "gateway")
    assert visible(frozenset({"ops"})) == visible(frozenset({"FINANCE"})) == _holding([public], "gateway")
    assert visible(frozenset()) == _holding([public], "gateway")
    for tenant in ("", "ACME", "acme ", "*", "%"):
        assert either.find(Scope(tenant), "gateway") == []  # type: ignore[arg-type]


def test_collections_and_filters_narrow(either: LiteralWorld) -> None:
    documents = {
        name: either.write(ACME, name, "the gateway", collection=name, metadata={"cost": number, "team": name * 2})
        for number, name in enumerate("abc")
    }

    def found(collections: tuple[str, ...] = (), **condition: Any) -> set[str]:
        where = filters.parse({"must": [condition]}) if condition else None
        ids = set(either.find(ACME, "gateway", collections=collections, filter=where))
        return {name for name, document in documents.items() if document.holding("gateway") <= ids}

    assert found(("a", "c", "d")) == {"a", "c"}
    assert found(("d",)) == set()
    assert found(key="metadata.cost", gte=1) == {"b", "c"}
    assert found(("b", "a"), key="metadata.cost", gte=1) == {"b"}
    assert found(key="metadata.team", equals="cc") == {"c"}
    assert found(key="metadata.team", equals="nobody") == set()


def test_hits_are_bounded_and_always_in_the_same_order(either: LiteralWorld) -> None:
    documents = [either.write(ACME, f"{number:02}", "same text", title="same") for number in range(30)]
    expected = [id_ for document in documents for id_ in document.holding("same")]

    assert either.find(ACME, "same") == expected
    assert either.find(ACME, "same", limit=10) == expected[:10]
    some = filters.parse({"must": [{"key": "document_id", "in": ["07", "29"]}]})
    assert either.find(ACME, "same", limit=10, filter=some) == [expected[7], expected[29]]


def test_only_what_is_live_in_the_generation_is_found(either: LiteralWorld) -> None:
    either.write(ACME, "page", "before the change")
    staged = either.stage(ACME, "page", "after the change")
    beside = either.stage(ACME, "page", "before the change", generation="v1-other")

    assert either.find(ACME, "after") == []
    assert not set(either.find(ACME, "before")) & beside.holding("before")
    either.catalog.publish(ACME, staged.draft, chunk_count=1, generation=either.generation)
    assert either.find(ACME, "before") == []
    assert set(either.find(ACME, "after")) == staged.holding("after")
    either.catalog.remove_document(ACME, staged.draft.key)
    assert either.find(ACME, "after") == []


def test_writing_twice_is_writing_once_and_what_goes_leaves_nothing(world: LiteralWorld) -> None:
    kept, gone = world.write(ACME, "kept", "stays here", title="t"), world.write(ACME, "gone", "goes away", title="t")
    world.fill(ACME, kept)
    with world.engine.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.chunk_texts)) == 4
        # As the sweeper does: everything else goes by cascade.
        connection.execute(delete(tables.versions).where(tables.versions.c.document_key == gone.draft.key))
        assert connection.scalar(select(func.count()).select_from(tables.chunk_texts)) == 2
        if connection.dialect.name == "sqlite":
            held = "SELECT count(*) FROM chunk_trigrams WHERE chunk_trigrams MATCH '{}'"
            assert connection.scalar(text(held.format("goe"))) == 0
            assert connection.scalar(text(held.format("sta"))) == 1
            connection.execute(text("INSERT INTO chunk_trigrams (chunk_trigrams, rank) VALUES ('integrity-check', 1)"))
    assert set(world.find(ACME, "stays")) == kept.holding("stays")


def test_an_index_that_is_missing_is_made_of_what_is_there(world: LiteralWorld) -> None:
    document = world.write(ACME, "old", "written before there was an index")
    with world.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for statement in ("TABLE chunk_trigrams", "TRIGGER chunk_trigrams_added", "TRIGGER chunk_trigrams_removed"):
                connection.execute(text(f"DROP {statement}"))
        else:
            connection.execute(text("DROP INDEX ix_chunk_texts_trigrams"))

    again = LiteralWorld(world.engine, world.catalog, LiteralStore(world.engine))

    assert again.store.is_indexed
    assert set(again.find(ACME, "there was")) == document.holding("there was")
