"""Which queries and names are taken, and that a wrong one is refused before any database is asked."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from ingestion.errors import InvalidRequest
from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.sql import Sql, address_of
from ingestion.sources.sql.database import Backend
from ingestion.sources.sql.statements import checked_query

EVERYWHERE = list(Backend)


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, body FROM notes",
        "  -- first\n /* second; */ select ';' AS a, (1) AS b FROM notes ;  -- the end",
        "WITH a AS (SELECT 1 AS id) SELECT id FROM a",
        "SELECT 'it''s; (' AS a, \"b;(\" FROM notes",
        "SELECT updated_into, for_update FROM notes",
    ],
)
def test_one_select_is_taken(backend: Backend, query: str) -> None:
    assert checked_query(query, backend).rstrip(";") == query[: query.rfind(";")] if ";  --" in query else query


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "begin with SELECT"),
        ("-- only a comment", "begin with SELECT"),
        ("DELETE FROM notes", "begin with SELECT"),
        ("EXPLAIN SELECT 1", "begin with SELECT"),
        ("(SELECT 1)", "begin with SELECT"),
        ("SELECT 1; DELETE FROM notes", "single statement"),
        ("SELECT 1; -- x\n SELECT 2", "single statement"),
        ("SELECT 1) AS a; COMMIT; SELECT (2", "parenthesis"),
        ("SELECT (1", "parenthesis"),
        ("SELECT 'open", "without its end"),
        ("SELECT 1 /* open", "without its end"),
        ("SELECT * INTO copies FROM notes", "INTO"),
        ("SELECT * FROM notes INTO OUTFILE 'x'", "INTO"),
        ("SELECT * FROM notes FOR UPDATE", "lock"),
        ("SELECT * FROM notes FOR SHARE", "lock"),
        ("SELECT * FROM notes LOCK IN SHARE MODE", "lock"),
    ],
)
def test_anything_else_is_refused(backend: Backend, query: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        checked_query(query, backend)


def test_each_database_quotes_in_its_own_way() -> None:
    checked_query(r"SELECT E'it\'s; (', $$;($$, $a$ $$;( $a$, a ~ '\' FROM notes", Backend.POSTGRES)
    checked_query(r"SELECT 'it\'s; (', `a;(`, " '";(' + r"\"" + r'" # ; (' + "\n FROM notes", Backend.MYSQL)
    checked_query("SELECT [a;(], `b;(` FROM notes", Backend.SQLITE)
    with pytest.raises(InvalidRequest, match="MySQL would run"):
        checked_query("SELECT 1 /*!50000 INTO OUTFILE 'x' */", Backend.MYSQL)
    with pytest.raises(InvalidRequest, match="single"):
        checked_query(r"SELECT '\'; DELETE FROM notes; --'", Backend.POSTGRES)


def test_a_wrong_definition_is_refused_at_once() -> None:
    address = SecretStr("postgresql://reader:Secret-4711@db.internal/shop")
    for definition in (
        SqlOrigin(database="shop", key="id", text=("body",), query="DELETE FROM notes"),
        SqlOrigin(database="shop", key="id", text=("body",), table="a.b.c"),
        SqlOrigin(database="shop", key="id", text=("body",), table='"open'),
        SqlOrigin(database="shop", key="id", text=("body",), table=""),
    ):
        with pytest.raises(InvalidRequest):
            Sql(definition, address=address, max_bytes=1, statement_timeout_s=1)


@pytest.mark.parametrize(
    "address",
    [
        "oracle://reader:Secret-4711@db.internal/shop",
        "Secret-4711",
        "postgresql://reader:Secret-4711@db.internal:port/shop",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=rwc&uri=true",
    ],
)
def test_an_address_that_cannot_work_is_refused_without_being_told(address: str) -> None:
    definition = SqlOrigin(database="shop", key="id", text=("body",), table="notes")
    with pytest.raises(InvalidRequest, match="PLUMBLINE_SOURCES__DATABASES__SHOP") as refusal:
        Sql(definition, address=SecretStr(address), max_bytes=1, statement_timeout_s=1)
    assert "Secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_database_is_found_by_its_name_in_any_case() -> None:
    databases = {"Shop": SecretStr("sqlite:////srv/shop.db")}
    assert address_of("shop", databases).get_secret_value() == "sqlite:////srv/shop.db"
    with pytest.raises(InvalidRequest, match="set PLUMBLINE_SOURCES__DATABASES__WIKI to its address"):
        address_of("wiki", databases)
