"""A source of rows that fails deletes nothing, writes nothing, waits for nothing for ever, and tells no secret."""

from __future__ import annotations

import os
import sqlite3
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from ingestion.errors import SourceUnavailable
from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.origin import End, Fetched, Sighting, Unchanged
from ingestion.sources.sql import Sql
from tests.contracts.origins import Memory
from tests.ingestion.sources.databases import OriginDatabase
from tests.postgres import free_port

SERVERS = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> OriginDatabase:
    found = request.getfixturevalue(f"{request.param}_origin")
    assert isinstance(found, OriginDatabase)
    return found


def filled(shop: OriginDatabase, rows: int) -> None:
    shop.notes()
    shop.put({"id": n, "body": f"note {n}", "changed": "2030-01-01 10:00:01"} for n in range(1, rows + 1))


def test_a_missing_table_or_column_is_named(shop: OriginDatabase) -> None:
    filled(shop, 3)
    memory = Memory()
    shop.scan(memory)
    for definition, told in (
        ({"table": "nothing_here"}, "nothing_here"),
        ({"key": "nope"}, "notes has no column 'nope'; it has 'id', 'body', 'changed'"),
        ({"text": ("body", "nope"), "metadata": ("neither",)}, "no column 'nope', 'neither'"),
        ({"query": "SELECT id FROM notes"}, "query has no column 'body'; it has 'id'"),
    ):
        with pytest.raises(SourceUnavailable, match=told):
            shop.scan(memory, **definition)
    assert len(memory.items) == 3


def test_an_empty_table_is_a_complete_scan(shop: OriginDatabase) -> None:
    shop.notes()
    assert shop.scan(Memory()) == [End(complete=True)]


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_a_slow_query_is_ended(kind: str, request: pytest.FixtureRequest) -> None:
    shop: OriginDatabase = request.getfixturevalue(f"{kind}_origin")
    filled(shop, 3)
    wait = {
        "sqlite": "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)",
        "postgres": "pg_sleep(600)::text",
        "mariadb": "SLEEP(600)",
    }[kind]
    # Quick for the list of keys, where the database leaves out what is not asked for, and else slow from the start.
    for definition in (
        {"query": f"SELECT id, {wait} AS body FROM notes"},
        {"query": f"SELECT id, body FROM notes WHERE {wait} IS NOT NULL"},
    ):
        with pytest.raises(SourceUnavailable, match=r"took longer than 0.5 s.*PLUMBLINE_SOURCES__STATEMENT_TIMEOUT_S"):
            shop.scan(Memory(), timeout_s=0.5, **definition)


def test_a_connection_that_is_killed_during_the_listing_deletes_nothing(server: OriginDatabase) -> None:
    filled(server, 50)
    memory = Memory()
    server.scan(memory)
    kill = {
        "postgres": "SELECT id, body, pg_terminate_backend(pg_backend_pid())::text AS bye FROM notes",
        "mariadb": "SELECT id, body, CASE WHEN id > 25 THEN wait_and_kill(CONNECTION_ID()) END AS bye FROM notes",
    }[server.kind]
    if server.kind == "mariadb":
        server.run(
            "CREATE FUNCTION wait_and_kill(c BIGINT) RETURNS INT DETERMINISTIC BEGIN KILL CONNECTION c; RETURN 1; END"
        )
    with pytest.raises(SourceUnavailable):
        server.scan(memory, query=kill, updated_at="bye")
    assert len(memory.items) == 50


def test_a_server_that_goes_away_between_two_batches_deletes_nothing(server: OriginDatabase) -> None:
    filled(server, 700)
    memory = Memory()
    server.scan(memory)
    with closing(server.source()) as source:
        scan = source.scan(memory)
        seen: list[Sighting] = [next(scan) for _ in range(300)]
        server.run("ALTER TABLE notes RENAME TO gone")
        with pytest.raises(SourceUnavailable):
            seen.extend(scan)
    assert not any(isinstance(one, End) for one in seen)
    assert len(memory.items) == 700


def test_no_connection_is_held_between_two_batches(server: OriginDatabase) -> None:
    filled(server, 700)
    mine = {
        "postgres": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'",
        "mariadb": "SELECT count(*) FROM information_schema.innodb_trx",
    }[server.kind]
    with closing(server.source()) as source:
        scan = source.scan(Memory())
        for _ in range(300):
            next(scan)
        with server.engine.connect() as connection:
            assert connection.execute(text(mine)).scalar_one() == 0
        server.run("ALTER TABLE notes ADD COLUMN more INTEGER")  # would wait for any lock of ours
        assert sum(isinstance(one, Fetched) for one in scan) == 400


def test_rows_that_vanish_during_the_scan_are_gone_and_the_rest_is_read(shop: OriginDatabase) -> None:
    filled(shop, 600)
    memory = Memory()
    with closing(shop.source(updated_at="changed")) as source:
        scan = source.scan(memory)
        seen = [next(scan)]
        shop.run(
            "DELETE FROM notes WHERE id > 300",
            "UPDATE notes SET body = 'later', changed = '2030-05-05 10:00:01' WHERE id = 99",
        )
        memory.learn([*seen, *scan])
    assert {int(key) for key in memory.items} <= set(range(1, 601))
    shop.clock.wait(3600)
    shop.scan(memory, updated_at="changed")
    assert set(memory.items) == {str(number) for number in range(1, 301)}
    assert memory.items["99"].revision == shop_stamp(shop, "2030-05-05 10:00:01")


def shop_stamp(shop: OriginDatabase, stamp: str) -> str:
    return stamp if shop.kind == "sqlite" else stamp.replace(" ", "T")


