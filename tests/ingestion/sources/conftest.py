"""Databases that a source reads: SQLite always, Postgres and MariaDB where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingestion.sources.databases import OriginDatabase, opened


@pytest.fixture
def sqlite_origin(tmp_path: Path) -> Iterator[OriginDatabase]:
    with opened("sqlite", f"sqlite:///{tmp_path / 'shop.db'}") as database:
        yield database


@pytest.fixture
def postgres_origin(postgres_url: str) -> Iterator[OriginDatabase]:
    with opened("postgres", postgres_url) as database:
        yield database


@pytest.fixture
def mariadb_origin(mariadb_url: str) -> Iterator[OriginDatabase]:
    with opened("mariadb", mariadb_url) as database:
        yield database


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ]
)
def shop(request: pytest.FixtureRequest) -> OriginDatabase:
    """An empty database, of each kind in turn."""
    found = request.getfixturevalue(f"{request.param}_origin")
    assert isinstance(found, OriginDatabase)
    return found
