"""How long `GET /v1/quality` takes over a ledger of many traces: `python -m benchmarks.quality_online`.

Traces are made up, as large as those of searches with 30 candidates; they are spread evenly over two days.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from sqlalchemy import Engine, text

from ingestion.corpus.database import open_database, write_transaction
from ingestion.corpus.scope import TenantId
from ingestion.settings import Settings
from service.ledger.database import migrate_ledger
from service.ledger.tallies import Slice
from service.ledger.traces import Trace, write_traces
from service.quality.online.report import quality
from service.quality.online.series import series
from service.settings import SignalSettings

TENANT = TenantId("default")
UNTIL = datetime(2026, 3, 10, tzinfo=UTC)
BATCH = 1_000
ANSWERS = 0.15
"""Share of the traces that are answers."""
ROUNDS = 3


def main(
    traces: Annotated[int, typer.Option(help="How many, over two days.")] = 200_000,
    url: Annotated[str | None, typer.Option(help="A database to fill; else a temporary SQLite file.")] = None,
) -> None:
    """Fill a ledger and time both calls."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(Settings(data_dir=Path(folder), database_url=SecretStr(url) if url else None))
        migrate_ledger(engine)
        took = _seconds(lambda: _fill(engine, traces))
        typer.echo(f"{engine.dialect.name}: {traces} traces written in {took:.1f} s, {traces / took:.0f}/s")
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        for hours in (1, 24, 48):
            about = Slice(UNTIL - timedelta(hours=hours), UNTIL, TENANT)
            whole = min(_seconds(partial(quality, engine, about, SignalSettings())) for _ in range(ROUNDS))
            parts = min(_seconds(partial(series, engine, about, 48)) for _ in range(ROUNDS))
            typer.echo(f"  {hours} h, {traces * hours // 48} traces: quality {whole:.2f} s, series {parts:.2f} s")
        engine.dispose()


def _fill(engine: Engine, traces: int) -> None:
    chance = random.Random(0)
    for start in range(0, traces, BATCH):
        with write_transaction(engine) as connection:
            write_traces(connection, [_trace(chance, n / traces) for n in range(start, min(start + BATCH, traces))])


def _trace(chance: random.Random, place: float) -> Trace:
    answer = chance.random() < ANSWERS
    confidence = chance.betavariate(5, 1)
    refused = answer and confidence < 0.4
    return Trace(
        id=str(uuid.UUID(int=chance.getrandbits(128))),
        query_id=str(uuid.UUID(int=chance.getrandbits(128))),
        tenant=TENANT,
        at=UNTIL - timedelta(days=2) * (1 - place),
        operation="answer" if answer else "search",
        outcome="refused" if refused else "ok",
        total_ms=chance.lognormvariate(2.5, 0.5),
        hits=10,
        collection="runbooks",
        query="how do I restart the gateway when it answers 502 after a deploy?",
        query_hash=f"{chance.getrandbits(256):064x}",
        relevance="strong" if confidence > 0.6 else "weak",
        confidence=confidence,
        top_score=chance.betavariate(4, 2),
        margin=0.1,
        legs_agree=chance.random() < 0.7,
        timings={"embed": 6.1, "search": chance.random() * 5, "rerank": 0.0, "total": 9.8},
        index_version="g1-0123456789abcdef",
        embedder="ibm-granite/granite-embedding-30m-english",
        documents=[str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(10)],
        body={"candidates": [{"chunk_id": f"{chance.getrandbits(128):032x}", "fused": 0.5} | _SCORES] * 30},
        **(_answered(refused, chance) if answer else {}),
    )


_SCORES = {"dense": 0.71234, "sparse": 11.23456, "score": 0.51234}


def _answered(refused: bool, chance: random.Random) -> dict[str, Any]:
    if refused:
        return {"refusal": "nothing_relevant", "sentences": 0}
    return {
        "grounding": "grounded" if chance.random() < 0.9 else "partial",
        "sentences": 4,
        "unsupported": int(chance.random() < 0.1),
        "citation_precision": 1.0,
        "model": "m",
        "prompt_version": "answer@3",
        "degraded": "timeout" if chance.random() < 0.02 else None,
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
