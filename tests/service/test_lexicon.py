"""What a query's words may mean: languages, spelling, synonyms; and what of it may be shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from ingestion.corpus.database import migrate_corpus, open_database, write_transaction
from ingestion.corpus.lexicon import WordRecorder, count_words
from ingestion.corpus.scope import Scope, TenantId
from ingestion.corpus.sparse import SparseEncoder, SparseVector
from ingestion.errors import ConfigurationError
from ingestion.settings import Settings
from service.retrieval.highlighting import QueryTerms
from service.retrieval.lexicon import LexicalQuery, Lexicon, Synonym, confirmed, read_synonyms
from service.retrieval.lexicon.spelling import Speller
from service.retrieval.lexicon.vocabulary import Vocabulary

ENCODER = SparseEncoder()
ACME = Scope(TenantId("acme"))
TEXTS = (
    "Restarting the kubernetes gateway after a failover",
    "The kubernetes operator and its deployment, a deployment of prometheus",
    "restart the load balancer before the maintenance window",
    "Manhattan is the name of a secret project",
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_corpus(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def lexicon(database: Engine) -> Lexicon:
    recorder = WordRecorder()
    for text in TEXTS:
        _record(database, recorder, text)
    return Lexicon(database, ENCODER)


def _record(database: Engine, recorder: WordRecorder, text: str, language: str = "en", scope: Scope = ACME) -> None:
    with write_transaction(database) as connection:
        recorder.record(connection, scope.tenant, [text], language)


def _meant(query: LexicalQuery) -> dict[str, tuple[str, ...]]:
    return {found.written: tuple(candidate.text for candidate in found.candidates) for found in query.corrections}


def _score(query: SparseVector | None, text: str, language: str = "en") -> float:
    assert query is not None
    document = ENCODER.encode_document(text, language=language)
    weights = dict(zip(document.indices, document.values, strict=True))
    return sum(value * weights.get(index, 0) for index, value in zip(query.indices, query.values, strict=True))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("kuberntes", "kubernetes"),
        ("kubernetse", "kubernetes"),
        ("Kubermetis", "kubernetes"),
        ("gatway", "gateway"),
        ("dgateway", "gateway"),
        ("restrat", "restart"),
        ("promethues", "prometheus"),
        ("loadbalancer", "load balancer"),
        ("maintenancewindow", "maintenance window"),
    ],
)
def test_a_word_that_no_document_has_is_read_as_one_that_is_near(lexicon: Lexicon, written: str, meant: str) -> None:
    found = lexicon.understand(ACME, f"{written} broken")

    assert _meant(found)[written.casefold()][0] == meant
    assert (
        _score(found.sparse, meant) == 0 < _score(found.corrected, meant) < _score(ENCODER.encode_query(meant), meant)
    )


@pytest.mark.parametrize(
    "query",
    [
        "restart the kubernetes gateway",
        "restarts and deployments",  # other forms of known words
        "gatway7 KubeAPIDwon gtwy",  # with a digit, of mixed case, too far away
        "teh the",  # too short, function words
        "",
        "完全に 다른",
    ],
)
def test_nothing_is_corrected_that_may_be_right(lexicon: Lexicon, query: str) -> None:
    found = lexicon.understand(ACME, query)

    assert (found.corrected, found.corrections) == (None, ())


def test_neighbours_are_joined_to_a_known_word(lexicon: Lexicon) -> None:
    found = lexicon.understand(ACME, "kuber netes is down")

    assert _meant(found) == {"kuber netes": ("kubernetes",)}
    assert _score(found.corrected, "kubernetes") > 0


def test_what_is_known_counts_as_before_in_a_corrected_query(lexicon: Lexicon) -> None:
    found = lexicon.understand(ACME, "restart kuberntes")
    assert found.corrected is not None

    written = dict(zip(found.sparse.indices, found.sparse.values, strict=True))
    corrected = dict(zip(found.corrected.indices, found.corrected.values, strict=True))

    assert written.items() <= corrected.items()


def test_a_correction_is_shown_only_from_texts_that_the_caller_may_read(lexicon: Lexicon) -> None:
    found = lexicon.understand(ACME, "manhatan kuberntes")

    assert _meant(found).keys() == {"manhatan", "kuberntes"}
    assert confirmed(found.corrections, TEXTS[:3]) == (("kuberntes", "kubernetes"),)
    assert confirmed(found.corrections, [TEXTS[3].upper()]) == (("manhatan", "manhattan"),)
    assert confirmed(found.corrections, ["manhattanization"]) == ()


def test_new_words_and_languages_are_known_at_the_next_query(lexicon: Lexicon, database: Engine) -> None:
    assert lexicon.understand(ACME, "Häuser").languages == ("en",)
    assert _meant(lexicon.understand(ACME, "grafanna")) == {}

    recorder = WordRecorder()
    _record(database, recorder, "grafana dashboards")
    assert _meant(lexicon.understand(ACME, "grafanna")) == {"grafanna": ("grafana",)}

    _record(database, recorder, "ein Haus am See", language="de")
    found = lexicon.understand(ACME, "Häuser")
    assert found.languages == ("en", "de")
    assert found.corrections == ()
    assert _score(found.sparse, "ein Haus", "de") > 0


def test_a_language_of_hardly_any_document_is_read_at_less_weight(database: Engine) -> None:
    recorder = WordRecorder()
    for _ in range(600):
        _record(database, recorder, "restart the gateway")
    _record(database, recorder, "ein Haus", language="de")
    lexicon = Lexicon(database, ENCODER)

    found = lexicon.understand(ACME, "Häuser")

    assert found.languages == ("en", "de")
    assert (
        0 < _score(found.sparse, "ein Haus", "de") < _score(ENCODER.encode_query("Häuser", ("de",)), "ein Haus", "de")
    )


def test_words_that_were_counted_away_are_forgotten(lexicon: Lexicon, database: Engine) -> None:
    assert _meant(lexicon.understand(ACME, "kuberntes")) != {}

    assert count_words(database, ACME.tenant) == 0

    assert _meant(lexicon.understand(ACME, "kuberntes")) == {}


def test_tenants_have_words_of_their_own(lexicon: Lexicon) -> None:
    other = lexicon.understand(Scope(TenantId("globex")), "kuberntes")

    assert (other.corrections, other.languages) == ((), ("en",))


_WORDS = st.text("abcdeé", min_size=4, max_size=11)


@given(st.lists(_WORDS, min_size=1, max_size=40, unique=True), _WORDS, st.integers(1, 2))
def test_no_near_word_is_missed(words: list[str], word: str, most: int) -> None:
    from rapidfuzz.distance import DamerauLevenshtein

    vocabulary = Vocabulary(ENCODER, ("en",))
    for start in range(0, len(words), 7):
        vocabulary.add((known, 1) for known in words[start : start + 7])

    near = dict(vocabulary.near(word, most))

    distances = {known: DamerauLevenshtein.distance(known, word) for known in words}
    assert near == {known: distance for known, distance in distances.items() if distance <= most}


@given(st.sampled_from(["kubernetes", "prometheus", "deployment", "maintenance"]), st.randoms(use_true_random=False))
def test_any_single_slip_in_a_long_word_is_corrected(word: str, chance: random.Random) -> None:
    speller = Speller(Vocabulary(ENCODER, ("en",), [(w, 3) for t in TEXTS for w in t.lower().split()]), frozenset())
    at, letter = chance.randrange(1, len(word) - 1), chance.choice("abcdefghijklmnopqrstuvwxyz")
    slips = (
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )

    for written in slips:
        unknown = speller.unknown(written)
        found = speller.correct(written, unknown)
        assert not unknown or found[0].candidates[0].text == word


# Synonyms

RULES = """# names
k8s, kubernetes, kube   # all the same
oom => out of memory

