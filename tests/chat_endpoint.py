"""A scripted chat endpoint: a real HTTP server on loopback that behaves well, badly or not at all.

By hand: `python -m tests.chat_endpoint stalls --port 8099`, then point `PLUMBLINE_LLM__BASE_URL` at it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
DONE = "data: [DONE]\n\n"
SSE = "text/event-stream"


class Do(Enum):
    """What a reply does beside sending text."""

    HOLD = auto()
    """Say nothing more until the client leaves or the test is over."""
    CUT = auto()
    """Drop the connection in the middle of a chunk."""
    REPEAT = auto()
    """Send the line before this again and again, a hundred times a second, until the client leaves."""


@dataclass(frozen=True)
class Reply:
    """One response: its status and headers, then its steps in turn."""

    steps: tuple[str | Do, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = SSE
    before: tuple[Do, ...] = ()
    """Done before the status line is sent."""


Replying = Reply | Callable[[dict[str, Any]], Reply]


def line(content: str | None = None, *, usage: object = None, choices: bool = True, finish: str | None = None) -> str:
    """One event of a stream; `choices` False is the last one that only tells the usage."""
    delta = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**chunk, 'choices': [delta] if choices else [], 'usage': usage})}\n\n"


def streaming(*steps: str | Do, **changes: Any) -> Reply:
    return Reply(tuple(steps), **changes)


def saying(*pieces: str, usage: object = USAGE) -> Reply:
    """A well-behaved answer."""
    told = (line(usage=usage, choices=False),) if usage else ()
    return streaming(*map(line, pieces), line(finish="stop"), *told, DONE)


def failing(status: int, headers: Mapping[str, str] | None = None, code: str = "x", message: str = "no") -> Reply:
    body = json.dumps({"error": {"message": message, "code": code, "type": code, "param": None}})
    return Reply((body,), status, headers or {}, "application/json")


def structured_only(form: str, text: str, *, otherwise: int = 500) -> Callable[[dict[str, Any]], Reply]:
    """An endpoint that knows one `response_format` (`none`: no such field at all) and fails on any other."""

    def reply(body: dict[str, Any]) -> Reply:
        asked = body.get("response_format", {"type": "none"})["type"]
        if asked == form:
            return saying(text)
        return saying("plain [1].") if asked == "none" else failing(otherwise)

    return reply


GOOD = saying("Hel", "lo")
SCENARIOS: Mapping[str, Replying] = {
    "good": GOOD,
    "slow-first-token": streaming(Do.HOLD),
    "silent": Reply(before=(Do.HOLD,)),
    "stalls": streaming(line("Once"), Do.HOLD),
    "murmurs": streaming(line("Once"), line(None), Do.REPEAT),
    "endless": streaming(line("Once "), line("upon a time " * 10), Do.REPEAT),
    "blank-endless": streaming(line("Once"), line("\n" * 200), Do.REPEAT),
    "cut": streaming(line("Once"), Do.CUT),
    "cut-early": streaming(Do.CUT),
    "ends-early": streaming(line("Once"), DONE),
    "ends-at-once": streaming(line("")),
    "empty": streaming(line(finish="stop"), DONE),
    "nothing": streaming(),
    "bad-json": streaming("data: {not json\n\n"),
    "bad-shape": streaming('data: {"choices": 7}\n\n'),
    "no-object": streaming("data: [1, 2]\n\n"),
    "bad-delta": streaming('data: {"choices": [{"delta": 7}]}\n\n'),
    "error-event": streaming('data: {"error": {"message": "boom", "code": 500}}\n\n'),
    "web-page": Reply(("<html>Welcome</html>",), content_type="text/html; charset=utf-8"),
    "error-page": Reply(("<html>Bad gateway</html>",), 502, content_type="text/html"),
    "not-streamed": Reply(('{"choices": []}',), content_type="application/json"),
    "plain-type": streaming(line("Hello"), line(finish="stop"), DONE, content_type="text/plain"),
    "no-usage": saying("Hel", "lo", usage=None),
    "usage-always": streaming(
        line("Hel", usage={"prompt_tokens": 12, "completion_tokens": 1}),
        line("lo", usage={"prompt_tokens": 12, "completion_tokens": 3}),
        line(finish="stop", usage={"prompt_tokens": 12, "completion_tokens": 3}),
        DONE,
    ),
    "filtered": streaming(line(finish="content_filter"), DONE),
    "cut-off": streaming(line("Hel"), line(finish="length"), DONE),
    "rate-limited": failing(429),
    "rate-limited-long": failing(429, {"Retry-After": "3600"}),
    "no-quota": failing(429, code="insufficient_quota"),
    "server-error": failing(500),
    "unavailable": failing(503),
    "too-slow": failing(408),
    "wrong-request": failing(400),
    "wrong-key": failing(401),
    "no-such-model": failing(404),
}


@dataclass
class Endpoint:
    """A running server: answers each call with the next reply, the last one again and again."""

    replies: list[Replying] = field(default_factory=lambda: [GOOD])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    """Set when a call has arrived."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client left before its reply was over."""
    over: threading.Event = field(default_factory=threading.Event)
    """Lets everything go on that holds."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One call, one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = {name.lower(): value for name, value in (row.split(": ", 1) for row in head.split("\r\n")[1:-2])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            await self._reply(head.split(" ", 2)[1], headers, body, reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _reply(
        self, path: str, headers: Mapping[str, str], body: bytes, reader: StreamReader, writer: StreamWriter
    ) -> None:
        if not path.endswith("/chat/completions"):
            await self._send(Reply(('{"data": []}',), content_type="application/json"), writer)
            return
        self.keys.append(headers.get("authorization"))
        self.bodies.append(json.loads(body))
        reply = self.replies[min(len(self.bodies), len(self.replies)) - 1]
        self.begun.set()
        sending = asyncio.create_task(self._send(reply(self.bodies[-1]) if callable(reply) else reply, writer))
        leaving = asyncio.create_task(reader.read(1))
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done() or (sending.exception() is not None):
            self.left.set()
        for task in (sending, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await task

    async def _send(self, reply: Reply, writer: StreamWriter) -> None:
        for step in reply.before:
            assert step is Do.HOLD
            await self._hold()
        fields = {"Content-Type": reply.content_type, "Transfer-Encoding": "chunked", "Connection": "close"}
        rows = "".join(f"{name}: {value}\r\n" for name, value in {**fields, **reply.headers}.items())
        writer.write(f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n{rows}\r\n".encode())
        await writer.drain()
        async for text in self._texts(reply):
            data = text.encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
        if Do.CUT in reply.steps:
            writer.write(b"ff\r\ndata:")
            await writer.drain()
            writer.transport.abort()
            return
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _texts(self, reply: Reply) -> AsyncIterator[str]:
        last = ""
        for step in reply.steps:
            if isinstance(step, str):
                last = step
                yield step
            elif step is Do.HOLD:
                await self._hold()
            elif step is Do.REPEAT:
                while not self.over.is_set():
                    yield last
                    await asyncio.sleep(0.01)

    async def _hold(self) -> None:
        while not self.over.is_set():
            await asyncio.sleep(0.01)


@contextmanager
def running_endpoint(*replies: Replying, port: int = 0) -> Iterator[Endpoint]:
    """The server in a thread of its own, stopped and joined afterwards."""
    endpoint = Endpoint(list(replies) or [GOOD])
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server = await asyncio.start_server(endpoint.serve, "127.0.0.1", port)
        endpoint.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*rest, return_exceptions=True), 10)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="test-chat-endpoint")
    thread.start()
    try:
        assert ready.wait(10), "the endpoint did not start"
        yield endpoint
    finally:
        endpoint.over.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/v1"


@contextmanager
def deaf() -> Iterator[str]:
    """An address at which a connection is never completed: the queue of those that wait is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            for one in waiting:
                one.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--port", type=int, default=8099)
    wanted = parser.parse_args()
    with running_endpoint(SCENARIOS[wanted.scenario], port=wanted.port) as endpoint:
        print(f"{wanted.scenario} at {endpoint.url}; Ctrl-C ends it", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
