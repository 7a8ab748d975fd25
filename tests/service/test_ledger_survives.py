"""A service that is killed loses no trace of a response whose flush window had passed."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from ingestion.corpus.database import open_database
from service.ledger.tables import model_calls, traces
from service.settings import AuditSettings, LedgerSettings, LLMSettings, ServiceSettings
from tests.chat_endpoint import Do, Reply, line, running_endpoint, saying, streaming
from tests.service.http_parts import POLICY, RUNBOOK, add, events_of, serving, settings_for

QUESTION = {"question": "How do I restart the gateway?"}
OTHER = {"question": "How do I drain the host when the gateway answers 502?", "stream": True}
SEARCHES, ANSWERS, CONTEXTS = 60, 4, 4
WAIT_S = 30


class Model:
    """Answers, or never comes to an end."""

    def __init__(self) -> None:
        self.is_endless = False
        self.is_at_it = threading.Event()

    def reply(self, _body: dict[str, Any]) -> Reply:
        if self.is_endless:
            self.is_at_it.set()
            return streaming(line("Once"), Do.HOLD)
        return saying("When the gateway answers 502, drain the host and restart the deployment [1].")


def ask(client: httpx.Client) -> set[str]:
    """Ids of everything that was answered."""

    def one(number: int) -> str:
        if number < SEARCHES:
            body: dict[str, Any] = client.post("/v1/search", json={"query": f"gateway {number}"}).json()
            return str(body["query_id"])
        if number < SEARCHES + ANSWERS:
            body = client.post("/v1/answers", json=QUESTION).json()
            return str(body["answer_id"])
        body = client.post("/v1/context", json={"text": f"error {number}", "budget_tokens": 200}).json()
        return str(body["query_id"])

    with ThreadPoolExecutor(4) as pool:
        return set(pool.map(one, range(SEARCHES + ANSWERS + CONTEXTS)))


def leave_midway(client: httpx.Client, model: Model, has_left: threading.Event) -> str:
    """The id of an answer whose reader left while the model was at it."""
    model.is_endless = True
    with client.stream("POST", "/v1/answers", json=OTHER) as response:
        pieces = response.iter_text()  # held: dropping it closes the connection
        first = next(pieces)
        assert model.is_at_it.wait(WAIT_S)
    (_, data), *_ = events_of(first)
    assert has_left.wait(WAIT_S)
    found = re.search(r'"answer_id": ?"([^"]+)"', data)
    assert found, data
    return found[1]


def written(client: httpx.Client) -> int:
    found = re.search(r"^plumbline_ledger_written_total (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return int(float(found[1]))


def told_by_the_counter(client: httpx.Client, expected: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while written(client) < expected:
        assert time.monotonic() < deadline, f"{written(client)} of {expected} records written"


def told_by_the_clock(flush_ms: float) -> Callable[[httpx.Client, int], None]:
    def wait(_client: httpx.Client, _expected: int) -> None:
        assert not threading.Event().wait(flush_ms / 1000)

    return wait


@pytest.mark.parametrize("by", ["counter", "clock"])
def test_no_trace_is_lost_when_the_service_is_killed(tmp_path: Path, models_dir: Path, by: str) -> None:
    # By the clock with a window that a busy machine keeps to, too: half of it is left for the writing.
    ledger = LedgerSettings() if by == "counter" else LedgerSettings(flush_ms=3_000)
    wait = told_by_the_counter if by == "counter" else told_by_the_clock(ledger.flush_ms)
    model = Model()
    with running_endpoint(model.reply) as endpoint:
        llm = LLMSettings(base_url=endpoint.url, model="m", max_retries=0)
        # The counter counts records of every kind: without those of the audit log it tells of these only.
        audit = AuditSettings(questions=by == "clock")
        settings = settings_for(tmp_path / "data", models_dir, llm=llm, ledger=ledger, audit=audit)
        with serving(settings) as (url, process), httpx.Client(base_url=url, timeout=90) as client:
            add(client, {"id": "gateway", "title": "Gateway 502", "text": RUNBOOK}, {"id": "billing", "text": POLICY})
            ids = ask(client)
            closed = leave_midway(client, model, endpoint.left)
            # A record for each response, one for each call to the model.
            wait(client, len(ids) + 1 + len(endpoint.bodies))
            process.send_signal(signal.SIGKILL)
            process.wait(WAIT_S)
    _nothing_lost(settings, ids, closed, len(endpoint.bodies))


def _nothing_lost(settings: ServiceSettings, ids: set[str], closed: str, calls: int) -> None:
    engine = open_database(settings)
    with engine.connect() as connection:
        kept = {row.id: row.outcome for row in connection.execute(select(traces.c.id, traces.c.outcome))}
        outcomes = list(connection.execute(select(model_calls.c.outcome)).scalars())
    engine.dispose()
    assert ids - kept.keys() == set()
    assert kept[closed] == "closed"
    assert len(kept) == len(ids) + 1
    assert sorted(outcomes) == ["closed"] + ["ok"] * (calls - 1)
