"""The SQL that a source is read with, and the check that a query of the user is one that can be read.

Every name is quoted, as the database spells it. The check gives clear errors; that nothing is written is ensured by
the read-only session, and that one statement is only one by the drivers' protocol.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import NullType

from ingestion.errors import InvalidRequest, SourceUnavailable
from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.sql.database import Backend

_ALIAS = "source_rows"
_ROW_VERSION = "xmin"
"""Postgres keeps it for every row of a table, and it changes with every change: as good as a column for it."""

_LOCKS = (("FOR", "UPDATE"), ("FOR", "SHARE"), ("LOCK", "IN"))
_TABLE_PART = r'(?:"(?:[^"]|"")+"|[^".]+)'
_TABLE_NAME = re.compile(rf"({_TABLE_PART})(?:\.({_TABLE_PART}))?")

_COMMENT = r"(?P<comment>--[^\n]*|/\*.*?\*/)"
_COMMENT_MYSQL = r"(?P<comment>(?:--(?=\s)|\#)[^\n]*|/\*.*?\*/)"
_SINGLE, _SINGLE_ESCAPED = r"'(?:[^']|'')*'", r"'(?:[^'\\]|\\.|'')*'"
_DOUBLE, _DOUBLE_ESCAPED = r'"(?:[^"]|"")*"', r'"(?:[^"\\]|\\.|"")*"'
_BACKTICKS, _BRACKETS = r"`(?:[^`]|``)*`", r"\[[^\]]*\]"
_DOLLARS = r"\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_LEXEME = r"(?P<word>[^\W\d]\w*)|(?P<mark>[;()'\"`]|/\*)"
_LEXEMES = {
    Backend.POSTGRES: "|".join((_COMMENT, f"[eE]{_SINGLE_ESCAPED}", _SINGLE, _DOUBLE, _DOLLARS, _LEXEME)),
    Backend.MYSQL: "|".join((_COMMENT_MYSQL, _SINGLE_ESCAPED, _DOUBLE_ESCAPED, _BACKTICKS, _LEXEME)),
    Backend.SQLITE: "|".join((_COMMENT, _SINGLE, _DOUBLE, _BACKTICKS, _BRACKETS, _LEXEME)),
}


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one scan. `spelled` has every column that is read, as the user and as the database write it."""

    key: str
    stamp: str | None
    spelled: Mapping[str, str]
    rows: FromClause
    backend: Backend

    def listing(self) -> Select[Any]:
        """The key of every row, and the stamp if there is one."""
        names = [self.key] if self.stamp is None else [self.key, self.stamp]
        return select(*(self._column(name).label(f"c{position}") for position, name in enumerate(names)))

    def sizes(self, keys: Sequence[object]) -> Select[Any]:
        """For each of these rows its key, and how many bytes its columns hold."""
        total: ColumnElement[int] = literal_column("0")
        for name in dict.fromkeys(self.spelled.values()):
            total = total + func.coalesce(_bytes_of(self.rows.c[name], self.backend), 0)
        return select(self._column(self.key), total.label("bytes")).where(self._among(keys))

    def bodies(self, keys: Sequence[object]) -> Select[Any]:
        """The columns of these rows in the order of `spelled`."""
        columns = (self._column(name).label(f"c{position}") for position, name in enumerate(self.spelled))
        return select(*columns).where(self._among(keys))

    def _column(self, name: str) -> ColumnElement[Any]:
        return self.rows.c[self.spelled[name]]

    def _among(self, keys: Sequence[object]) -> ColumnElement[bool]:
        # Without a type of ours the database compares in the type of the column, and its index serves.
        return self._column(self.key).in_(bindparam("keys", list(keys), expanding=True, type_=NullType()))


def probe(definition: SqlOrigin, backend: Backend) -> Select[Any]:
    """Asks for no row, only for the names of the columns."""
    return select(literal_column("*")).select_from(_rows(definition, backend, ())).limit(0)


