"""`plumbline quality` over the data folder and over a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from tests.service.http_parts import command_environment
from tests.service.ledger_parts import answer, call, keep, refusal, say, search
from tests.service.test_cli import run


@pytest.fixture
def environment(tmp_path: Path, models_dir: Path) -> dict[str, str]:
    return command_environment(tmp_path, models_dir)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


def test_now_and_before_and_what_is_worth_a_look(environment: dict[str, str], database: Engine) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    before = now - timedelta(days=1)
    bad = [search(now, relevance="weak" if n % 2 else "strong", tenant="default") for n in range(100)]
    good = [search(before, tenant="default") for _ in range(100)]
    told = [answer(now, tenant="default", unsupported=1), refusal(now, tenant="default")]
    keep(
        database,
        [*bad, *good, *told, search(now, tenant="acme")],
        [call(now, tenant="default"), call(now, tenant="default", model="unpriced", cost_usd=None)],
        [say(bad[0], "rating", now, rating="down")],
    )

    shown = run(environment, "quality")
    found = json.loads(run(environment, "quality", "--json").stdout)

    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "queries 102 100 ↑ 2" in lines
    assert "weak relevance 49.0% 0.0% ↑ 49.0% 102" in lines
    assert "nothing relevant 50.0% - 2" in lines, "a reason of refusals"
    assert "unsupported sentences 33.3% - 3" in lines
    assert "feedback: rating down 1 0 ↑ 1" in lines
    assert "m, answer@3 1 33.3% 1 1,000 100 0.0100 -" in lines
    assert "search embed 6.0 6.0 6.0 6.0 100" in lines
    assert "worth a look: queries with weak relevance: 0.0% before, 49.0% now" in lines
    assert found["queries"] == {"now": 102, "before": 100}
    assert [finding["signal"] for finding in found["findings"]] == ["weak_relevance_rate"]


def test_nobody_asked(environment: dict[str, str]) -> None:
    shown = run(environment, "quality", "--window", "7d", "--collection", "runbooks")

    assert shown.exit_code == 0, shown.output
    assert "The last 7d in runbooks" in shown.stdout
    assert "Nobody asked anything" in shown.stdout


def test_a_window_that_is_none(environment: dict[str, str]) -> None:
    refused = run(environment, "quality", "--window", "yesterday")

    assert refused.exit_code == 2
    assert "15m, 24h, 7d or 4w" in refused.stderr


def test_over_a_service(environment: dict[str, str], keyless_url: str) -> None:
    there = run(environment, "quality", "--url", keyless_url, "--window", "1h", "--collection", "of nobody", "--json")

    assert there.exit_code == 0, there.output
    assert json.loads(there.stdout)["collection"] == "of nobody"