def test_a_function_that_writes_fails(server: OriginDatabase) -> None:
    filled(server, 3)
    if server.kind == "postgres":
        server.run(
            "CREATE FUNCTION writes() RETURNS int LANGUAGE sql VOLATILE"
            " AS 'INSERT INTO notes VALUES (99, ''written'', NULL) RETURNING id'"
        )
    else:
        server.run(
            "CREATE TABLE visits (n INTEGER)",
            "CREATE FUNCTION writes() RETURNS INT BEGIN INSERT INTO visits VALUES (1); RETURN 1; END",
        )
    with pytest.raises(SourceUnavailable, match=r"(?i)read.only"):
        server.scan(Memory(), query="SELECT id, body, writes() AS changed FROM notes", updated_at="changed")
    with server.engine.connect() as connection:
        table = "notes WHERE id = 99" if server.kind == "postgres" else "visits"
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


@pytest.mark.postgres
def test_postgres_cannot_be_made_to_write_by_a_setting(postgres_origin: OriginDatabase) -> None:
    filled(postgres_origin, 1)
    query = "SELECT id, body, set_config('transaction_read_only', 'off', false) AS changed FROM notes"
    with pytest.raises(SourceUnavailable, match="read-write"):
        postgres_origin.scan(Memory(), query=query, updated_at="changed")


def test_sqlite_is_opened_for_reading_only(sqlite_origin: OriginDatabase, tmp_path: Path) -> None:
    filled(sqlite_origin, 2)
    with (
        closing(sqlite_origin.source()) as source,
        pytest.raises(SourceUnavailable, match="readonly"),
        source._database.reading() as connection,
    ):
        connection.execute(text("DELETE FROM notes"))
    missing = Sql(
        SqlOrigin(database="shop", table="notes", key="id", text=("body",)),
        address=SecretStr(f"sqlite:///{tmp_path / 'missing.db'}"),
        max_bytes=1,
        statement_timeout_s=1,
    )
    with pytest.raises(SourceUnavailable, match="unable to open"):
        list(missing.scan(Memory()))
    assert not (tmp_path / "missing.db").exists()


def test_sqlite_is_read_while_another_process_writes(sqlite_origin: OriginDatabase, tmp_path: Path) -> None:
    """In WAL mode, as most programs that serve use it: neither waits for the other."""
    filled(sqlite_origin, 5)
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM notes WHERE id = 1")
        assert len(sqlite_origin.texts(Memory())) == 5
        writer.execute("COMMIT")
    assert len(sqlite_origin.texts(Memory())) == 4


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(os.urandom(10_000))
    source = Sql(
        SqlOrigin(database="shop", table="notes", key="id", text=("body",)),
        address=SecretStr(f"sqlite:///{tmp_path / 'shop.db'}"),
        max_bytes=1,
        statement_timeout_s=1,
    )
    with pytest.raises(SourceUnavailable, match="not a database"):
        list(source.scan(Memory()))


@pytest.mark.mariadb
def test_a_wrong_password_is_not_repeated(mariadb_origin: OriginDatabase) -> None:
    url = make_url(mariadb_origin.address)
    wrong = url.set(password="Wrong-word-9").render_as_string(hide_password=False)
    _told_nothing_of("Wrong-word-9", wrong)


@pytest.mark.parametrize("driver", ["postgresql", "mysql", "mariadb"])
def test_a_server_that_does_not_answer_is_told_without_its_password(driver: str) -> None:
    _told_nothing_of("Wrong-word-9", f"{driver}://reader:Wrong-word-9@127.0.0.1:{free_port()}/shop")


def _told_nothing_of(password: str, address: str) -> None:
    source = Sql(
        SqlOrigin(database="shop", table="notes", key="id", text=("body",)),
        address=SecretStr(address),
        max_bytes=1,
        statement_timeout_s=1,
    )
    with pytest.raises(SourceUnavailable, match="database 'shop'") as failure:
        list(source.scan(Memory()))
    assert password not in "".join(traceback.format_exception(failure.value))


@pytest.mark.mariadb
def test_a_limit_of_the_server_on_rows_does_not_pass_for_deletions(mariadb_origin: OriginDatabase) -> None:
    filled(mariadb_origin, 30)
    mariadb_origin.run("SET GLOBAL sql_select_limit = 10")
    try:
        assert len(mariadb_origin.texts(Memory())) == 30
    finally:
        mariadb_origin.run("SET GLOBAL sql_select_limit = DEFAULT")


class Counted(Memory):
    """Remembers a revision for every key without holding any."""

    def get(self, keys):  # type: ignore[no-untyped-def, override]
        from ingestion.sources.origin import KnownItem

        return {key: KnownItem(key, "1") for key in keys}


def test_memory_does_not_grow_with_the_table(shop: OriginDatabase) -> None:
    shop.run(f"CREATE TABLE notes (id INTEGER PRIMARY KEY, body {shop.type('text')}, changed INTEGER)")
    total = 100_000 if shop.kind == "sqlite" else 40_000

    def rows() -> Iterator[dict[str, object]]:
        for number in range(total):
            yield {"id": number, "body": "x" * 100, "changed": 1}

    shop.put(rows())

    def peak(definition: dict[str, object]) -> tuple[int, int]:
        with closing(shop.source(updated_at="changed", **definition)) as source:
            tracemalloc.start()
            try:
                met = sum(isinstance(one, Unchanged) for one in source.scan(Counted()))
                return met, tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    few, small = peak({"query": "SELECT * FROM notes WHERE id < 10000"})
    many, large = peak({})
    assert (few, many) == (10_000, total)
    assert large < small + 1_000_000
