"""The web pages `/`, `/sources` and `/quality` and their files, as routes; what they show is from `/v1`.

Everything is read and rendered once. Files lie under a fingerprint of all of them, so that a browser may keep them for
ever and still never mixes two releases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.applications import Starlette

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # The question is part of the page's address: it must not leave with a click on a source.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGES = {"/": "index.html", "/sources": "sources.html", "/quality": "quality.html"}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class WebPage:
    """The pages and their files, held in memory (about 160 kB)."""

    def __init__(self) -> None:
        self._files = _read_static()
        self._fingerprint = _fingerprint(self._files)
        templates = Environment(
            loader=PackageLoader("service.ui"), autoescape=select_autoescape(), undefined=StrictUndefined
        )
        assets = f"/static/{self._fingerprint}"
        self._pages = {
            path: templates.get_template(name).render(assets=assets).encode() for path, name in _PAGES.items()
        }
        self._tags = {path: f'"{hashlib.sha256(page).hexdigest()[:16]}"' for path, page in self._pages.items()}

    async def page(self, request: Request) -> Response:
        """The page at that path: asked for again each time, sent again only when it changed."""
        path = request.url.path
        headers = _HEADERS | {"Cache-Control": _ASK_AGAIN, "ETag": self._tags[path]}
        if request.headers.get("if-none-match") == self._tags[path]:
            return Response(status_code=304, headers=headers)
        return Response(self._pages[path], media_type="text/html", headers=headers)

    async def file(self, request: Request) -> Response:
        """One static file. Under another release's fingerprint the file of this one, which nobody may keep."""
        return self._send(request.path_params["name"], request.path_params["fingerprint"] == self._fingerprint)

    async def favicon(self, request: Request) -> Response:
        """The icon at the address where other pages of this service look for it."""
        return self._send("favicon.svg", may_keep=False)

    def _send(self, name: str, may_keep: bool) -> Response:
        body = self._files.get(name)
        if body is None:
            return Response("no such file\n", status_code=404, media_type="text/plain", headers=_HEADERS)
        headers = _HEADERS | {"Cache-Control": _FOR_EVER if may_keep else _ASK_AGAIN}
        return Response(body, media_type=_MEDIA_TYPES[PurePosixPath(name).suffix], headers=headers)


def add_web_page(app: Starlette) -> None:
    """Serve the pages, their files below `/static/` and the icon. None of them needs a key."""
    web = WebPage()
    for path in _PAGES:
        app.add_route(path, web.page, include_in_schema=False)
    app.add_route("/favicon.svg", web.favicon, include_in_schema=False)
    app.add_route("/static/{fingerprint}/{name}", web.file, include_in_schema=False)


def _read_static() -> Mapping[str, bytes]:
    folder = files("service.ui").joinpath("static")
    return {
        entry.name: entry.read_bytes() for entry in folder.iterdir() if PurePosixPath(entry.name).suffix in _MEDIA_TYPES
    }


def _fingerprint(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(f"{name}\0{len(contents[name])}\0".encode())
        digest.update(contents[name])
    return digest.hexdigest()[:16]
