"""A web site on loopback, written as a dict of pages and changed while it runs; it remembers what it was asked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ingestion.settings import SourcesSettings
from ingestion.sources.definitions import WebOrigin
from ingestion.sources.origin import Fetched, Gone, Sighting, Unavailable, Unchanged
from ingestion.sources.web import Web
from tests.contracts.origins import Memory

HTML = "text/html; charset=utf-8"
AGENT = "Plumbline/0.1"


@dataclass
class Reply:
    """What the server says. `stream` writes a body of its own, until it ends or the client hangs up."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: bool = True
    stream: Callable[[Callable[[bytes], object]], None] | None = None


def page(*links: str, text: str = "Some text.", head: str = "") -> Reply:
    """A page with links."""
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    body = f"<html><head><title>T</title>{head}</head><body><p>{text}</p>{anchors}</body></html>"
    return Reply(body.encode(), headers={"Content-Type": HTML})


def redirect(target: str, status: int = 301) -> Reply:
    return Reply(status=status, headers={"Location": target})


def sitemap(urls: Iterable[str], *, index: bool = False) -> Reply:
    outer, inner = ("sitemapindex", "sitemap") if index else ("urlset", "url")
    entries = "".join(f"<{inner}><loc>{url}</loc><lastmod>2020-01-01</lastmod></{inner}>" for url in urls)
    body = f'<?xml version="1.0"?><{outer} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</{outer}>'
    return Reply(body.encode(), headers={"Content-Type": "application/xml"})


class SiteServer:
    """Answers a path with its page, or in turn with those of a list, the last one again and again; else 404."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, Reply | list[Reply]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.hung_up = threading.Event()
        family = ThreadingHTTPServer.address_family

        class Server(ThreadingHTTPServer):
            address_family = family if ":" not in host else __import__("socket").AF_INET6
            block_on_close = False
            daemon_threads = True

        site = self

        class Handler(_Handler):
            server_site = site

        self.server = Server((host, 0), Handler)
        self.port = int(self.server.server_address[1])
        self.base = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def url(self, path: str) -> str:
        return self.base + path

    def paths(self) -> list[str]:
        """What was asked for since the last call of `forget`, without robots.txt."""
        return [path for path, _ in self.asked if path != "/robots.txt"]

    def forget(self) -> None:
        self.asked.clear()

    def reply_to(self, path: str) -> Reply:
        found = self.pages.get(path)
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found or Reply(status=404)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_site: SiteServer
    timeout = 5

    def do_GET(self) -> None:
        self.server_site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        reply = self.server_site.reply_to(self.path)
        tag = f'"{hashlib.sha256(reply.body).hexdigest()[:16]}"'
        if reply.status == 200 and reply.etag and self.headers.get("If-None-Match") == tag:
            reply = Reply(status=304)
        self.send_response(reply.status)
        if reply.status == 200 and reply.etag:
            self.send_header("ETag", tag)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.stream is not None:
            self.close_connection = True
            self.end_headers()
            self._write_until_hung_up(reply.stream)
            return
        if reply.status != 304 and "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _write_until_hung_up(self, stream: Callable[[Callable[[bytes], object]], None]) -> None:
        try:
            stream(self.wfile.write)
        except OSError:
            self.server_site.hung_up.set()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running_site(host: str = "127.0.0.1") -> Iterator[SiteServer]:
    """A site on a free port, allowing all robots."""
    site = SiteServer(host)
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.server.shutdown()
        thread.join()
        site.server.server_close()


@dataclass
class Scan:
    """The sightings of one scan, by kind."""

    sightings: list[Sighting]

    @property
    def fetched(self) -> dict[str, Fetched]:
        return {seen.key: seen for seen in self.sightings if isinstance(seen, Fetched)}

    @property
    def unchanged(self) -> set[str]:
        return {seen.key for seen in self.sightings if isinstance(seen, Unchanged)}

    @property
    def unavailable(self) -> dict[str, Unavailable]:
        return {seen.key: seen for seen in self.sightings if isinstance(seen, Unavailable)}

    @property
    def gone(self) -> set[str]:
        return {seen.key for seen in self.sightings if isinstance(seen, Gone)}

    @property
    def end(self) -> Sighting:
        return self.sightings[-1]


@dataclass
class Reader:
    """A source over a site with its memory; `pauses` are the seconds that it would have waited."""

    site: SiteServer
    path: str = "/"
    attributes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    max_bytes: int = 1_000_000
    memory: Memory = field(default_factory=Memory)
    pauses: list[float] = field(default_factory=list)

    def scan(self) -> Scan:
        """One scan by a fresh origin."""
        definition = WebOrigin(url=self.site.url(self.path), **{"delay_s": 0.0, **self.attributes})
        settings = SourcesSettings(**{"allowed_hosts": ("127.0.0.1", "::1"), "user_agent": AGENT, **self.settings})
        web = Web(definition, settings=settings, max_bytes=self.max_bytes, pause=self.pauses.append)
        with closing(web):
            return Scan(self.memory.learn(web.scan(self.memory)))

    def known(self) -> set[str]:
        """Paths of what is remembered."""
        return {key.removeprefix(self.site.base) for key in self.memory.items}
