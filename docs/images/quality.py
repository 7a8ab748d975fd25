"""Makes `quality.png` and `trace.png` beside this file: the page of quality over two days of traffic, and one trace.

It is a demonstration. Real are the sample documents, the questions, what is found, the verdicts on each sentence and
the feedback, all over HTTP. Made up are the model, which quotes its passages and sometimes adds what they don't say,
and the times: what was asked is copied into the hours before with other durations, straight into the ledger. Needs
Chromium:

    .venv/bin/python docs/images/quality.py [FOLDER]

A folder keeps the demonstration: with one that has it already, only the pictures are made anew.
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Connection, Engine, insert, select, update

from ingestion.corpus.database import open_database, write_transaction
from service.ledger.tables import feedback, model_calls, releases, traces
from service.settings import ServiceSettings

HERE = Path(__file__).parent
SAMPLES = HERE.parent.parent / "sample_docs"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
MODEL = "gpt-4o-mini"
PRICES = f"""
[[price]]
model = "{MODEL}"
input_usd = 0.15
output_usd = 0.60
source = "a demonstration"
date = 2026-01-01
"""
ANSWERED = [
    "How do I swap an on-call shift?",
    "What does error code LDG-1107 mean?",
    "How many days does a shipper have to claim for a late parcel?",
    "How do I replay Kafka events for a topic?",
    "How do I restart gatehouse?",
    "What do I do when the invoice run is stuck?",
    "How is a certificate renewed before it expires?",
    "Who is told when there is a SEV1 incident?",
    "How long is personal data kept?",
    "What happened in the gateway outage of November 2025?",
    "How do I rotate the database credentials?",
    "How does a webhook prove that it comes from us?",
]
UNANSWERED = [
    "How do I get a parking permit for the depot?",
    "Where can I get a parking permit?",
    "What is the Wi-Fi password for visitors?",
    "How many holidays do I have left this year?",
    "How do I order a new laptop?",
    "Which laptop will I be given?",
    "Is there a canteen at the depot in Rotterdam?",
]
SEARCHED = [
    "gateway 502",
    "GH-5021",
    "redis memory",
    "feature flags",
    "rollback of a release",
    "parking permit",
    "blub",
]
TICKETS = [
    "gatehouse answers 502 since the deploy at 14:10, upstream reset by peer",
    "consumer lag of tracker is growing",
]
INVENTED = " It takes 4711 minutes and has to be approved by the mayor [1]."


class Model(BaseHTTPRequestHandler):
    """A chat endpoint that quotes the first passage, and sometimes adds what no passage says."""

    asked = 0

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Model.asked += 1
        text = _quoted(told["messages"][-1]["content"]) + (INVENTED if Model.asked % 4 == 3 else "")
        usage = {"prompt_tokens": 900 + len(text), "completion_tokens": len(text) // 4}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        body = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [choice],
            "usage": usage,
        }
        if told.get("stream"):
            delta = {"index": 0, "finish_reason": "stop", "delta": {"content": text}}
            chunk = body | {"object": "chat.completion.chunk", "choices": [delta]}
            self._send("text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")
        else:
            self._send("application/json", json.dumps(body))

    def _send(self, media_type: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Nothing: the script says what it does."""


def _quoted(prompt: str) -> str:
    """The two sentences of the passages that share most words with the question, which comes last."""
    passages = re.findall(r'<passage number="(\d+)"[^\n]*>\n(.*?)\n</passage>', prompt, re.DOTALL)
    asked = _words(prompt.rsplit("Question:", 1)[-1])
    found = []
    for number, text in passages:
        prose = re.sub(r"```.*?```|^#.*$|^\d+\.|\[\d+\]", " ", text, flags=re.DOTALL | re.MULTILINE)
        for one in re.split(r"(?<=[.!?])\s+|\n\n|\n[-*|]", prose):
            if len(one.split()) > 5:
                found.append((len(asked & _words(one)), f"{' '.join(one.split()).rstrip('.:;')} [{number}]."))
    found.sort(key=lambda pair: -pair[0])
    return " ".join(sentence for shared, sentence in found[:2] if shared) or "NOT_IN_SOURCES"


