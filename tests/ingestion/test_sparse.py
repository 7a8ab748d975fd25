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
        ("1.19.1", "upgrade to v1.19.1"),
        ("80070005", "error 0x80070005"),
        ("100 ms", "within 100ms"),
        ("100ms", "within 100 ms"),
        ("c++", "written in C++."),
        ("dry run", "pass --dry-run"),
        ("--dry-run", "a dry run"),
        ("dryrun", "--dry_run"),
        ("CVE 2024 1234", "fixes CVE-2024-1234"),
        ("cve20241234", "fixes CVE-2024-1234"),
        ("nginx.conf", "/etc/nginx/nginx.conf"),
    ],
)
def test_a_query_meets_a_text(encoder: SparseEncoder, query: str, text: str) -> None:
    assert _score(encoder.encode_query(query), encoder.encode_document(text)) > 0


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("the", "the"),
        ("", "text"),
        ("...", "..."),
        ("ORA-00061", "failed with 00060"),
        ("gate", "gateway"),
        ("c", "written in C++"),
        ("20240102", "on 2024-01-02"),
    ],
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
    assert encoder.terms("kube-prometheus") == ["kube-prometheus", "kubeprometheus", "kube", "prometheus"]


def test_weights_saturate_and_fall_with_length(encoder: SparseEncoder) -> None:
    query = encoder.encode_query("deadlock")

    def weight(text: str) -> float:
        return _score(query, encoder.encode_document(text))

    once, twice, often = (weight("deadlock " * times) for times in (1, 2, 50))
    assert once < twice < 2 * once
    assert often < 2.5
    assert weight("deadlock " + "filler " * 300) < once


def test_a_text_of_average_length_has_weight_one(encoder: SparseEncoder) -> None:
    words = " ".join(f"w{chr(97 + n // 26)}{chr(97 + n % 26)}q" for n in range(60))

    vector = encoder.encode_document(words)

    assert vector.values == pytest.approx([1.0] * 60)


def test_a_word_in_a_short_title_weighs_more(encoder: SparseEncoder) -> None:
    query = encoder.encode_query("smile")

    def weight(title: str) -> float:
        return _score(query, encoder.encode_document("a film", title=title))

    assert weight("Smile") > weight("Smile on a Summer Night of the Year") > weight("") == 0


def test_headings_add_weight_and_no_length(encoder: SparseEncoder) -> None:
    query = encoder.encode_query("gateway")
    bare = encoder.encode_document("gateway is down")
    under = encoder.encode_document("gateway is down", heading_path=("Runbooks", "Gateway"))
    elsewhere = encoder.encode_document("it is down", heading_path=("Runbooks", "Gateway"))

    assert _score(query, under) > _score(query, bare)
    assert _score(query, elsewhere) > 0


def test_a_query_counts_each_term_once(encoder: SparseEncoder) -> None:
    assert encoder.weigh_query("disk, disk, DISKS") == {"disk": 1.0}


def test_ids_are_the_same_everywhere() -> None:
    # Stored vectors depend on these numbers: a change here needs another version.
    vector = SparseEncoder().encode_query("deadlock")

    assert SparseEncoder().version == "bm25-2"
    assert vector == SparseVector((_DEADLOCK,), (1.0,))


_DEADLOCK = 3789314826

_WAYS_OF_WRITING = [
    ("fail over", "failover", "fail-over", "Fail-Over", "failing over"),
    ("time out", "timeout", "time-out", "timed out", "TimeOut"),
    ("roll back", "rollback", "roll-back", "rolled back"),
    ("load-balancer", "LoadBalancer", "load_balancer"),
    ("kube-prometheus", "kube_prometheus", "KubePrometheus", "kubeprometheus"),
    ("ORA-00060", "ORA 00060", "ora00060", "ORA_00060"),
    ("HTTP 502", "HTTP-502", "http502", "HTTP_502", "HTTP/502"),
    ("getUserById", "get_user_by_id", "get-user-by-id", "GetUserById", "getuserbyid"),
    ("CVE-2024-1234", "cve 2024 1234", "CVE_2024_1234"),
    ("--dry-run", "dry-run", "dry_run", "dryRun", "DRY_RUN"),
    ("v1.2.3", "1.2.3", "V1.2.3"),
    ("0x80070005", "80070005", "0X80070005"),
    ("spec.template.metadata", "SPEC.TEMPLATE.METADATA", ".spec.template.metadata"),
    ("node_cpu_seconds_total", "node cpu seconds total", "node-cpu-seconds-total"),
]


