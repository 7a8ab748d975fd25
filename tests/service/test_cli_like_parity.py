"""`plumbline like-parity` as a command: reports, exit codes, mistakes, and what is never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text
from typer.testing import CliRunner, Result

from service.cli import app
from service.quality.parity.records import percentile
from service.quality.parity.reporting import as_json
from service.quality.parity.running import Job
from service.settings import ServiceSettings
from tests.service.parity_parts import ASKED, LIMITS, sqlite_films, tell


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> SecretStr:
    return sqlite_films(tmp_path_factory.mktemp("films") / "films.db")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> ServiceSettings:
    return ServiceSettings(data_dir=tmp_path_factory.mktemp("data"), models_dir=models_dir)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> dict[str, str]:
    return {
        "PLUMBLINE_DATA_DIR": str(tmp_path_factory.mktemp("command")),
        "PLUMBLINE_MODELS_DIR": str(models_dir),
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


def run(environment: dict[str, str], dsn: str, queries: Path, *more: str) -> Result:
    arguments = ["like-parity", "--dsn", dsn, "--table", "films", "--columns", "title, body", "--queries", str(queries)]
    return CliRunner().invoke(app, [*arguments, *more], env=environment)


def test_the_command_writes_both_reports(environment: dict[str, str], films: SecretStr, tmp_path: Path) -> None:
    queries = tmp_path / "old.txt"
    queries.write_text("gateway\n<script>\nfilms')\n")
    html, as_data = tmp_path / "out" / "report.html", tmp_path / "out" / "report.json"
    done = run(environment, films.get_secret_value(), queries, "--html", str(html), "--json", str(as_data))

    assert done.exit_code == 0, done.output
    assert "missing without an explanation" in done.stdout
    data = json.loads(as_data.read_text())
    assert data["summary"]["rows"] == data["summary"]["found"] == 4
    assert [query["rows"] for query in data["queries"]] == [2, 1, 1]
    page = html.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not [word for word in ("src=", "href=", "url(", "http") if word in page]


def test_a_strict_gate_and_a_named_database(environment: dict[str, str], films: SecretStr, tmp_path: Path) -> None:
    queries = tmp_path / "old.jsonl"
    queries.write_text('{"query": "line\\r\\nanother"}\n{"query": "gateway"}\n')
    named = {**environment, "PLUMBLINE_SOURCES__DATABASES__SHOP": films.get_secret_value()}

    assert run(named, "shop", queries, "--keep", str(tmp_path / "kept")).exit_code == 0
    strict = run(named, "shop", queries, "--keep", str(tmp_path / "kept"), "--strict")
    assert strict.exit_code == 1
    assert "normalised" in strict.stdout
    assert run(named, "shop", queries, "--keep", str(tmp_path / "kept"), "--limit-queries", "2").exit_code == 0


def test_mistakes_are_told(environment: dict[str, str], films: SecretStr, tmp_path: Path) -> None:
    queries = tmp_path / "old.txt"
    queries.write_text("gateway\n")
    wrong_column = run(environment, films.get_secret_value(), queries, "--id-column", "key")
    both = run(environment, films.get_secret_value(), queries, "--collection", "x", "--keep", str(tmp_path))

    assert (wrong_column.exit_code, both.exit_code) == (2, 2)
    assert "it has id, title, body, price" in wrong_column.stderr
    assert "--keep" in both.stderr


@pytest.mark.postgres
def test_the_password_is_never_shown(environment: dict[str, str], postgres_url: str, tmp_path: Path) -> None:
    address = make_url(postgres_url).set(password="verysecret").render_as_string(hide_password=False)
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE films (id INT PRIMARY KEY, title TEXT, body TEXT)"))
        connection.execute(text("INSERT INTO films VALUES (1, 'Gateway', 'A film.')"))
    engine.dispose()
    queries = tmp_path / "old.txt"
    queries.write_text("gateway\n")
    html, data = tmp_path / "r.html", tmp_path / "r.json"
    keep = tmp_path / "kept"
    done = run(environment, address, queries, "--html", str(html), "--json", str(data), "--keep", str(keep))
    failed = run(environment, address.replace("/test_", "/no_such_"), queries)

    assert done.exit_code == 0, done.output
    assert failed.exit_code == 2
    for said in (done.output, failed.output, html.read_text(), data.read_text()):
        assert "verysecret" not in said
    assert not [path for path in keep.rglob("*") if path.is_file() and b"verysecret" in path.read_bytes()]
    assert "***" in html.read_text()


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_enough_others_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_the_json_report_holds_all(films: SecretStr, settings: ServiceSettings) -> None:
    parity = Job(settings, films, ASKED, None, LIMITS).with_own_corpus(("line\r\nanother",), None, tell)
    data = json.loads(as_json(parity))

    assert data["missing_by_reason"] == {"normalised": 1}
    assert data["queries"][0]["missing"] == [{"row": "7", "reason": "normalised", "detail": ""}]
    assert data["queries"][0]["took_ms"].keys() == {"like", "exact", "hybrid"}
    assert data["table"]["address"].startswith("sqlite:///")