[ops]
lb => load balancer, haproxy
two-factor authentication, 2fa
"""


def _rules(tmp_path: Path, text: str = RULES) -> Path:
    path = tmp_path / "synonyms.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("query", "collections", "expansions"),
    [
        ("restart K8S", (), ["kubernetes", "kube"]),
        ("kube operator", (), ["k8s", "kubernetes"]),
        ("an OOM kill", (), ["out of memory"]),
        ("out of memory", (), []),
        ("two-factor authentication fails", ("ops",), ["2fa"]),
        ("lb down", ("ops",), ["load balancer", "haproxy"]),
        ("two-factor authentications", ("ops",), ["2fa"]),
        ("lb down", ("hr",), []),
        ("lb down", (), ["load balancer", "haproxy"]),
        ("k8s", ("hr",), ["kubernetes", "kube"]),
    ],
)
def test_synonyms(tmp_path: Path, query: str, collections: tuple[str, ...], expansions: list[str]) -> None:
    synonyms = read_synonyms(_rules(tmp_path), ENCODER)

    assert [found.expansion for found in synonyms.expand(ENCODER, query, collections)] == expansions


def test_a_synonym_counts_less_than_the_word_as_it_was_written(tmp_path: Path, database: Engine) -> None:
    lexicon = Lexicon(database, ENCODER, read_synonyms(_rules(tmp_path), ENCODER))

    found = lexicon.understand(ACME, "k8s oom")

    assert found.synonyms == (Synonym("k8s", "kubernetes"), Synonym("k8s", "kube"), Synonym("oom", "out of memory"))
    assert 0 < _score(found.sparse, "kubernetes") < _score(found.sparse, "k8s")
    assert 0 < _score(found.sparse, "out of memory") < _score(found.sparse, "oom")


def test_an_abbreviation_that_is_explained_is_no_slip(tmp_path: Path, database: Engine) -> None:
    lexicon = Lexicon(database, ENCODER, read_synonyms(_rules(tmp_path, "gatewy => entrance"), ENCODER))
    _record(database, WordRecorder(), TEXTS[0])

    assert lexicon.understand(ACME, "gatewy").corrections == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a, b\nalone", "line 2: 'alone' stands alone"),
        ("a => b => c", "line 1: more than one =>"),
        ("a,, b", "line 1: a term without a letter or digit"),
        ("=> b", "line 1: a term without"),
        ("oom =>", "line 1: a term without"),
        ("[ops\na, b", "line 1: '[ops' is no section"),
        ("[ ]", "line 1: '[ ]' is no section"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = _rules(tmp_path, text)

    with pytest.raises(ConfigurationError) as caught:
        read_synonyms(path, ENCODER)

    assert str(path) in caught.value.detail
    assert told in caught.value.detail


def test_a_file_that_cant_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"can't read the synonyms .*none\.txt"):
        read_synonyms(tmp_path / "none.txt", ENCODER)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9, bar")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_synonyms(tmp_path / "latin.txt", ENCODER)


def test_the_example_can_be_used(repo_root: Path) -> None:
    synonyms = read_synonyms(repo_root / "docs/examples/synonyms.txt", ENCODER)

    assert Synonym("k8s", "kubernetes") in synonyms.expand(ENCODER, "restart k8s")
    assert not synonyms.expand(ENCODER, "rca", ("other",))
    assert synonyms.expand(ENCODER, "rca", ("operations",))


# What of a text is highlighted


def test_other_spellings_synonyms_and_inflections_are_marked(lexicon: Lexicon, tmp_path: Path) -> None:
    found = lexicon.understand(ACME, "kuberntes loadbalancer")
    terms = QueryTerms("kuberntes loadbalancer", ENCODER, found.languages, found.readings)
    text = "The Kubernetes load balancer restarts."

    assert [text[low:high] for low, high in terms.find(text)] == ["Kubernetes", "load", "balancer"]
    assert terms.matched(text) == terms.terms == {"kubernt", "loadbalanc"}


def test_each_language_is_marked_by_its_own_stems() -> None:
    terms = QueryTerms("Wie alt sind die Häuser?", ENCODER, ("en", "de"))
    text = "Das Haus ist alt, die Häusern auch."

    assert [text[low:high] for low, high in terms.find(text)] == ["Haus", "alt", "Häusern"]
    assert terms.terms == {"alt", "haus"}
    assert QueryTerms("restarting", ENCODER, ("en", "de")).matched("it restarts") == {"restart"}
