"""What every index engine does: store, replace, delete, search, find, count, scan, and keep it."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ingestion.corpus.index.engine import IndexEngine, IndexQuery
from ingestion.corpus.records import ChunkId, VersionId
from ingestion.corpus.sparse import SparseEncoder, SparseVector
from ingestion.errors import ConfigurationError, DimensionMismatch
from tests.contracts.conftest import Index
from tests.contracts.points import ACME, DIMENSION, OTHER, ids, key_of, point, points, unit

TEXTS = (
    "Restart the gateway after a 502",
    "The gateway restarts by itself; restarting it again breaks the sessions of the gateway",
    "ORA-00060: deadlock detected while waiting for a resource",
    "Rotate the keys of the vault every ninety days",
    "Payments are settled at midnight",
)


def _with_word(engine: IndexEngine, word: str) -> set[ChunkId]:
    """The points whose lexical vector has the word."""
    query = IndexQuery(sparse=SparseEncoder().encode_query(word), limit=1000)
    return {hit.id for hit in engine.search(ACME, query).sparse}


def test_an_upserted_point_is_found_at_once(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, TEXTS))

    legs = engine.search(ACME, IndexQuery(dense=unit(2), limit=3))

    assert legs.dense[0].id == point(ACME, 2).id
    assert legs.dense[0].score == pytest.approx(1, abs=1e-5)
    assert len(legs.dense) == 3
    assert legs.sparse == ()


def test_the_same_id_again_replaces_the_point(engine: IndexEngine) -> None:
    engine.upsert(ACME, [point(ACME, 1, "plain")])
    engine.upsert(ACME, [point(ACME, 1, "fancy")])

    assert engine.count(ACME) == 1
    assert _with_word(engine, "plain") == set()
    assert _with_word(engine, "fancy") == {point(ACME, 1).id}


def test_vectors_come_back_as_they_were_stored(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, TEXTS))
    engine.upsert(OTHER, [point(OTHER, 1)])
    wanted = [point(ACME, 2).id, point(ACME, 4).id, point(OTHER, 1).id, point(ACME, 99).id]

    vectors = engine.vectors(ACME, wanted)

    assert set(vectors) == set(wanted[:2])
    np.testing.assert_allclose(vectors[wanted[0]], unit(2), atol=1e-6)
    assert engine.vectors(ACME, []) == {}


def test_no_points_are_no_error(engine: IndexEngine) -> None:
    engine.upsert(ACME, [])

    assert engine.count(ACME) == 0
    assert list(engine.scan(ACME)) == []
    assert engine.search(ACME, IndexQuery(dense=unit(1), sparse=SparseVector((1,), (1.0,)))).dense == ()
    assert engine.search(ACME, IndexQuery()).sparse == ()


def test_more_points_than_one_batch(engine: IndexEngine) -> None:
    engine.upsert(ACME, [point(ACME, number) for number in range(150)])

    assert engine.count(ACME) == 150


def test_deleting_a_version_leaves_the_others(engine: IndexEngine) -> None:
    old = [point(ACME, 1, f"old {position}", position=position) for position in range(3)]
    new = [point(ACME, 1, "new", version="v2")]
    engine.upsert(ACME, [*old, *new, point(ACME, 2, "another document")])

    engine.delete_version(ACME, key_of(ACME, 1), VersionId("v1"))

    assert {chunk for chunk, _, _ in engine.scan(ACME)} == ids([*new, point(ACME, 2)])
    engine.delete_version(ACME, key_of(ACME, 1), VersionId("v1"))  # none left is fine
    assert engine.count(ACME) == 2


def test_dense_scores_are_cosines(engine: IndexEngine) -> None:
    stored = points(ACME, [""] * 40)
    engine.upsert(ACME, stored)
    query = unit(999)

    hits = engine.search(ACME, IndexQuery(dense=query, limit=40)).dense

    cosines = {one.id: float(np.dot(one.dense, query)) for one in stored}
    assert {hit.id: hit.score for hit in hits} == pytest.approx(cosines, abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_sparse_scores_are_bm25(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, TEXTS))
    encoder = SparseEncoder()
    query = encoder.encode_query("restarting the gateway")

    hits = engine.search(ACME, IndexQuery(sparse=query, limit=10)).sparse

    documents = [encoder.encode_document(text) for text in TEXTS]
    expected = {}
    for number, document in enumerate(documents):
        weights = dict(zip(document.indices, document.values, strict=True))
        score = 0.0
        for term in query.indices:
            holders = sum(term in other.indices for other in documents)
            idf = math.log((len(TEXTS) - holders + 0.5) / (holders + 0.5) + 1)
            score += idf * weights.get(term, 0.0)
        if score > 0:
            expected[point(ACME, number).id] = score
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-4)
    assert len(hits) == 2


def test_both_legs_in_one_search(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, TEXTS))

    query = IndexQuery(dense=unit(4), sparse=SparseEncoder().encode_query("ORA-00060"), limit=2)
    legs = engine.search(ACME, query)

    assert legs.dense[0].id == point(ACME, 4).id
    assert [hit.id for hit in legs.sparse] == [point(ACME, 2).id]


def test_a_query_of_stop_words_has_no_lexical_hits(engine: IndexEngine) -> None:
    engine.upsert(ACME, points(ACME, TEXTS))

    assert engine.search(ACME, IndexQuery(sparse=SparseEncoder().encode_query("what is the"))).sparse == ()


def test_scan_gives_every_chunk_in_id_order(engine: IndexEngine) -> None:
    stored = points(ACME, TEXTS)
    engine.upsert(ACME, stored)

    scanned = list(engine.scan(ACME, batch=2))

    assert scanned == sorted((one.id, one.document_key, one.version) for one in stored)


def test_an_index_is_the_same_after_closing_and_opening(index: Index) -> None:
    index.engine.upsert(ACME, points(ACME, TEXTS))
    index.engine.flush()
    query = IndexQuery(dense=unit(7), sparse=SparseEncoder().encode_query("gateway keys"))
    before = index.engine.search(ACME, query)

    reopened = index.reopen()

    assert reopened.count(ACME) == len(TEXTS)
    assert reopened.search(ACME, query) == before
    assert _with_word(reopened, "vault") == {point(ACME, 3).id}


def test_closing_twice_is_fine(index: Index) -> None:
    index.engine.close()
    index.engine.close()


def test_generations_are_separate(index: Index) -> None:
    index.engine.upsert(ACME, points(ACME, TEXTS))

    other = index.open(generation="g2")

    try:
        assert other.count(ACME) == 0
    finally:
        other.close()


def test_another_dimension_is_a_clear_error(index: Index) -> None:
    index.engine.close()

    with pytest.raises(DimensionMismatch, match=rf"{DIMENSION} dimensions.*gives 8: .*ingest again"):
        index.open(dimension=8)


def test_vectors_of_another_dimension_are_refused(engine: IndexEngine) -> None:
    long = np.ones(DIMENSION + 1, dtype=np.float32)

    with pytest.raises(DimensionMismatch):
        engine.upsert(ACME, [point(ACME, 1, dense=long)])
    with pytest.raises(DimensionMismatch):
        engine.search(ACME, IndexQuery(dense=long))
    assert engine.count(ACME) == 0


def test_a_generation_that_cannot_be_a_name_is_refused(index: Index) -> None:
    with pytest.raises(ConfigurationError, match="cannot name an index"):
        index.open(generation="../elsewhere")


def test_odd_but_possible_values_are_stored(engine: IndexEngine) -> None:
    metadata = {"huge": 10**30, "not a number": math.nan, "\ud800": "\udfff", "": "empty", "empty": []}
    engine.upsert(ACME, [point(ACME, 1, "lone surrogate", metadata=metadata, title="\ud800")])

    assert engine.count(ACME) == 1
    assert _with_word(engine, "surrogate") == {point(ACME, 1).id}


def test_readers_see_whole_points_while_a_writer_writes(engine: IndexEngine) -> None:
    done = threading.Event()
    texts = [TEXTS[number % len(TEXTS)] for number in range(300)]

    def write() -> None:
        try:
            for start in range(0, 300, 50):
                engine.upsert(ACME, [point(ACME, number, texts[number]) for number in range(start, start + 50)])
            engine.delete_version(ACME, key_of(ACME, 299), VersionId("v1"))
        finally:
            done.set()

    def read() -> list[int]:
        counts = []
        while not done.is_set():
            query = IndexQuery(dense=unit(3), sparse=SparseEncoder().encode_query("gateway"), limit=5)
            legs = engine.search(ACME, query)
            assert all(hit.score > 0 for hit in legs.sparse)
            counts.append(engine.count(ACME))
        return counts

    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        threads.submit(write).result(timeout=120)
        for reader in readers:
            assert all(0 <= count <= 300 for count in reader.result(timeout=60))
    assert engine.count(ACME) == 299
