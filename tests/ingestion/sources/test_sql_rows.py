"""What a source of rows sees: every row once, as a document, with its changes, on each database."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table

from ingestion.errors import RejectionCode
from ingestion.sources.origin import End, Fetched, Gone, Sighting, Unavailable, Unchanged
from tests.contracts.origins import Memory
from tests.ingestion.sources.databases import OriginDatabase

OLD = "2030-01-01 10:00:01"
NEW = "2030-01-02 10:00:01"
NEWEST = {"id": 999, "body": "the newest", "changed": "2031-01-01 10:00:01"}


def kinds(seen: list[Sighting]) -> dict[str, type]:
    return {one.key: type(one) for one in seen if not isinstance(one, End)}


def only(seen: list[Sighting]) -> Fetched:
    (found,) = (one for one in seen if not isinstance(one, End))
    assert isinstance(found, Fetched), found
    return found


def refused(seen: list[Sighting]) -> dict[str, tuple[RejectionCode, str]]:
    return {one.key: (one.code, one.detail) for one in seen if isinstance(one, Unavailable)}


def test_only_what_changed_is_fetched(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([{"id": number, "body": f"note {number}", "changed": OLD} for number in range(1, 6)])
    shop.put([NEWEST])
    memory = Memory()
    assert len(shop.texts(memory, updated_at="changed")) == 6
    shop.clock.wait(3600)
    assert list(shop.texts(memory, updated_at="changed")) == ["999"], "the newest is read once more"
    seen = shop.scan(memory, updated_at="changed")
    assert set(kinds(seen).values()) == {Unchanged}
    assert seen[-1] == End(complete=True)

    shop.run(f"UPDATE notes SET body = 'edited', changed = '{NEW}' WHERE id = 2", "DELETE FROM notes WHERE id = 3")
    shop.put([{"id": 7, "body": "added", "changed": NEW}])
    shop.run("UPDATE notes SET id = 40 WHERE id = 4")
    seen = shop.scan(memory, updated_at="changed")
    assert kinds(seen) == {
        "1": Unchanged, "2": Fetched, "40": Fetched, "5": Unchanged, "7": Fetched, "999": Unchanged
    }  # fmt: skip
    assert set(memory.items) == {"1", "2", "40", "5", "7", "999"}


def test_without_a_stamp_every_row_is_fetched_every_time(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([{"id": number, "body": f"note {number}", "changed": None} for number in range(600)])
    memory = Memory()
    for _ in range(2):
        seen = shop.scan(memory)
        assert len(seen) == 601
        assert {one.revision for one in seen if isinstance(one, Fetched)} == {None}
        assert sorted(kinds(seen), key=int) == [str(number) for number in range(600)]


def test_a_row_without_a_stamp_is_always_fetched(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([{"id": 1, "body": "no stamp", "changed": None}, NEWEST])
    memory = Memory()
    for _ in range(3):
        assert kinds(shop.scan(memory, updated_at="changed"))["1"] is Fetched
        shop.clock.wait(3600)


def test_a_row_becomes_a_document(shop: OriginDatabase) -> None:
    shop.run(
        f"CREATE TABLE notes (id INTEGER PRIMARY KEY, head VARCHAR(100), body {shop.type('text')},"
        f" more {shop.type('text')}, price {shop.type('number')}, live BOOLEAN, due {shop.type('time')},"
        f" blank VARCHAR(10), changed {shop.type('time')})"
    )
    shop.run(
        "INSERT INTO notes VALUES (7, '  A\n title ', 'First: grün 🐘', 'ssh -L 80:a', 12.5, true,"
        " '2030-02-03 04:05:06', NULL, '2030-01-01 10:00:01')"
    )
    document = only(
        shop.scan(
            Memory(),
            text=("body", "blank", "more"),
            title="head",
            metadata=("price", "live", "due", "blank", "id"),
            updated_at="changed",
            text_format="markdown",
        )
    ).document
    assert document.data.decode() == "First: grün 🐘\n\nssh -L 80:a"
    assert document.uri == "sql:shop/notes/7"
    assert (document.name, document.media_type, document.title) == ("row.md", "text/markdown", "A title")
    assert document.modified_at is not None
    assert document.modified_at.isoformat() == "2030-01-01T10:00:01+00:00"
    due = "2030-02-03 04:05:06" if shop.kind == "sqlite" else "2030-02-03T04:05:06"
    assert document.metadata == {"price": 12.5, "live": True, "due": due, "id": 7}


def test_a_row_without_text_is_no_document(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([{"id": 1, "body": "some", "changed": OLD}, NEWEST])
    memory = Memory()
    shop.scan(memory, updated_at="changed")
    shop.run(f"UPDATE notes SET body = ' ', changed = '{NEW}' WHERE id = 1")
    assert kinds(shop.scan(memory, updated_at="changed"))["1"] is Gone
    assert set(memory.items) == {"999"}


def test_a_query_in_place_of_a_table(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([{"id": number, "body": f"100% of: {number}", "changed": OLD} for number in (1, 2, 3)])
    memory = Memory()
    query = """
        WITH few AS (SELECT id, body, changed FROM notes WHERE id < 3) -- not: all; of (them
        SELECT id AS number, body, 'a:b %s :c "' AS label, changed FROM few WHERE body LIKE '100%' ; -- the end
    """
    seen = shop.scan(memory, query=query, key="number", metadata=("label",), updated_at="changed")
    assert [one.key for one in seen if isinstance(one, Fetched)] == ["1", "2"]
    assert isinstance(seen[0], Fetched)
    assert seen[0].document.metadata == {"label": 'a:b %s :c "'}
    assert seen[0].document.uri == "sql:shop/query/1"
    assert seen[0].document.data == b"100% of: 1"


def test_names_that_only_quoting_makes_names(shop: OriginDatabase) -> None:
    table, key, body = 'Select "%s" `a` :b', "order", "The `Text%"
    notes = Table(
        table, MetaData(), Column(key, Integer, quote=True), Column(body, String(20)), Column("b;--", String(20))
    )
    notes.create(shop.engine)
    with shop.engine.begin() as connection:
        connection.execute(notes.insert(), {key: 1, body: "found", "b;--": "it"})
    quoted = '"' + table.replace('"', '""') + '"'
    seen = shop.scan(Memory(), table=quoted, key=key, text=(body,), metadata=("b;--",))
    assert only(seen).document.data == b"found"
    assert only(seen).document.metadata == {"b;--": "it"}
    schema = {"sqlite": "main", "postgres": "public", "mariadb": shop.engine.url.database}[shop.kind]
    assert only(shop.scan(Memory(), table=f"{schema}.{quoted}", key=key, text=(body,))).key == "1"


def test_names_in_another_case_are_found(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([NEWEST])
    seen = shop.scan(Memory(), key="ID", text=("Body",), updated_at="CHANGED", metadata=("Id",))
    assert only(seen).document.metadata == {"Id": 999}


def test_keys_that_differ_in_case_or_blanks_are_different_rows(shop: OriginDatabase) -> None:
    shop.run("CREATE TABLE notes (id VARCHAR(40), body VARCHAR(40), n INTEGER)", "CREATE INDEX by_id ON notes (id)")
    keys = ["a", "A", "a ", "ä", "Ä", "ss", "ß", "a\nb", "a/b?c#d%", "'; DROP TABLE notes; --", "", "1", "01"]
    shop.put([{"id": key, "body": f"<{key}>", "n": number} for number, key in enumerate(keys)])
    memory = Memory()
    seen = shop.scan(memory)
    assert {one.key: one.document.data.decode() for one in seen if isinstance(one, Fetched)} == {
        key: f"<{key}>" for key in keys
    }
    uris = {one.document.uri for one in seen if isinstance(one, Fetched)}
    assert len(uris) == len(keys)
    assert {"sql:shop/notes/ä", "sql:shop/notes/a%0Ab", "sql:shop/notes/a%2Fb%3Fc%23d%25"} <= uris
    shop.run("DELETE FROM notes WHERE n = 1")
    shop.scan(memory)
    assert set(memory.items) == set(keys) - {"A"}


def test_long_keys_are_shortened_and_stay_apart(shop: OriginDatabase) -> None:
    shop.run(f"CREATE TABLE notes (id {shop.type('text')}, body VARCHAR(40))")
    shop.put([{"id": "k" * 600 + tail, "body": tail} for tail in ("one", "two")])
    found = shop.texts(Memory())
    assert sorted(found.values()) == ["one", "two"]
    assert all(len(key) <= 512 for key in found)
    assert found == shop.texts(Memory())


def test_a_key_of_several_rows_and_rows_without_a_key_are_refused_and_the_others_are_not(shop: OriginDatabase) -> None:
    shop.run("CREATE TABLE notes (id INTEGER, body VARCHAR(40), changed INTEGER)")
    rows = [(1, "a"), (2, "b"), (2, "c"), (None, "d"), (None, "e")]
    shop.put([{"id": key, "body": body, "changed": 1} for key, body in rows])
    for definition in ({}, {"updated_at": "changed"}):
        seen = shop.scan(Memory(), **definition)
        assert [one.key for one in seen if isinstance(one, Fetched)] == ["1"]
        problems = refused(seen)
        assert problems["2"][1] == "2 rows have the same value in the key column 'id'"
        assert problems["(rows without a key)"][1] == "2 rows have no value in the key column 'id'"
        assert seen[-1] == End(complete=True)


def test_keys_that_cannot_be_compared_are_refused(shop: OriginDatabase) -> None:
    shop.run("CREATE TABLE notes (id REAL, body VARCHAR(40))", "INSERT INTO notes VALUES (1.5, 'a')")
    ((code, detail),) = refused(shop.scan(Memory())).values()
    assert code is RejectionCode.INVALID_DOCUMENT
    assert "its key is a float" in detail


@pytest.mark.postgres
def test_keys_of_postgres(postgres_origin: OriginDatabase) -> None:
    name = uuid.uuid4()
    postgres_origin.run("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    for kind, value, key in (
        ("uuid", name, str(name)),
        ("bigint", 2**62, str(2**62)),
        ("numeric", 10**30, str(10**30)),
        ("mood", "glad", "glad"),
        ("char(8)", "abc", "abc     "),
        ("bytea", b"\x00\xff", "00ff"),
        ("timestamptz", "2030-01-01 10:00:00.123456+02", "2030-01-01T08:00:00.123456+00:00"),
        ("date", "2030-01-01", "2030-01-01"),
    ):
        postgres_origin.run("DROP TABLE IF EXISTS notes", f"CREATE TABLE notes (id {kind} PRIMARY KEY, body text)")
        postgres_origin.run(f"INSERT INTO notes VALUES (CAST(:id AS {kind}), 'here')", id=value)
        assert postgres_origin.texts(Memory()) == {key: "here"}, kind


@pytest.mark.mariadb
def test_keys_of_mariadb(mariadb_origin: OriginDatabase) -> None:
    name = str(uuid.uuid4())
    for kind, value, key in (
        ("BINARY(4)", b"\x00\xff'\\", "00ff275c"),
        ("BIGINT UNSIGNED", 2**64 - 1, str(2**64 - 1)),
        ("DECIMAL(10,2)", "1.50", "1.50"),
        ("VARCHAR(20) CHARACTER SET latin1", "é\\'", "é\\'"),
        ("VARCHAR(20) COLLATE utf8mb4_bin", "é🐘", "é🐘"),
        ("ENUM('sad','glad')", "glad", "glad"),
        ("DATETIME(6)", "2030-01-01 10:00:00.123456", "2030-01-01T10:00:00.123456"),
        ("UUID", name, name),
    ):
        mariadb_origin.run("DROP TABLE IF EXISTS notes", f"CREATE TABLE notes (id {kind} PRIMARY KEY, body TEXT)")
        mariadb_origin.run("INSERT INTO notes VALUES (:id, 'here')", id=value)
        assert mariadb_origin.texts(Memory()) == {key: "here"}, kind


def test_large_rows_are_refused_unread_and_the_others_come_in_groups(shop: OriginDatabase) -> None:
    shop.notes()
    shop.put([{"id": number, "body": "x" * 900_000, "changed": OLD} for number in range(20)])
    shop.put([{"id": 50, "body": "ü" * 600_000, "changed": OLD}, {"id": 51, "body": "small", "changed": OLD}])
    seen = shop.scan(Memory())
    assert len([one for one in seen if isinstance(one, Fetched)]) == 21
    assert refused(seen)["50"][0] is RejectionCode.TOO_LARGE
    assert seen[-1] == End(complete=True)


def test_metadata_of_bytes_is_refused_by_its_name(shop: OriginDatabase) -> None:
    shop.run(f"CREATE TABLE notes (id INTEGER, body VARCHAR(40), seal {shop.type('blob')})")
    shop.put([{"id": 1, "body": "a", "seal": b"\x01\x02"}, {"id": 2, "body": "b", "seal": None}])
    seen = shop.scan(Memory(), metadata=("seal",))
    assert "'seal' holds bytes" in refused(seen)["1"][1]
    assert [one.key for one in seen if isinstance(one, Fetched)] == ["2"]


def test_text_kept_as_bytes_is_handed_over_as_it_is(shop: OriginDatabase) -> None:
    shop.run(f"CREATE TABLE notes (id INTEGER, body {shop.type('blob')})")
    shop.put([{"id": 1, "body": "grün".encode()}, {"id": 2, "body": "grün".encode("latin-1")}])
    seen = shop.scan(Memory())
    assert {one.key: one.document.data for one in seen if isinstance(one, Fetched)} == {
        "1": "grün".encode(),
        "2": "grün".encode("latin-1"),
    }


def test_nul_and_bytes_that_are_no_utf8_in_sqlite(sqlite_origin: OriginDatabase) -> None:
    sqlite_origin.run(
        "CREATE TABLE notes (id, body, head)",
        "INSERT INTO notes VALUES (1, 'pad' || char(0) || 'ded' || char(0), 'a' || char(0))",
        "INSERT INTO notes VALUES (2, CAST(x'6772fc6e' AS TEXT), CAST(x'6772fc6e' AS TEXT))",
        "INSERT INTO notes VALUES (CAST(x'fc' AS TEXT), 'bad key', NULL)",
        "INSERT INTO notes VALUES ('nul' || char(0), 'nul key', NULL)",
        "INSERT INTO notes VALUES ('2', 'the same key as text', NULL)",
        "INSERT INTO notes VALUES (3, 42, 1.5)",
    )
    seen = sqlite_origin.scan(Memory(), title="head", metadata=("head",))
    documents = {one.key: one.document for one in seen if isinstance(one, Fetched)}
    assert documents["1"].data == b"padded"
    assert documents["1"].title == "a"
    assert documents["3"].data == b"42"
    assert documents["3"].metadata == {"head": 1.5}
    assert [document.data for key, document in documents.items() if key.startswith("nul_")] == [b"nul key"]
    details = sorted(detail for _, detail in refused(seen).values())
    assert details == ["2 rows have the same value in the key column 'id'", "its key is not valid UTF-8"]
    sqlite_origin.run("DELETE FROM notes WHERE typeof(id) = 'text'")
    found = {one.key: one for one in sqlite_origin.scan(Memory(), title="head") if isinstance(one, Fetched)}
    assert found["2"].document.data == b"gr\xfcn"
    assert found["2"].document.title == "gr\ufffdn"


def test_a_row_without_text_is_found_by_its_title_and_one_without_either_is_left_out(
    sqlite_origin: OriginDatabase,
) -> None:
    sqlite_origin.run(
        "CREATE TABLE notes (id, body, head)",
        "INSERT INTO notes VALUES (1, ' ', 'Only a title'), (2, NULL, ' '), (3, 'both', 'Both')",
    )

    seen = sqlite_origin.scan(Memory(), title="head")

    assert {one.key: one.document.data for one in seen if isinstance(one, Fetched)} == {
        "1": b"Only a title",
        "3": b"both",
    }
    without = sqlite_origin.scan(Memory())
    assert [one.key for one in without if isinstance(one, Fetched)] == ["3"]


@pytest.mark.postgres
def test_values_that_python_has_not_are_metadata_too(postgres_origin: OriginDatabase) -> None:
    postgres_origin.run(
        "CREATE TABLE notes (id int, body jsonb, until timestamptz, n numeric, f float8, tags text[], d interval)",
        """INSERT INTO notes VALUES (1, '{"b": "ü", "a": [1]}', 'infinity', 'NaN', 'Infinity', '{x,y}', '1 day')""",
        "INSERT INTO notes VALUES (2, 'true', '12024-01-01', 0.1, 0.1, NULL, NULL)",
    )
    names = ("until", "n", "f", "tags", "d")
    seen = postgres_origin.scan(Memory(), metadata=names, updated_at="until")
    documents = {one.key: one.document for one in seen if isinstance(one, Fetched)}
    assert documents["1"].data.decode() == '{"a": [1], "b": "ü"}'
    assert documents["1"].metadata == {
        "until": "infinity", "n": "NaN", "f": "inf", "tags": ["x", "y"], "d": "1 day, 0:00:00"
    }  # fmt: skip
    assert documents["2"].metadata == {"until": "12024-01-01 00:00:00+00", "n": 0.1, "f": 0.1}
    assert documents["2"].modified_at is None


@pytest.mark.postgres
def test_a_value_that_fails_costs_its_own_row(postgres_origin: OriginDatabase) -> None:
    postgres_origin.run("CREATE TABLE notes (id int, body text, at time)")
    postgres_origin.run("INSERT INTO notes VALUES (1, 'a', '10:00'), (2, 'b', '24:00'), (3, 'c', NULL)")
    seen = postgres_origin.scan(Memory(), metadata=("at",))
    assert [one.key for one in seen if isinstance(one, Fetched)] == ["1", "3"]
    code, detail = refused(seen)["2"]
    assert code is RejectionCode.UNREADABLE
    assert "SELECT" not in detail


@pytest.mark.postgres
def test_the_row_version_of_postgres_is_a_stamp(postgres_origin: OriginDatabase) -> None:
    postgres_origin.run("CREATE TABLE notes (id int PRIMARY KEY, body text)")
    postgres_origin.put([{"id": number, "body": f"note {number}"} for number in range(5)])
    memory = Memory()
    assert len(postgres_origin.texts(memory, updated_at="xmin")) == 5
    assert postgres_origin.texts(memory, updated_at="xmin") == {}
    postgres_origin.run("UPDATE notes SET body = 'edited' WHERE id = 3")
    assert postgres_origin.texts(memory, updated_at="xmin") == {"3": "edited"}
