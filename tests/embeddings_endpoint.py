"""A real OpenAI-compatible `/v1/embeddings` server on a free port, over an embedder of this process."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from ingestion.corpus.embedding import Embedder

KEY = "sk-test"
MODEL = "local-model"


@dataclass
class Endpoint:
    """A running server. Set the fields to make it misbehave; `requests` counts what reached it."""

    embedder: Embedder
    port: int = 0
    failures: list[int] = field(default_factory=list)
    """Statuses to answer with next, before working again."""
    only_float: bool = False
    reverse: bool = False
    drop_last: bool = False
    dimension: int | None = None
    raw: bytes | None = None
    requests: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, key: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of one call."""
        self.requests += 1
        if self.failures:
            return self.failures.pop(0), _error("told to fail")
        if key != f"Bearer {KEY}":
            return 401, _error("wrong key")
        if body["model"] != MODEL:
            return 404, _error("no such model")
        if self.only_float and body.get("encoding_format") == "base64":
            return 400, _error("encoding_format: only float")
        if "" in body["input"]:
            return 400, _error("input must not be empty")
        if self.raw is not None:
            return 200, self.raw
        return 200, json.dumps({"object": "list", "model": MODEL, "data": self._data(body)}).encode()

    def _data(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        # Not of unit length: the client must see to that.
        vectors = 3 * self.embedder.embed_documents(body["input"])[:, : self.dimension]
        as_base64 = body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if as_base64 else row.tolist(),
            }
            for index, row in enumerate(np.asarray(vectors))
        ]
        if self.reverse:
            data.reverse()
        return data[:-1] if self.drop_last else data


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "test", "code": None}}).encode()


@contextmanager
def running_endpoint(embedder: Embedder) -> Iterator[Endpoint]:
    """The server, stopped and its threads joined afterwards."""
    endpoint = Endpoint(embedder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.path == "/v1/embeddings"
            status, content = (
                endpoint.answer(self.headers.get("Authorization", ""), body) if known else (404, _error("no such path"))
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")  # so that no server thread waits for another request
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