def _words(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"[a-z0-9-]{4,}", text.lower())}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, ServiceSettings]]:
    """The address of a service over the sample documents that asks the scripted model."""
    (folder / "prices.toml").write_text(PRICES)
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as model:
        threading.Thread(target=model.serve_forever, daemon=True).start()
        told = {
            "PLUMBLINE_DATA_DIR": str(folder / "data"),
            "PLUMBLINE_LLM__BASE_URL": f"http://127.0.0.1:{model.server_port}/v1",
            "PLUMBLINE_LLM__MODEL": MODEL,
            "PLUMBLINE_LLM__API_KEY": "none",
            "PLUMBLINE_LLM__PRICES": str(folder / "prices.toml"),
            # What the sources don't say is to be seen, not mended.
            "PLUMBLINE_ANSWERS__REPAIR": "false",
        }
        command = [sys.executable, "-c", "from service.cli import main; main()"]
        environment = os.environ | told
        subprocess.run([*command, "ingest", str(SAMPLES)], env=environment, check=True)
        with subprocess.Popen(
            [*command, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
        ) as server:
            try:
                yield _address(server), ServiceSettings(data_dir=folder / "data")
            finally:
                server.terminate()
                model.shutdown()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return found[0]
    raise RuntimeError("the server did not start")


def ask(url: str) -> None:
    """Everything once, with some feedback."""
    with httpx.Client(base_url=url, timeout=120) as client:
        for number, question in enumerate([*ANSWERED, *UNANSWERED]):
            answer = client.post("/v1/answers", json={"question": question}).raise_for_status().json()
            if answer["answered"]:
                rating: dict[str, Any] = {"answer_id": answer["answer_id"], "kind": "rating", "rating": "up"}
                if number % 4 == 3:
                    rating |= {"rating": "down", "text": "This is not what the runbook says."}
                client.post("/v1/feedback", json=rating).raise_for_status()
        for query in SEARCHED:
            client.post("/v1/search", json={"query": query}).raise_for_status()
        for ticket in TICKETS:
            client.post("/v1/context", json={"text": ticket, "budget_tokens": 1500}).raise_for_status()


def spread(engine: Engine, now: datetime) -> None:
    """Copy what was asked into the two days before: more by day than by night, a model that fails, a new prompt."""
    rng = random.Random(11)
    with write_transaction(engine) as connection:
        asked = [dict(row._mapping) for row in connection.execute(select(traces))]
        calls = [dict(row._mapping) for row in connection.execute(select(model_calls))]
        for hours in range(48):
            busy = 5 + 28 * max(0.0, math.sin(((now.hour - hours) % 24 - 6) / 14 * math.pi))
            for _ in range(round(busy * rng.uniform(0.7, 1.3))):
                at = now - timedelta(hours=hours, minutes=rng.uniform(0, 60))
                _copy(connection, rng, rng.choice(asked), calls, at)
        for trace in asked:
            at = now - timedelta(minutes=rng.uniform(1, 200))
            connection.execute(update(traces).where(traces.c.id == trace["id"]).values(at=at))
            connection.execute(update(model_calls).where(model_calls.c.answer_id == trace["id"]).values(at=at))
            connection.execute(update(feedback).where(feedback.c.trace_id == trace["id"]).values(at=at))
        _release(connection, now - timedelta(hours=13))


def _copy(
    connection: Connection, rng: random.Random, trace: Mapping[str, Any], calls: list[dict[str, Any]], at: datetime
) -> None:
    slower = rng.lognormvariate(-1.2, 0.35)
    age = datetime.now(UTC) - at
    made = dict(trace) | {"id": str(uuid.uuid4()), "query_id": str(uuid.uuid4()), "at": at}
    made["total_ms"] *= slower
    made["timings"] = {stage: value * slower for stage, value in trace["timings"].items()}
    ours = [call for call in calls if call["answer_id"] == trace["id"]]
    if ours and timedelta(hours=4) < age < timedelta(hours=6) and rng.random() < 0.6:
        nothing = dict.fromkeys(("model", "prompt_version", "prompt_tokens", "completion_tokens", "cost_usd"))
        made |= nothing | {
            "degraded": rng.choice(["model_timeout", "model_rate_limited"]),
            "degraded_mode": "extractive",
        }
        ours = []
    old = age > timedelta(hours=13) and made["prompt_version"]
    if old:
        made |= {"prompt_version": "answer@2", "prompt_tokens": made["prompt_tokens"] * 2}
    connection.execute(insert(traces).values(made))
    for call in ours:
        new = {"id": str(uuid.uuid4()), "answer_id": made["id"], "at": at}
        if old:
            new |= {"prompt_version": "answer@2", "prompt_tokens": call["prompt_tokens"] * 2}
            new["cost_usd"] = call["cost_usd"] and call["cost_usd"] * 1.7
        connection.execute(insert(model_calls).values(call | new))
    if made["operation"] == "answer" and made["sentences"] and rng.random() < 0.3:
        connection.execute(insert(feedback).values(_rating(rng, made, at)))


def _rating(rng: random.Random, trace: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    rating = "down" if rng.random() < (0.6 if trace["unsupported"] else 0.1) else "up"
    row = dict.fromkeys(("chunk_id", "rank", "text", "outcome", "key_id"))
    told = {"id": str(uuid.uuid4()), "tenant": trace["tenant"], "trace_id": trace["id"], "kind": "rating"}
    return row | told | {"rating": rating, "at": at}


def _release(connection: Connection, at: datetime) -> None:
    row = {"id": str(uuid.uuid4()), "kind": "prompt", "value": "answer@3", "previous": "answer@2", "state": "active"}
    row |= {"promoted_at": at, "ended_at": None, "reason": None, "watch": {}, "actor": "cli:ops"}
    connection.execute(insert(releases).values(row))


def take(url: str, name: str, page: Page, address: str, ready: str) -> None:
    """The whole page as PNG, 1280 wide."""
    page.goto(url + address)
    page.wait_for_selector(ready)
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(HERE / name, optimize=True)


def demonstrate(folder: Path) -> None:
    known = (folder / "data").exists()
    with serving(folder) as (url, settings):
        engine = open_database(settings)
        if not known:
            ask(url)
            httpx.get(f"{url}/v1/traces/none")  # which waits until all that was asked is written
            spread(engine, datetime.now(UTC))
        doubtful = select(traces.c.id).where(traces.c.unsupported > 0, traces.c.model.is_not(None))
        with engine.connect() as connection:
            trace = connection.execute(doubtful.order_by(traces.c.at.desc()).limit(1)).scalar_one()
        engine.dispose()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
            clear = {"locale": "en-GB", "timezone_id": "Europe/Berlin", "reduced_motion": "reduce"}
            page = browser.new_page(viewport={"width": 1280, "height": 800}, **clear)
            take(url, "quality.png", page, "/quality", "[data-panel=worst] .rows")
            take(url, "trace.png", page, f"/quality?trace={trace}", "#trace-title")
            browser.close()


def main() -> None:
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        demonstrate(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        demonstrate(Path(temporary))


if __name__ == "__main__":
    main()
