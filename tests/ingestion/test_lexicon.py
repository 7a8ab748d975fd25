"""The words and languages of a tenant: recorded with each document, counted anew on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from ingestion.corpus.database import migrate_corpus, open_database, write_transaction
from ingestion.corpus.lexicon import VocabularyState, WordReader, WordRecorder, count_words
from ingestion.corpus.records import DocumentId
from ingestion.corpus.scope import TenantId
from ingestion.settings import Settings
from tests.ingestion.corpora import SCOPE, markdown, open_bench, settings_for

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    address = None if request.param == "sqlite" else SecretStr(request.getfixturevalue("postgres_url"))
    engine = open_database(Settings(data_dir=tmp_path, database_url=address))
    migrate_corpus(engine)
    yield engine
    engine.dispose()


def _record(engine: Engine, recorder: WordRecorder, tenant: TenantId, *texts: str, language: str | None = None) -> None:
    with write_transaction(engine) as connection:
        recorder.record(connection, tenant, texts, language)


def test_words_are_there_once_their_document_is(database: Engine) -> None:
    recorder, reader = WordRecorder(), WordReader(database)

    _record(database, recorder, ACME, "Restart the Gateway", "gateway-07 of NodeFooBar, gh5021 und Häuser")

    words = dict(reader.words(ACME, most=100))
    assert words == dict.fromkeys(["gateway", "häuser", "nodefoobar", "restart", "the", "und"], 1)
    assert reader.words(GLOBEX, most=100) == []


def test_what_came_after_a_change_is_read_alone(database: Engine) -> None:
    recorder, reader = WordRecorder(), WordReader(database)
    assert reader.state(ACME) == VocabularyState(0, 0)
    _record(database, recorder, ACME, "first words")
    before = reader.state(ACME)
    _record(database, recorder, ACME, "first words")
    assert reader.state(ACME) == before

    _record(database, recorder, ACME, "second words")

    assert reader.state(ACME).changes == before.changes + 1
    assert reader.words(ACME, after=before.changes, most=10) == [("second", 1)]


def test_counts_are_right_to_a_factor_of_two(database: Engine) -> None:
    recorder, reader = WordRecorder(), WordReader(database)

    for number in range(100):
        _record(database, recorder, ACME, "gateway" + (" rare" if number % 30 == 0 else ""))

    words = dict(reader.words(ACME, most=10))
    assert 50 <= words["gateway"] <= 100
    assert words["rare"] == 4
    assert reader.words(ACME, most=1) == [("gateway", words["gateway"])]


def test_another_process_adds_to_the_counts(database: Engine) -> None:
    for _ in range(3):
        _record(database, WordRecorder(), ACME, "gateway")

    assert WordReader(database).words(ACME, most=10) == [("gateway", 3)]


def test_languages_are_those_that_can_be_stemmed(database: Engine) -> None:
    recorder, reader = WordRecorder(), WordReader(database)
    for language in ("de", "en", "az", None, "de"):
        _record(database, recorder, ACME, "words", language=language)
    _record(database, recorder, GLOBEX, "mots", language="fr")

    assert reader.languages(ACME) == {"de": 2, "en": 1}
    assert reader.languages(GLOBEX) == {"fr": 1}


def test_documents_bring_their_words_and_counting_forgets_those_that_went(tmp_path: Path, models_dir: Path) -> None:
    german = "# Sicherung\n\nDie Sicherung der Datenbank wird jede Nacht auf einen anderen Rechner geschrieben.\n"
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        bench.ingest(markdown("gateway", "# Gateway\n\nRestart the gateway."), markdown("sicherung", german))
        reader = WordReader(bench.corpus.database)
        before = reader.state(SCOPE.tenant)
        assert {"gateway", "restart", "datenbank"} <= dict(reader.words(SCOPE.tenant, most=100)).keys()
        assert "de" in reader.languages(SCOPE.tenant)

        bench.corpus.delete_document(SCOPE, DocumentId("sicherung"))
        counted = count_words(bench.corpus.database, SCOPE.tenant)

        words = dict(reader.words(SCOPE.tenant, most=100))
        assert counted == len(words)
        assert "datenbank" not in words
        assert words["gateway"] == 1
        assert "de" not in reader.languages(SCOPE.tenant)
        state = reader.state(SCOPE.tenant)
        assert state.counted_at_change == state.changes > before.changes


def test_an_older_catalogue_has_no_words_and_works(tmp_path: Path, models_dir: Path) -> None:
    settings = settings_for(tmp_path, models_dir)
    with open_bench(settings) as bench:
        bench.ingest(markdown("gateway", "# Gateway\n\nRestart the gateway."))
        with write_transaction(bench.corpus.database) as connection:
            for table in ("words", "languages", "vocabularies"):
                connection.execute(text(f"DELETE FROM {table}"))

        reader = WordReader(bench.corpus.database)
        assert (reader.state(SCOPE.tenant), reader.languages(SCOPE.tenant)) == (VocabularyState(0, 0), {})
        assert count_words(bench.corpus.database, SCOPE.tenant) == 3
        assert dict(reader.words(SCOPE.tenant, most=10)) == {"gateway": 1, "restart": 1, "the": 1}