def statements(definition: SqlOrigin, backend: Backend, present: Collection[str]) -> Statements:
    """What to read, given the columns that there are.

    Raises: SourceUnavailable naming the columns that are missing.
    """
    stamp = () if definition.updated_at is None else (definition.updated_at,)
    title = () if definition.title is None else (definition.title,)
    known = [*present, _ROW_VERSION] if backend is Backend.POSTGRES and definition.table is not None else present
    spelled, missing = {}, []
    for name in (definition.key, *stamp, *definition.text, *title, *definition.metadata):
        found = _spelling(name, known)
        if found is None:
            missing.append(name)
        else:
            spelled[name] = found
    if missing:
        raise SourceUnavailable(
            f"database {definition.database!r}: {origin_name(definition)} has no column "
            f"{', '.join(map(repr, missing))}; it has {', '.join(map(repr, present)) or 'none'}"[:1000]
        )
    rows = _rows(definition, backend, list(spelled.values()))
    return Statements(definition.key, definition.updated_at, spelled, rows, backend)


def origin_name(definition: SqlOrigin) -> str:
    """What readers and messages call the table or the query."""
    return definition.table if definition.table is not None else "query"


def check_definition(definition: SqlOrigin, backend: Backend) -> None:
    """Raises: InvalidRequest for what no database would read."""
    if definition.table is not None:
        _table_parts(definition.table)
    if definition.query is not None:
        checked_query(definition.query, backend)


def checked_query(query: str, backend: Backend) -> str:
    """The query without what follows its end.

    Raises: InvalidRequest unless it is one SELECT, or WITH … SELECT, that neither locks nor writes its rows.
    """
    depth, words, end = 0, list[str](), None
    for token in re.finditer(_LEXEMES[backend], query, re.DOTALL):
        if token["comment"] is not None:
            if backend is Backend.MYSQL and token["comment"].startswith(("/*!", "/*M!")):
                raise _refused("holds a comment that MySQL would run")
            continue
        if end is not None:
            raise _refused("must be a single statement")
        words.append((token["word"] or "").upper())
        match token["mark"]:
            case None:
                continue
            case ";":
                end = token.start()
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case mark:
                raise _refused(f"holds a {mark} without its end")
        if depth < 0:
            break
    if depth:
        raise _refused("has a parenthesis without its counterpart")
    if not words or words[0] not in ("SELECT", "WITH"):
        raise _refused("must begin with SELECT or WITH")
    if "INTO" in words:
        raise _refused("must not write INTO anything")
    if any(pair in _LOCKS for pair in pairwise(words)):
        raise _refused("must not lock rows")
    return query[:end]


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"the query {why}", pointer="/query")


def _rows(definition: SqlOrigin, backend: Backend, names: Sequence[str]) -> FromClause:
    columns: list[ColumnClause[Any]] = [column(quoted_name(name, quote=True)) for name in dict.fromkeys(names)]
    if definition.table is not None:
        # Under an alias, so that no column is written without it: SQLite takes a quoted name that is none for a string.
        *schema, name = _table_parts(definition.table)
        return table(name, *columns, schema=schema[0] if schema else None).alias(_ALIAS)
    assert definition.query is not None
    query = checked_query(definition.query, backend).replace(":", r"\:")
    # On a line of its own: the query may end in a comment.
    return text(f"{query}\n").columns(*columns).subquery(_ALIAS)


def _table_parts(name: str) -> list[quoted_name]:
    found = _TABLE_NAME.fullmatch(name)
    if found is None:
        raise InvalidRequest(f'not the name of a table: {name!r} (write "a.b" for one with a dot)', pointer="/table")
    parts = [part for part in found.groups() if part is not None]
    bare = (part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts)
    return [quoted_name(part, quote=True) for part in bare]


def _spelling(name: str, present: Collection[str]) -> str | None:
    """The column as the database spells it: exactly so, or the only one that differs in case alone."""
    if name in present:
        return name
    alike = [other for other in present if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def _bytes_of(value: ColumnElement[Any], backend: Backend) -> ColumnElement[int]:
    if backend is Backend.POSTGRES:
        return func.octet_length(cast(value, Text))
    return func.length(value if backend is Backend.MYSQL else cast(value, LargeBinary))
