"""A real `/rerank` server on a free port, over a reranker of this process; it can be made to misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service.retrieval.reranking.reranker import Reranker

KEY = "sk-test"
MODEL = "overlap"
_FOREVER = 1e12


@dataclass
class Endpoint:
    """A running server. Set the fields to make it misbehave; `requests` holds what reached it."""

    reranker: Reranker
    port: int = 0
    speaks_tei: bool = False
    """`texts` in, a bare list out, 422 for any other request."""
    status: int = 200
    retry_after: str | None = None
    raw: bytes | None = None
    held: bool = False
    """Says nothing until the test is over."""
    drips: bool = False
    """Begins an answer, and goes on with it when the test is over."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, key: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of one call."""
        self.requests.append(body)
        if self.status != 200:
            return self.status, b'{"message": "told to fail"}'
        if key != f"Bearer {KEY}":
            return 401, b'{"message": "wrong key"}'
        passages = body.get("texts" if self.speaks_tei else "documents")
        if passages is None:
            return 422, b"Failed to deserialize the JSON body into the target type"
        if self.raw is not None:
            return 200, self.raw
        return 200, self.reply(list(self.reranker.score(body["query"], passages, _FOREVER).values))

    def reply(self, scores: list[float]) -> bytes:
        """Best first, as such servers answer."""
        name = "score" if self.speaks_tei else "relevance_score"
        rows = [{"index": i, name: scores[i]} for i in sorted(range(len(scores)), key=lambda i: -scores[i])]
        return json.dumps(rows if self.speaks_tei else {"id": "1", "model": MODEL, "results": rows}).encode()


@contextmanager
def running_endpoint(reranker: Reranker) -> Iterator[Endpoint]:
    """The server, stopped and its threads joined afterwards."""
    endpoint = Endpoint(reranker)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if endpoint.held:
                endpoint.over.wait(60)
            known = self.path == "/v1/rerank"
            key = self.headers.get("Authorization", "")
            status, content = endpoint.answer(key, body) if known else (404, b"no such path")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if endpoint.retry_after is not None:
                self.send_header("Retry-After", endpoint.retry_after)
            self.end_headers()
            if endpoint.drips:
                self.wfile.write(content[:1])
                self.wfile.flush()
                endpoint.over.wait(60)
            self.wfile.write(content[1:] if endpoint.drips else content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A caller that did not wait is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.over.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
