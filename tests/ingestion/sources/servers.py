"""A web site on loopback, written as a dict of pages and changed while it runs; it remembers what it was asked."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = "text/html; charset=utf-8"


@dataclass
class Reply:
    """What the server says. `stream` writes a body of its own, until it ends or the client hangs up.

    `bare`: the stream writes status and headers too.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: bool = True
    stream: Callable[[Callable[[bytes], object]], None] | None = None
    bare: bool = False


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
            address_family = family if ":" not in host else socket.AF_INET6
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
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server_site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        reply = self.server_site.reply_to(self.path)
        tag = f'"{hashlib.sha256(reply.body).hexdigest()[:16]}"'
        if reply.status == 200 and reply.etag and self.headers.get("If-None-Match") == tag:
            reply = Reply(status=304)
        if reply.bare and reply.stream is not None:
            self.close_connection = True
            self._write_until_hung_up(reply.stream)
            return
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
