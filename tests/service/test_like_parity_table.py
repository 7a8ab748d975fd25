"""What a comparison with LIKE reads: files of queries, and tables that it never writes to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ingestion.errors import ConfigurationError, InvalidRequest, SourceUnavailable
from service.quality.parity.queries import load_queries, objection
from service.quality.parity.table import TableName, open_table
from tests.service.parity_parts import ASKED, sqlite_films


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> SecretStr:
    return sqlite_films(tmp_path_factory.mktemp("films") / "films.db")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.txt", "gateway\r\n\n  \n100%\ngateway\n caf\u00e9 \u2028x\n"),
        ("q.jsonl", '{"query": "gateway"}\n\n{"query": "100%", "n": 1}\n{"query": " caf\u00e9 \u2028x"}\n'),
        ("q.csv", '\ufeffn,query\n1,gateway\n2,100%\n3," caf\u00e9 \u2028x"\n4,\n'),
        ("q.tsv", "n\tquery\n1\tgateway\n2\t100%\n3\t caf\u00e9 \u2028x\n"),
    ],
)
def test_queries_are_read_from_each_kind_of_file(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")

    assert load_queries(tmp_path / name) == ("gateway", "100%", " caf\u00e9 \u2028x")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.txt", b"\n \n", "holds no query"),
        ("q.txt", b"\xff", "not UTF-8"),
        ("q.jsonl", b'{"query": "a"}\n{"query": 1}', "line 2"),
        ("q.jsonl", b"nothing", "line 1 is not JSON"),
        ("q.csv", b"a,b\n1,2\n", "it has a, b"),
    ],
)
def test_what_is_no_list_of_queries_says_where(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        load_queries(tmp_path / name)
    with pytest.raises(ConfigurationError, match="No such file"):
        load_queries(tmp_path / "absent.txt")


def test_what_search_can_not_take_is_told() -> None:
    assert objection("gateway") is None
    assert "8000 bytes" in str(objection("é" * 4001))
    assert "NUL" in str(objection("a\0b"))


# --- the table ---


@given(
    bodies=st.lists(st.text("ab%_!\\ é'", max_size=6), max_size=6), query=st.text("ab%_!\\ é'", min_size=1, max_size=3)
)
def test_like_finds_what_holds_the_string_and_nothing_else(
    bodies: list[str], query: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("like") / "like.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?, ?)", enumerate(bodies))
    connection.close()

    with open_table(SecretStr(f"sqlite:///{path}"), TableName("notes", "id", ("body",)), timeout_s=30) as table:
        assert table.find(query, 100) == [key for key, body in enumerate(bodies) if query in body]
        assert table.count() == len(bodies)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (TableName("film", "id", ("title",)), r"no table 'film' \(did you mean 'films'\?\); the database has films"),
        (TableName("films", "key", ("title",)), "films has no column 'key'; it has id, title, body, price"),
        (TableName("films", "id", ("titel",)), r"no column 'titel' \(did you mean 'title'\?\)"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(films: SecretStr, asked: TableName, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said), open_table(films, asked, timeout_s=30):
        pass


def test_names_are_found_however_they_are_spelled(films: SecretStr) -> None:
    with open_table(films, TableName("FILMS", "ID", ("Title", "title")), timeout_s=30) as table:
        assert (table.table, table.key, table.columns) == ("films", "id", ("title",))


@pytest.mark.parametrize("address", ["films", "oracle://x/y", "sqlite://", "sqlite:///no/such/file.db"])
def test_an_address_that_can_not_be_read_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="--dsn"), open_table(SecretStr(address), ASKED, timeout_s=30):
        pass


def test_a_database_that_is_away_is_told_without_its_password() -> None:
    address = SecretStr("postgresql://user:verysecret@127.0.0.1:9/films")

    with pytest.raises(SourceUnavailable) as refused, open_table(address, ASKED, timeout_s=5):
        pass
    assert "verysecret" not in refused.value.detail
    assert "127.0.0.1:9" in refused.value.detail