@pytest.mark.parametrize("ways", _WAYS_OF_WRITING, ids=lambda ways: ways[0])
def test_every_way_of_writing_finds_every_other(encoder: SparseEncoder, ways: tuple[str, ...]) -> None:
    documents = {way: encoder.encode_document(f"it says {way}, and more") for way in ways}
    missed = [
        (asked, written)
        for asked in ways
        for written, document in documents.items()
        if _score(encoder.encode_query(asked), document) == 0
    ]

    assert missed == []


_PIECE = st.from_regex(r"[a-z]{3,6}|[0-9]{2,4}", fullmatch=True)


@given(st.lists(_PIECE, min_size=2, max_size=4).filter(lambda pieces: any(piece.isalpha() for piece in pieces)))
def test_hyphens_underscores_and_capitals_make_no_difference(pieces: list[str]) -> None:
    encoder = SparseEncoder()
    ways = ["-".join(pieces), "_".join(pieces), "-".join(pieces).upper(), "".join(pieces)]
    documents = [encoder.encode_document(way) for way in ways]

    assert all(_score(encoder.encode_query(way), document) > 0 for way in ways for document in documents)


@pytest.mark.parametrize(
    ("language", "query", "text"),
    [
        ("de", "Haus", "Die Häuser der Stadt"),
        ("de", "Sicherungen", "Datensicherung einrichten"),
        ("fr", "chevaux", "l'élevage du cheval"),
        ("es", "corriendo", "ellos corrieron"),
        ("nl", "huizen", "het huis"),
        ("sv", "flickorna", "en flicka"),
    ],
)
def test_inflections_meet_in_their_language(encoder: SparseEncoder, language: str, query: str, text: str) -> None:
    document = encoder.encode_document(text, language=language)

    assert _score(encoder.encode_query(query, ("en", language)), document) > 0
    assert _score(encoder.encode_query("the houses", ("en", language)), encoder.encode_document("one house")) > 0


def test_a_word_counts_once_however_many_languages_stem_it_alike(encoder: SparseEncoder) -> None:
    weights = encoder.weigh_query("deadlock", ("en", "de", "fr", "de"))

    assert weights["deadlock"] == 1.0
    assert [term for term in weights if not term.startswith("~")] == ["deadlock"]


def test_function_words_of_the_querys_language_are_left_out_of_all(encoder: SparseEncoder) -> None:
    weights = encoder.weigh_query("what is the restarting", ("en", "de"))

    assert set(weights) & {"what", "is", "the"} == set()
    assert weights["restart"] == 1.0 > weights["restarting"]
    # Nothing tells the language here.
    assert encoder.weigh_query("die hard", ("en", "de"))["die"] == 1.0


def test_a_language_without_a_stemmer_is_read_as_english(encoder: SparseEncoder) -> None:
    assert encoder.encode_document("restarting", language="az") == encoder.encode_document("restarting")
    assert encoder.encode_query("restarting", ("zxx",)) == encoder.encode_query("restarting")


@given(st.text() | st.text(alphabet="aA1-_./:@+# \u0301東\ud800", max_size=40))
def test_any_text_gives_a_valid_vector(text: str) -> None:
    encoder = SparseEncoder()
    vector = encoder.encode_document(text, title=text, heading_path=(text,))

    assert list(vector.indices) == sorted(set(vector.indices))
    assert len(vector.indices) == len(vector.values)
    assert all(0 <= index < 2**32 for index in vector.indices)
    assert all(value > 0 for value in vector.values)
    assert set(encoder.encode_query(text).indices) >= set(vector.indices)


def test_an_endless_run_is_cut(encoder: SparseEncoder) -> None:
    assert all(len(term) <= 200 for term in encoder.terms("a-" * 100_000 + " " + "x" * 100_000))


def test_threads_share_an_encoder(encoder: SparseEncoder) -> None:
    texts = [f"restarting gateways number{number} repeatedly" for number in range(200)]
    expected = [encoder.encode_document(text) for text in texts]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(encoder.encode_document, texts)) == expected
