"""What every test shares: bounded Hypothesis runs, honest skips, and the data folder for evaluation.

A test that needs a server says so with a marker and is skipped, with the reason, where the server is absent.
`.ci/run` installs all of them, so that nothing is skipped there for want of a program.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, make_url, text

from tests.mariadb import mariadb_programs, running_mariadb
from tests.postgres import running_postgres

REPO = Path(__file__).resolve().parent.parent

settings.register_profile(
    "bounded",
    deadline=None,  # the machine may be busy; pytest's own time limit bounds a test
    max_examples=50,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("bounded")


def _qdrant_binary_missing() -> str | None:
    binary = os.environ.get("PLUMBLINE_TEST_QDRANT")
    if not binary:
        return "PLUMBLINE_TEST_QDRANT does not name a Qdrant server binary (.ci/install-qdrant fetches one)"
    return None if os.access(binary, os.X_OK) else f"PLUMBLINE_TEST_QDRANT: {binary} is not an executable file"


def postgres_programs() -> Path | None:
    """Folder of `initdb` and `pg_ctl`, the newest one installed, or None."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    on_path = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    for folder in (*debian, *on_path):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


def chromium_program() -> str | None:
    """Path of a Chromium, or None."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


_MISSING: dict[str, Callable[[], str | None]] = {
    "qdrant_server": _qdrant_binary_missing,
    "postgres": lambda: None if postgres_programs() else "the Postgres programs initdb and pg_ctl are not installed",
    "mariadb": lambda: None if mariadb_programs() else "mariadbd and mariadb-install-db are not installed",
    "browser": lambda: None if chromium_program() else "Chromium is not installed",
    "promtool": lambda: None if shutil.which("promtool") else "promtool is not installed",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose server is absent, with the reason."""
    for marker, missing in _MISSING.items():
        if item.get_closest_marker(marker) is not None and (reason := missing()) is not None:
            pytest.skip(reason)


@pytest.fixture(autouse=True)
def _logging_ends_with_the_test() -> Iterator[None]:
    """A command that ran inside the test has set up logging to a stream that is closed by now."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Root folder of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def eval_data() -> Path:
    """Folder of the evaluation data, which is never part of the repository; skips where it is absent."""
    folder = Path(os.environ.get("PLUMBLINE_EVAL_DATA") or REPO.parent / "shared" / "eval")
    if not folder.is_dir():
        pytest.skip("no evaluation data: set PLUMBLINE_EVAL_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def sample_docs() -> Path:
    """Folder of the sample documents."""
    return REPO / "sample_docs"


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of rebuilt models for the whole run: rebuilding the weights takes a second each time."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """SQLAlchemy address of a Postgres that lives as long as the run; tests that use it carry the marker `postgres`."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("the Postgres programs initdb and pg_ctl are not installed")
    with running_postgres(programs) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """SQLAlchemy address of an empty database of its own."""
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        admin.dispose()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """SQLAlchemy address of a MariaDB that lives as long as the run; tests that use it carry the marker `mariadb`."""
    programs = mariadb_programs()
    if programs is None:
        pytest.skip("mariadbd and mariadb-install-db are not installed")
    with running_mariadb(programs) as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server: str) -> Iterator[str]:
    """SQLAlchemy address of an empty database of its own."""
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(mariadb_server, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        yield make_url(mariadb_server).set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
    finally:
        admin.dispose()
