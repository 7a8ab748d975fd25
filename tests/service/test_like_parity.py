"""LIKE beside our search, on real tables of SQLite, Postgres and MariaDB."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from ingestion.errors import ConfigurationError, InvalidRequest
from service.quality.parity.comparing import RUNS, Limits, Sides, compare
from service.quality.parity.explaining import Explainer
from service.quality.parity.records import Reason, Way
from service.quality.parity.reporting import Summary, as_html
from service.quality.parity.running import Job
from service.quality.parity.table import TableName, open_table
from service.retrieval.query import SearchQuery
from service.retrieval.relevance import NOTHING
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.settings import RetrievalSettings, ServiceSettings
from tests.ingestion.corpora import SCOPE, markdown, open_bench
from tests.service.parity_parts import ASKED, LIMITS, reasons, sqlite_films, tell


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> SecretStr:
    return sqlite_films(tmp_path_factory.mktemp("films") / "films.db")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> ServiceSettings:
    return ServiceSettings(data_dir=tmp_path_factory.mktemp("data"), models_dir=models_dir)


def test_every_row_of_like_is_found_or_explained(films: SecretStr, settings: ServiceSettings) -> None:
    queries = ("gateway", "100%", "snake_", "e_C", "l'amour", "!", "wow!!", "films\\w", "line\twith", "a", "zebra")
    job = Job(settings, films, ASKED, None, LIMITS)
    parity = job.with_own_corpus((*queries, "long" * 3000), None, tell)

    found = {query.query: query for query in parity.queries}
    assert reasons(parity) == []
    ones = ("100%", "snake_", "l'amour", "!", "wow!!", "films\\w", "line\twith")
    assert [found[name].rows for name in ones] == [1] * len(ones)
    assert (found["gateway"].rows, found["zebra"].rows) == (2, 0)
    assert found["e_C"].rows == 1
    assert all(query.exact == query.rows for query in parity.queries)
    assert (found["gateway"].on_page, found["gateway"].best_rank) == (2, 1)
    assert [query for query, _ in parity.skipped] == ["long" * 3000]
    assert (parity.table.rows, parity.documents) == (10, 9)
    assert all(len(query.took_ms[way]) == RUNS for query in parity.queries for way in Way)


def test_what_like_missed_is_shown_with_its_best_passage(films: SecretStr, settings: ServiceSettings) -> None:
    parity = Job(settings, films, ASKED, None, LIMITS).with_own_corpus(("how to restart a gateway",), None, tell)

    (query,) = parity.queries
    assert query.rows == 0
    assert query.gains[0].title == "The Gateway"
    assert query.gains[0].rank == 1
    assert "A restarted gateway answers 502" in query.gains[0].passage
    assert (Summary.of(parity).empty_like, Summary.of(parity).empty_like_answered) == (1, 1)


def test_text_that_is_stored_normalised_is_explained(films: SecretStr, settings: ServiceSettings) -> None:
    parity = Job(settings, films, ASKED, None, LIMITS).with_own_corpus(("line\r\nanother", "with\x07 a"), None, tell)

    assert [(row, reason) for _, row, reason in reasons(parity)] == [("7", Reason.NORMALISED)] * 2


def test_a_kept_corpus_follows_the_table(tmp_path: Path, settings: ServiceSettings) -> None:
    address = sqlite_films(tmp_path / "films.db")
    job = Job(settings, address, ASKED, None, LIMITS)
    job.with_own_corpus(("gateway",), tmp_path / "kept", tell)
    with sqlite3.connect(tmp_path / "films.db") as connection:
        connection.execute("UPDATE films SET body = 'Now about zebras.' WHERE id = 1")
        connection.execute("DELETE FROM films WHERE id = 2")
    connection.close()

    parity = job.with_own_corpus(("zebra", "100%"), tmp_path / "kept", tell)

    assert [(query.rows, query.exact, query.exact_more) for query in parity.queries] == [(1, 1, 0), (0, 0, 0)]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not made by like-parity"):
        job.with_own_corpus(("zebra",), tmp_path / "other", tell)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> ServiceSettings:
    """A data folder to which an application pushed some of its films, by the ids of their rows."""
    settings = ServiceSettings(data_dir=tmp_path_factory.mktemp("pushed"), models_dir=models_dir)
    texts = {
        "1": ("films", "The Gateway", "A restarted gateway answers 502 until dawn."),
        "4": ("films", "TWO", "Its text was another one when it was pushed."),
        "8": ("elsewhere", "Vacation", "A film without a title, about vacation days in the office."),
    }
    with open_bench(settings) as bench:
        documents = [
            markdown(id_, body, title=title, collection=collection) for id_, (collection, title, body) in texts.items()
        ]
        bench.ingest(*documents)
        bench.corpus.writer.flush()
    return settings


def test_a_collection_is_explained_row_by_row(films: SecretStr, pushed: ServiceSettings) -> None:
    asked = replace(ASKED, columns=("title", "body", "price"))
    job = Job(pushed, films, asked, None, LIMITS)
    parity = job.with_collection(("gateway", "vacation", "wolf", "1.5"), "films", SCOPE, tell)

    assert reasons(parity) == [
        ("gateway", "4", Reason.CHANGED),
        ("vacation", "8", Reason.OTHER_COLLECTION),
        ("wolf", "2", Reason.NOT_INGESTED),
        ("1.5", "1", Reason.NOT_TEXT),
    ]
    assert parity.queries[0].exact == 1
    assert parity.missing()[Reason.NOT_INGESTED] == 1


def test_ids_that_do_not_fit_are_no_explanation(films: SecretStr, pushed: ServiceSettings) -> None:
    job = Job(pushed, films, replace(ASKED, key="title"), None, LIMITS)

    with pytest.raises(InvalidRequest, match="are its ids the values of the column 'title'"):
        job.with_collection(("gateway",), "films", SCOPE, tell)
    with pytest.raises(InvalidRequest, match="holds no document"):
        job.with_collection(("gateway",), "no-such", SCOPE, tell)


class Blind:
    """A search that finds nothing, whatever is asked."""

    def search(self, *_: object) -> SearchResult:
        return SearchResult((), NOTHING, 0)


class Halved(Blind):
    """A search that says there is more than can be paged to."""

    def search(self, *_: object) -> SearchResult:
        return SearchResult((), NOTHING, 5_000)


@pytest.mark.parametrize(("searcher", "reason"), [(Blind, Reason.UNEXPLAINED), (Halved, Reason.CUT)])
def test_what_is_there_and_not_found_is_told(
    films: SecretStr, pushed: ServiceSettings, searcher: Any, reason: Reason
) -> None:
    with open_table(films, ASKED, timeout_s=30) as table, open_bench(pushed) as bench:
        explainer = Explainer(bench.corpus, SCOPE, "films", {})
        sides = Sides(table, bench.corpus, searcher(), explainer, lambda key: (str(key),))  # type: ignore[arg-type, return-value]
        parity = compare(sides, ["restarted"], LIMITS, tell)

    assert reasons(parity) == [("restarted", "1", reason)]
    assert Summary.of(parity).unexplained == (reason is Reason.UNEXPLAINED)
    assert ("without an explanation" in as_html(parity)) == (reason is Reason.UNEXPLAINED)


def test_rows_beyond_the_most_are_not_compared(films: SecretStr, pushed: ServiceSettings) -> None:
    with open_table(films, ASKED, timeout_s=30) as table, open_bench(pushed) as bench:
        explainer = Explainer(bench.corpus, SCOPE, "films", {})
        searcher = Searcher(bench.corpus, RetrievalSettings())
        sides = Sides(table, bench.corpus, searcher, explainer, lambda key: (str(key),))  # type: ignore[arg-type, return-value]
        parity = compare(sides, ["a"], Limits(page=5, rows=1), tell)
        everything = searcher.search(SCOPE, SearchQuery("a"))

    (query,) = parity.queries
    assert (query.rows, query.rows_cut, query.exact_more, query.gains) == (1, True, 0, ())
    assert everything.passages


@pytest.mark.postgres
def test_postgres(postgres_url: str, settings: ServiceSettings) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text('CREATE SCHEMA "Old Shop"'))
        connection.execute(text('CREATE TABLE "Old Shop".films (key UUID PRIMARY KEY, title TEXT, added TIMESTAMP)'))
        connection.execute(text("CREATE TABLE films (id INT PRIMARY KEY, title TEXT, kind TEXT, added TIMESTAMP)"))
        rows = [{"id": 1, "title": "ÉCOLE 100%"}, {"id": 2, "title": "Snake_Case"}, {"id": 3, "title": "Gateway"}]
        connection.execute(text("INSERT INTO films VALUES (:id, :title, 'x', '2024-01-02 03:04:05')"), rows)
    engine.dispose()
    job = Job(settings, SecretStr(postgres_url), TableName("films", "id", ("title", "added")), "TITLE", LIMITS)

    parity = job.with_own_corpus(("école", "0%", "e_c", "gateWAY", "02 03:04"), None, tell)

    assert parity.table.operator == "ILIKE"
    assert [query.rows for query in parity.queries[1:]] == [1, 1, 1, 3]
    # Whether ILIKE folds É depends on the locale of the database; ours does.
    assert parity.queries[0].exact + parity.queries[0].exact_more == 1
    assert reasons(parity) == [("02 03:04", str(key), Reason.NOT_TEXT) for key in (1, 2, 3)]
    with open_table(job.address, TableName("Old Shop.films", "key", ("title",)), timeout_s=30) as table:
        assert table.count() == len(table.find("x", 10)) == 0
    with open_table(job.address, job.asked, timeout_s=30) as table, pytest.raises(SQLAlchemyError, match="read-only"):
        table._connection.execute(text("DELETE FROM films"))
    with (
        pytest.raises(InvalidRequest, match="the database has films"),
        open_table(job.address, TableName("flims", "id", ("title",)), timeout_s=30),
    ):
        pass


@pytest.mark.mariadb
def test_mariadb_finds_more_by_its_collation(mariadb_url: str, settings: ServiceSettings) -> None:
    engine = create_engine(mariadb_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE films (id INT PRIMARY KEY, title TEXT COLLATE utf8mb4_general_ci)"))
        rows = [{"id": 1, "title": "Le café"}, {"id": 2, "title": "CAFE 100%"}]
        connection.execute(text("INSERT INTO films VALUES (:id, :title)"), rows)
    engine.dispose()
    job = Job(settings, SecretStr(mariadb_url), TableName("films", "id", ("title",)), None, LIMITS)

    parity = job.with_own_corpus(("cafe", "0%"), None, tell)

    assert [query.rows for query in parity.queries] == [2, 1]
    assert reasons(parity) == [("cafe", "1", Reason.COLLATION)]
    with open_table(job.address, job.asked, timeout_s=30) as table, pytest.raises(SQLAlchemyError, match="READ ONLY"):
        table._connection.execute(text("DELETE FROM films"))


def test_a_sqlite_file_is_not_written(films: SecretStr) -> None:
    with open_table(films, ASKED, timeout_s=30) as table, pytest.raises(SQLAlchemyError, match="readonly"):
        table._connection.execute(text("DELETE FROM films"))
