"""The lexical half: which terms a text has, and what they weigh."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.sparse import SparseEncoder, SparseVector


@pytest.fixture(scope="module")
def encoder() -> SparseEncoder:
    return SparseEncoder()


def _score(query: SparseVector, document: SparseVector) -> float:
    weights = dict(zip(document.indices, document.values, strict=True))
    return sum(value * weights.get(index, 0) for index, value in zip(query.indices, query.values, strict=True))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("restarting gateways", "Restart the gateway"),
        ("ORA-00060", "error ORA-00060: deadlock"),
        ("00060", "ORA-00060"),
        ("kube prometheus", "helm install kube-prometheus"),
        ("kube-prometheus", "helm install kube-prometheus."),
        ("GH5021", "see GH-5021"),
        ("GH-5021", "see #GH5021"),
        ("HTTP 502", "HTTP_502"),
        ("user by id", "getUserById()"),
        ("getuserbyid", "getUserById()"),
        ("html parser", "HTMLParser"),
        ("error.log", "tail -f /var/log/nginx/error.log"),
        ("nginx", "/var/log/nginx/error.log"),
        ("db-1.eu.example.com", "psql -h db-1.eu.example.com:5432"),
        ("server", "the server's disk"),
        ("CAFE", "café"),
        ("café", "cafe\u0301"),
        ("STRASSE", "straße"),
        ("ﬁle", "file"),
        ("京都", "東京都"),
        ("दुनिया", "नमस्ते दुनिया।"),
        ("v1.19.1", "upgrade to v1.19.1"),
    ],
)
def test_a_query_meets_a_text(encoder: SparseEncoder, query: str, text: str) -> None:
    assert _score(encoder.encode_query(query), encoder.encode_document(text)) > 0


@pytest.mark.parametrize(
    ("query", "text"),
    [("the", "the"), ("", "text"), ("...", "..."), ("ORA-00061", "failed with 00060"), ("gate", "gateway")],
)
def test_a_query_misses_a_text(encoder: SparseEncoder, query: str, text: str) -> None:
    assert _score(encoder.encode_query(query), encoder.encode_document(text)) == 0


def test_the_whole_identifier_beats_its_parts(encoder: SparseEncoder) -> None:
    query = encoder.encode_query("ORA-00060")

    whole = encoder.encode_document("ORA-00060 was raised")
    parts = encoder.encode_document("ORA was raised 00060")

    assert _score(query, whole) > _score(query, parts) > 0


def test_terms_are_stemmed_in_order_and_kept_when_repeated(encoder: SparseEncoder) -> None:
    assert encoder.terms("The pods are restarting, restarting!") == ["pod", "restart", "restart"]
    assert encoder.terms("kube-prometheus") == ["kube-prometheus", "kube", "prometheus"]


def test_weights_saturate_and_fall_with_length(encoder: SparseEncoder) -> None:
    query = encoder.encode_query("deadlock")

    def weight(text: str) -> float:
        return _score(query, encoder.encode_document(text))

    once, twice, often = (weight("deadlock " * times) for times in (1, 2, 50))
    assert once < twice < 2 * once
    assert often < 2.2
    assert weight("deadlock " + "filler " * 300) < once


def test_a_text_of_average_length_has_weight_one(encoder: SparseEncoder) -> None:
    words = " ".join(f"w{chr(97 + n // 26)}{chr(97 + n % 26)}q" for n in range(100))

    vector = encoder.encode_document(words)

    assert vector.values == pytest.approx([1.0] * 100)


def test_headings_add_weight_and_no_length(encoder: SparseEncoder) -> None:
    query = encoder.encode_query("gateway")
    bare = encoder.encode_document("gateway is down")
    under = encoder.encode_document("gateway is down", heading_path=("Runbooks", "Gateway"))
    elsewhere = encoder.encode_document("it is down", heading_path=("Runbooks", "Gateway"))

    assert _score(query, under) > _score(query, bare)
    assert _score(query, elsewhere) > 0


def test_a_query_counts_each_term_once(encoder: SparseEncoder) -> None:
    assert encoder.encode_query("disk disk DISKS").values == (1.0,)


def test_ids_are_the_same_everywhere() -> None:
    # Stored vectors depend on these numbers: a change here needs another version.
    vector = SparseEncoder().encode_query("deadlock")

    assert SparseEncoder().version == "bm25-1-english"
    assert vector == SparseVector((_DEADLOCK,), (1.0,))


_DEADLOCK = 3789314826


def test_another_language_has_other_stems() -> None:
    german = SparseEncoder("german")

    assert german.terms("Die Häuser") == ["die", "haus"]
    assert german.version != SparseEncoder().version
    with pytest.raises(KeyError):
        SparseEncoder("klingon")


@given(st.text() | st.text(alphabet="aA1-_./:@+# \u0301東\ud800", max_size=40))
def test_any_text_gives_a_valid_vector(text: str) -> None:
    encoder = SparseEncoder()
    vector = encoder.encode_document(text, heading_path=(text,))

    assert list(vector.indices) == sorted(set(vector.indices))
    assert len(vector.indices) == len(vector.values)
    assert all(0 <= index < 2**32 for index in vector.indices)
    assert all(value > 0 for value in vector.values)
    assert set(encoder.encode_query(text).indices) == set(vector.indices)


def test_an_endless_run_is_cut(encoder: SparseEncoder) -> None:
    assert all(len(term) <= 200 for term in encoder.terms("a-" * 100_000 + " " + "x" * 100_000))


def test_threads_share_an_encoder(encoder: SparseEncoder) -> None:
    texts = [f"restarting gateways number{number} repeatedly" for number in range(200)]
    expected = [encoder.encode_document(text) for text in texts]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(encoder.encode_document, texts)) == expected
