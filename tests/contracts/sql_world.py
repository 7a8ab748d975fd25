"""Tables of real databases as worlds of the contract of origins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text

from ingestion.sources.definitions import SqlOrigin
from ingestion.sources.origin import Origin
from ingestion.sources.sql import Sql


class SqlWorld:
    """A table whose rows carry the number of the change that made them. Its keys are the documents' plain names.

    `name` is the database's in the settings, `address` where it is.
    """

    has_token = False

    def __init__(self, engine: Engine, name: str = "shop") -> None:
        self._engine = engine
        self._name = name
        self.address = SecretStr(engine.url.render_as_string(hide_password=False))
        self._changes = count(1)
        self._run("CREATE TABLE notes (name VARCHAR(200) PRIMARY KEY, body TEXT, revision INTEGER)")

    @property
    def origin(self) -> SqlOrigin:
        return SqlOrigin(database=self._name, table="notes", key="name", text=("body",), updated_at="revision")

    def put(self, name: str, text: str) -> None:
        self.put_all({name: text})

    def put_all(self, documents: Mapping[str, str]) -> None:
        rows = [{"name": name, "body": body, "change": next(self._changes)} for name, body in documents.items()]
        with self._engine.begin() as connection:
            connection.execute(text("DELETE FROM notes WHERE name = :name"), rows)
            connection.execute(text("INSERT INTO notes VALUES (:name, :body, :change)"), rows)

    def delete(self, name: str) -> None:
        self._run("DELETE FROM notes WHERE name = :name", name=name)

    def rename(self, old: str, new: str) -> None:
        self._run("UPDATE notes SET name = :new WHERE name = :old", old=old, new=new)

    def key(self, name: str) -> str:
        return name

    @contextmanager
    def broken(self) -> Iterator[None]:
        """The table is away for a while, as in the middle of a migration."""
        self._run("ALTER TABLE notes RENAME TO notes_aside")
        yield
        self._run("ALTER TABLE notes_aside RENAME TO notes")

    def open(self) -> Origin:
        return Sql(
            self.origin,
            address=self.address,
            max_bytes=1_000_000,
            statement_timeout_s=60,
        )

    def _run(self, command: str, **values: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(command), values)


@contextmanager
def sql_world(address: str, name: str = "shop") -> Iterator[SqlWorld]:
    """A world in the empty database of that address."""
    engine = create_engine(address)
    try:
        yield SqlWorld(engine, name)
    finally:
        engine.dispose()


@contextmanager
def sqlite_world(base: Path) -> Iterator[SqlWorld]:
    with sql_world(f"sqlite:///{base / 'shop.db'}") as world:
        yield world
