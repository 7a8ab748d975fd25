"""The first page of a crawl: it must be there, within the site, and still be the page that it was."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ingestion.errors import DocumentRejected, SourceUnavailable
from ingestion.sources.origin import Known, KnownItem
from ingestion.sources.web.client import Answer, Client
from ingestion.sources.web.reading import read_answer, remembered_links, validators
from ingestion.sources.web.robots import MAX_REDIRECTS, REDIRECTS, Rules, read_rules
from ingestion.sources.web.urls import Site, normalised

_PERMANENT = frozenset({301, 308})
_SAMPLED = 3


@dataclass(frozen=True, slots=True)
class Start:
    """Where the start address led: the page with its answer, 200 or 304, and the site that it spans."""

    url: str
    site: Site
    rules: Rules
    item: KnownItem | None
    answer: Answer


def find_start(client: Client, known: Known, url: str, *, user_agent: str, max_bytes: int) -> Start:
    """The start page behind at most five redirects within its own host and folder.

    `/docs` that redirects to `/docs/` makes that the folder; without a redirect the folder of `/docs` is `/`.
    Raises: SourceUnavailable if it is not there, is forbidden, is elsewhere, or looks like a login page of late.
    """
    current, folder = url, Site.of(url).folder
    rules = read_rules(client, Site.of(url).origin, user_agent)
    for _ in range(MAX_REDIRECTS + 1):
        if not rules.allows(current):
            raise SourceUnavailable(f"robots.txt forbids {current}")
        item = known.get([current]).get(current)
        try:
            asked = validators(current, item, follows_links=True)
            answer = client.get(current, limit=max_bytes, validators=asked)
        except DocumentRejected as error:
            raise SourceUnavailable(f"the start page {current} can't be had: {error.detail}") from error
        if answer.status not in REDIRECTS:
            break
        target = _redirected(current, item, answer, folder)
        if Site.of(target).origin != Site.of(current).origin:
            rules = read_rules(client, Site.of(target).origin, user_agent)
        current = target
    if answer.status != 200 and not (answer.status == 304 and item is not None):
        raise SourceUnavailable(f"the start page {current} answers {answer.status}")
    if urlsplit(current).path == urlsplit(url).path + "/":
        folder = urlsplit(current).path
    start = Start(current, Site(Site.of(current).origin, folder), rules, item, answer)
    _check_same_page(client, start, max_bytes)
    return start


def _redirected(current: str, item: KnownItem | None, answer: Answer, folder: str) -> str:
    """Where the start page sends its readers, if the crawl may go there."""
    written = answer.headers.get("location", "")
    target = normalised(written, current)
    elsewhere = SourceUnavailable(
        f"the start page {current} redirects ({answer.status}) to {written[:300]}. If that is the site, add it as the "
        "source's address"
    )
    if target is None or (item is not None and answer.status not in _PERMANENT):
        raise elsewhere
    before, after = urlsplit(current), urlsplit(target)
    same_origin = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    made_safe = before.scheme == "http" and after.scheme == "https" and before.hostname == after.hostname
    if not (same_origin or made_safe) or not after.path.startswith(folder):
        raise elsewhere
    return target


def _check_same_page(client: Client, start: Start, max_bytes: int) -> None:
    """A start page without one of its former links, while those pages still answer, is a login or maintenance page.

    To believe it would be to find every other page gone. Raises: SourceUnavailable.
    """
    former = remembered_links(start.item, start.site) if start.item is not None else []
    if start.answer.status != 200 or len(former) < _SAMPLED:
        return
    reading = read_answer(start.url, start.answer, start.site, user_agent=start.rules.user_agent, follows_links=True)
    if not set(former).isdisjoint(reading.links):
        return
    for url in former[:_SAMPLED]:
        if not start.rules.allows(url):
            continue
        try:
            status = client.get(url, limit=max_bytes).status
        except DocumentRejected as error:
            raise SourceUnavailable(f"the start page {start.url} has lost its links: {error.detail}") from error
        if status not in (404, 410, *_PERMANENT):
            raise SourceUnavailable(
                f"the start page {start.url} has none of its former links, yet {url} answers {status}: a login or "
                "maintenance page? If the site was rebuilt, remove the source and add it again"
            )
