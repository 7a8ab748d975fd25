"""An answer of a web server as a document to store, with what the next scan needs to know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from ingestion.sources.origin import KnownItem, OriginDocument
from ingestion.sources.web import media
from ingestion.sources.web.client import Answer, http_date
from ingestion.sources.web.links import Page, directives_of, read_page
from ingestion.sources.web.urls import Site, path_of

_LINKS = "links"
_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
_MAX_VALIDATOR_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer holds. `document` is None if it is no document; `links` lie within the site."""

    document: OriginDocument | None
    revision: str
    state: dict[str, Any]
    links: tuple[str, ...]
    canonical: str | None
    may_be_indexed: bool


def read_answer(url: str, answer: Answer, site: Site, *, user_agent: str, follows_links: bool) -> Reading:
    """The content of a 200.

    The revision is a hash over type and body, so equal ones do promise equal content: not every server's ETag does.
    """
    content_type = answer.headers.get("content-type")
    essence = media.media_type(content_type)
    directives = directives_of(answer.headers.get("x-robots-tag", ""), user_agent.partition("/")[0])
    page = read_page(answer.body, media.charset(content_type)) if media.is_page(url, essence) else Page()
    directives |= page.directives
    links = _within(site, page, url) if follows_links and "nofollow" not in directives else ()
    base = urljoin(url, page.base or "")
    return Reading(
        document=_document(url, answer, essence),
        revision=hashlib.sha256(essence.encode() + b"\0" + answer.body).hexdigest()[:40],
        state=_state(answer, links if follows_links else None),
        links=links,
        canonical=site.locate(page.canonical, base) if page.canonical else None,
        may_be_indexed="noindex" not in directives,
    )


def validators(url: str, item: KnownItem | None, *, follows_links: bool = False) -> dict[str, str]:
    """Headers that ask for the content only if it has changed.

    Empty for a page whose links are wanted and not remembered: an answer without a body would not tell them.
    """
    if item is None or item.revision is None:
        return {}
    if follows_links and media.may_hold_links(url) and _LINKS not in item.state:
        return {}
    return {header: str(item.state[name]) for name, header in _VALIDATORS.items() if name in item.state}


def remembered_links(item: KnownItem, site: Site) -> list[str]:
    """The links that the page had when it was last fetched."""
    paths = str(item.state.get(_LINKS, "")).split()
    return [url for path in paths if (url := site.locate(site.origin + path)) is not None]


def _within(site: Site, page: Page, url: str) -> tuple[str, ...]:
    base = urljoin(url, page.base or "")
    found = (site.locate(link, base) for link in dict.fromkeys(page.links))
    return tuple(dict.fromkeys(link for link in found if link is not None and link != url))


def _state(answer: Answer, links: Iterable[str] | None) -> dict[str, Any]:
    state: dict[str, Any] = {
        name: value
        for name in _VALIDATORS
        if (value := answer.headers.get(name)) and value.isascii() and len(value) <= _MAX_VALIDATOR_LENGTH
    }
    if links is not None:
        state[_LINKS] = " ".join(map(path_of, links))
    return state


def _document(url: str, answer: Answer, essence: str) -> OriginDocument | None:
    name = media.file_name(url, essence)
    if name is None:
        return None
    return OriginDocument(
        uri=url, name=name, data=answer.body, media_type=essence or None, modified_at=_modified_at(answer)
    )


def _modified_at(answer: Answer) -> datetime | None:
    try:
        return http_date(answer.headers["last-modified"])
    except (KeyError, ValueError):
        return None
