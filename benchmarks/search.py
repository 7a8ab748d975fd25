"""What a search costs beyond the model and Qdrant: `python -m benchmarks.search [--corpus FOLDER] [--chunks N]`.

Over sample_docs/ and N chunks of the bulk data, each query is timed three ways, in turn, so that a change in the
machine's speed meets all three alike:

    http   GET /v1/search of a served corpus, over one kept-alive connection
    embed  the query through the embedder
    qdrant one hybrid query (both legs, RRF, tenant filter, payloads) straight to Qdrant Edge

The served corpus and the one that is asked directly are copies of each other. A corpus folder that is given is kept
and used again; building it takes some minutes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.corpora import SCOPE, bulk_documents, running_api, sample_documents
from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.embedding import open_embedder
from ingestion.corpus.index.payload import DENSE, LEXICAL
from ingestion.corpus.sparse import SparseEncoder
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings

LEG_LIMIT = 50
PAGE = 10
WARM_UP = 20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--corpus", type=Path, help="folder to keep the corpus in")
    arguments.add_argument("--chunks", type=int, default=10_000, help="chunks of bulk data")
    arguments.add_argument("--queries", type=int, default=300)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.corpus or Path(temporary) / "corpus"
        models = root / "models"
        settings = Settings(data_dir=root / "data", models_dir=models)
        chunks = build(settings, chosen.chunks)
        served = Path(temporary) / "served"
        shutil.copytree(settings.data_dir, served)
        with running_api(served, models) as (address, _):
            report(chunks, measure(settings, address, chosen.queries))


def build(settings: Settings, wanted: int) -> int:
    """Fill the corpus up to `wanted` chunks of bulk data beside sample_docs/; returns how many it holds."""
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        held = corpus.count(SCOPE)
        if held < wanted:
            print(f"building a corpus of {wanted} chunks in {settings.data_dir} ...", flush=True)
            pipeline = Pipeline(corpus, parser)
            for outcome in pipeline.ingest(SCOPE, chain(sample_documents(), bulk_documents())):
                held += outcome.chunks
                if held >= wanted:
                    break
        return corpus.count(SCOPE)


def queries(count: int) -> Iterator[str]:
    """Headings of bulk documents: short, real, and spread over the corpus."""
    titles = sorted({source.title for source in bulk_documents() if source.title})
    yield from random.Random(7).sample(titles, count)


def measure(settings: Settings, address: str, count: int) -> dict[str, list[float]]:
    """Milliseconds per query for each way."""
    import qdrant_edge

    assert settings.models_dir is not None
    embedder = open_embedder(settings.embedder, settings.models_dir)
    sparse = SparseEncoder()
    (folder,) = (settings.data_dir / "index").iterdir()
    shard = qdrant_edge.EdgeShard.load(str(folder))
    taken: dict[str, list[float]] = {"http": [], "embed": [], "qdrant": []}
    with closing(HTTPConnection(urlsplit(address).netloc)) as connection:
        for number, query in enumerate(queries(count + WARM_UP)):
            request = _hybrid(qdrant_edge, embedder.embed_query(query), sparse.encode_query(query))
            ways: dict[str, Callable[[], Any]] = {
                "http": lambda query=query: _search(connection, query),
                "embed": lambda query=query: embedder.embed_query(query),
                "qdrant": lambda request=request: shard.query(request),
            }
            for name, call in ways.items():
                started = time.perf_counter()
                call()
                if number >= WARM_UP:
                    taken[name].append((time.perf_counter() - started) * 1e3)
    shard.close()
    return taken


def _search(connection: HTTPConnection, query: str) -> bytes:
    connection.request("GET", f"/v1/search?{urlencode({'q': query})}")
    response = connection.getresponse()
    body = response.read()
    assert response.status == HTTPStatus.OK, body
    return body


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
    """Medians, and the ratio that the product promises."""
    print(f"\n{chunks} chunks, {len(taken['http'])} queries, each timed in turn; milliseconds")
    print(f"{'':8} {'p50':>8} {'p95':>8}")
    for name, values in taken.items():
        print(f"{name:8} {statistics.median(values):8.2f} {statistics.quantiles(values, n=20)[18]:8.2f}")
    raw = [embed + qdrant for embed, qdrant in zip(taken["embed"], taken["qdrant"], strict=True)]
    ratio = statistics.median(taken["http"]) / statistics.median(raw)
    print(f"\nsearch over HTTP / (embed + raw Qdrant), p50: {ratio:.2f}  (promised: at most 1.5)")


if __name__ == "__main__":
    main()
