"""What a search costs beyond the model and Qdrant: `python -m benchmarks.search [--corpus FOLDER] [--chunks N]`.

Over the corpus of `many_chunks`, each query is timed in several ways, in turn, so that a change in the machine's speed
meets all alike:

    hybrid      GET /v1/search of a served corpus, over one kept-alive connection
    identifier  the same with an identifier of the corpus in the query
    keyword     the same in keyword mode
    exact       a string cut out of a chunk, in exact mode
    numbers     the hybrid search of documents within a range of a numeric metadata key, a tenth of all
    times       the same by `updated_at`
    empty       GET /health/live over the same connection: what HTTP alone costs
    embed       the query through the embedder
    qdrant      one hybrid query (both legs, RRF, tenant filter, payloads) straight to Qdrant Edge

The served corpus and the one that is asked directly are copies of each other. A corpus folder that is given is kept
and used again; building it takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.corpora import SCOPE, bulk_documents, running_api
from benchmarks.many_chunks import EPOCH, fill
from ingestion.corpus.embedding import open_embedder
from ingestion.corpus.index.payload import DENSE, LEXICAL
from ingestion.corpus.sparse import SparseEncoder
from ingestion.settings import Settings
from service.retrieval.needles import find_identifiers

LEG_LIMIT = 50
PAGE = 10
WARM_UP = 20
_STRING_CHARS = 40


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--corpus", type=Path, help="folder to keep the corpus in")
    arguments.add_argument("--chunks", type=int, default=100_000, help="chunks of the corpus")
    arguments.add_argument("--queries", type=int, default=200)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.corpus or Path(temporary) / "corpus"
        models = root / "models"
        settings = Settings(data_dir=root / "data", models_dir=models)
        chunks = fill(settings, chosen.chunks)
        served = Path(temporary) / "served"
        shutil.copytree(settings.data_dir, served)
        with running_api(served, models) as (address, _):
            report(chunks, measure(settings, address, chosen.queries))


def measure(settings: Settings, address: str, count: int) -> dict[str, list[float]]:
    """Milliseconds per query for each way."""
    import qdrant_edge

    assert settings.models_dir is not None
    embedder = open_embedder(settings.embedder, settings.models_dir)
    sparse = SparseEncoder()
    (folder,) = (settings.data_dir / "index").iterdir()
    shard = qdrant_edge.EdgeShard.load(str(folder))
    documents = shard.count(qdrant_edge.CountRequest(exact=False)) // 8
    taken: dict[str, list[float]] = {}
    with closing(HTTPConnection(urlsplit(address).netloc)) as connection:
        for number, asked in enumerate(islice(questions(), count + WARM_UP)):
            request = _hybrid(qdrant_edge, embedder.embed_query(asked.query), sparse.encode_query(asked.query))
            within = {"gte": number * 7 % documents, "lt": number * 7 % documents + documents // 10}
            since = {side: _day(value) for side, value in within.items()}
            ways: dict[str, Callable[[], Any]] = {
                "hybrid": partial(_search, connection, {"query": asked.query}),
                "embed": partial(embedder.embed_query, asked.query),
                "qdrant": partial(shard.query, request),
                "identifier": partial(_search, connection, {"query": f"{asked.query} {asked.identifier}"}),
                "keyword": partial(_search, connection, {"query": asked.query, "mode": "keyword"}),
                "exact": partial(_search, connection, {"query": asked.string, "mode": "exact"}),
                "numbers": partial(_search, connection, {"query": asked.query, **_must("metadata.number", within)}),
                "times": partial(_search, connection, {"query": asked.query, **_must("updated_at", since)}),
                "empty": partial(_request, connection, "GET", "/health/live"),
            }
            for name, call in ways.items():
                started = time.perf_counter()
                call()
                if number >= WARM_UP:
                    taken.setdefault(name, []).append((time.perf_counter() - started) * 1e3)
    shard.close()
    return taken


@dataclass(frozen=True, slots=True)
class Asked:
    """A title of the corpus, an identifier and a string of some other document."""

    query: str
    identifier: str
    string: str


def questions() -> Iterator[Asked]:
    """Short, real, spread over the corpus, and the same in every run."""
    chance = random.Random(7)
    documents = [one for one in bulk_documents() if one.title and len(one.data) > _STRING_CHARS]
    chance.shuffle(documents)
    for document, other in pairwise(documents):
        text = other.data.decode()
        identifiers = find_identifiers(text)
        start = chance.randrange(len(text) - _STRING_CHARS)
        string = text[start : start + chance.randint(4, _STRING_CHARS)].strip()
        if identifiers and len(string) > 3:
            yield Asked(document.title or "", chance.choice(identifiers), string)


def _must(key: str, bounds: dict[str, Any]) -> dict[str, Any]:
    return {"filter": {"must": [{"key": key, **bounds}]}}


def _day(number: int) -> str:
    return (EPOCH + timedelta(days=number)).isoformat()


def _search(connection: HTTPConnection, body: dict[str, Any]) -> bytes:
    return _request(connection, "POST", "/v1/search", json.dumps(body))


def _request(connection: HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = response.read()
    assert response.status == HTTPStatus.OK, answer
    return answer


def _hybrid(q: Any, dense: Any, lexical: Any) -> Any:
    tenant = q.Filter(must=[q.FieldCondition("tenant", match=q.MatchValue(str(SCOPE.tenant)))])
    legs = [
        q.Prefetch(limit=LEG_LIMIT, query=q.Query.Nearest(dense.tolist(), using=DENSE), filter=tenant),
        q.Prefetch(
            limit=LEG_LIMIT,
            query=q.Query.Nearest(q.SparseVector(list(lexical.indices), list(lexical.values)), using=LEXICAL),
            filter=tenant,
        ),
    ]
    return q.QueryRequest(limit=PAGE, prefetches=legs, query=q.Fusion.Rrf(k=2), with_payload=True)


def report(chunks: int, taken: dict[str, list[float]]) -> None:
    """Medians, and what the product promises: ratios, and times beyond HTTP."""
    print(f"\n{chunks} chunks, {len(taken['hybrid'])} queries, each timed in turn; milliseconds")
    print(f"{'':10} {'p50':>8} {'p95':>8}")
    for name, values in taken.items():
        print(f"{name:10} {statistics.median(values):8.2f} {_p95(values):8.2f}")
    raw = statistics.median(map(sum, zip(taken["embed"], taken["qdrant"], strict=True)))
    print()
    for name, promise in (("hybrid", ", promised: at most 1.30"), ("identifier", ""), ("numbers", ""), ("times", "")):
        print(f"{name:10} / (embed + raw Qdrant), p50: {statistics.median(taken[name]) / raw:.2f}{promise}")
    empty = statistics.median(taken["empty"])
    for name in ("keyword", "exact"):
        print(f"{name:10} beyond HTTP, p95: {_p95(taken[name]) - empty:.1f} ms, promised: at most 10 ms")


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


if __name__ == "__main__":
    main()
