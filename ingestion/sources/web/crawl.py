"""One scan of a site: what each answer means for the item, and where to go next.

What could not be looked at stays: an error, a forbidden page, a redirect to a login page are never a deletion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import structlog

from ingestion.errors import DocumentRejected, RejectionCode, SourceUnavailable
from ingestion.sources.matching import PathMatcher
from ingestion.sources.origin import End, Fetched, Gone, Known, KnownItem, Sighting, Unavailable, Unchanged
from ingestion.sources.web import media
from ingestion.sources.web.client import Answer, Client
from ingestion.sources.web.frontier import Frontier, Lead
from ingestion.sources.web.reading import read_answer, remembered_links, validators
from ingestion.sources.web.robots import MAX_REDIRECTS, REDIRECTS, Rules
from ingestion.sources.web.urls import Site

log = structlog.get_logger(__name__)

_BATCH = 100
_BROKEN_IN_A_ROW = 5
_PERMANENT = frozenset({301, 308})
_INDEX = re.compile(r"/index\.html?$")
_GONE = frozenset({404, 410})
_NO_ACCESS = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Manner:
    """How one scan goes about. `start` is the address of the start page or sitemap."""

    site: Site
    rules: Rules
    start: str
    follows_links: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    max_pages: int
    max_bytes: int


class Crawl:
    """The state of one scan: addresses and counts, never bodies."""

    def __init__(self, client: Client, known: Known, manner: Manner) -> None:
        self._client = client
        self._known = known
        self._manner = manner
        self._allowed = PathMatcher((), manner.exclude)
        self._included = PathMatcher(manner.include, manner.exclude)
        self._frontier = Frontier(manner.max_pages)
        self._held: set[str] = set()
        self._had = 0
        self._unindexed = 0
        self._outside = 0
        self._moved: dict[str, str] = {}
        self._gone: list[str] = []
        self._doubles: set[str] = set()
        self._waiting: dict[str, list[Lead]] = {}
        self._folders: dict[str, tuple[str, str | None]] = {}
        self._broken = 0
        self._lost: dict[str, None] = {}
        self._missing: set[str] = set()

    def begin(self, lead: Lead, item: KnownItem | None, answer: Answer) -> Iterator[Sighting]:
        """Sightings of the start page, whose answer is at hand."""
        self._frontier.offer(lead)
        self._frontier.take(1)
        yield from self._judge(lead, item, answer)
        self._settle(lead)

    def offer(self, url: str) -> None:
        """Fetch this address too, if it lies within the site and the globs."""
        found = self._manner.site.locate(url)
        if found is None:
            self._outside += 1
        else:
            self._follow([found], depth=0)

    def note_missing(self, why: str) -> None:
        """The scan is incomplete: `why` names what could not be looked at, as a log key."""
        self._missing.add(why)

    def run(self) -> Iterator[Sighting]:
        """Sightings of everything that waits, and of what is found on the way.

        Raises: SourceUnavailable if the server answers none of several requests in a row.
        """
        while leads := self._frontier.take(_BATCH):
            items = self._known.get([lead.url for lead in leads])
            for lead in leads:
                yield from self._visit(lead, items.get(lead.url))
                self._settle(lead)

    def finish(self) -> Iterator[Sighting]:
        """What the whole scan showed to be gone, and its end.

        Raises: SourceUnavailable if not one item could be had, unless the site says of a page that it used to have
            that this is gone: a broken site is likelier than an empty one.
        """
        if not self._had and not self._was_emptied():
            raise SourceUnavailable(
                f"{self._manner.start}: not one document of the site could be had. {self._unindexed} pages ask not to "
                f"be indexed, {self._outside} addresses in sitemaps lie outside {self._manner.site.address}"
            )
        for url, target in self._moved.items():
            if self._arrives(target):
                yield Gone(url)
            else:
                yield _unavailable(url, RejectionCode.FETCH_FAILED, f"It moved to {target}, which can't be had.")
        yield from map(Gone, self._gone)
        yield from self._end()

    def _end(self) -> Iterator[Sighting]:
        if self._frontier.full:
            self._missing.add("max_pages")
        if self._frontier.too_deep:
            self._missing.add("depth")
        if self._missing:
            yield from self._probe()
            log.warning(
                "web_scan_incomplete",
                start=self._manner.start,
                missing=sorted(self._missing),
                max_pages=self._manner.max_pages,
            )
        yield End(complete=not self._missing)

    def _visit(self, lead: Lead, item: KnownItem | None) -> Iterator[Sighting]:
        if not self._manner.rules.allows(lead.url):
            if item is not None:
                yield self._keep(lead, item, "robots.txt forbids it now. What is indexed is as it was before.")
            return
        asked = validators(lead.url, item, follows_links=self._manner.follows_links)
        try:
            answer = self._client.get(lead.url, limit=self._manner.max_bytes, validators=asked)
        except DocumentRejected as error:
            unanswered = error.reason in (RejectionCode.TIMEOUT, RejectionCode.FETCH_FAILED)
            yield self._fail(lead, item, error, unanswered=unanswered)
        else:
            yield from self._judge(lead, item, answer)

    def _judge(self, lead: Lead, item: KnownItem | None, answer: Answer) -> Iterator[Sighting]:
        """What an answer says of the item."""
        if answer.status == 200:
            self._broken = 0
            yield from self._read(lead, item, answer)
        elif answer.status == 304 and item is not None:
            self._broken = 0
            self._had += 1
            self._held.add(lead.url)
            self._is_index_twice(lead.url, item.revision)
            self._recall(lead, item)
            yield Unchanged(lead.url)
        elif answer.status in REDIRECTS:
            self._broken = 0
            yield from self._redirect(lead, item, answer)
        elif answer.status in _GONE:
            self._broken = 0
            if item is not None:
                self._gone.append(lead.url)
                self._lose(item)
        elif answer.status in _NO_ACCESS and item is None:
            # Never had, so nothing hangs on it: a page for members must not keep the scan from ever being complete.
            yield _unavailable(lead.url, RejectionCode.FETCH_FAILED, f"The server answers {answer.status}.")
        else:
            refused = DocumentRejected(RejectionCode.FETCH_FAILED, f"The server answers {answer.status}.")
            yield self._fail(lead, item, refused, unanswered=answer.busy)

    def _read(self, lead: Lead, item: KnownItem | None, answer: Answer) -> Iterator[Sighting]:
        manner = self._manner
        reading = read_answer(
            lead.url,
            answer,
            manner.site,
            user_agent=manner.rules.user_agent,
            follows_links=manner.follows_links,
        )
        self._follow(reading.links, depth=lead.depth + 1)
        if item is not None:
            self._lose(item)
        if not reading.may_be_indexed:
            self._unindexed += 1
            if item is not None:
                self._gone.append(lead.url)
            return
        if reading.document is None or not self._included.takes(_matched(lead.url)):
            return
        if reading.canonical is not None and self._is_double(lead, reading.canonical):
            return
        if self._is_index_twice(lead.url, reading.revision):
            return
        self._had += 1
        self._held.add(lead.url)
        if item is not None and item.revision == reading.revision and dict(item.state) == reading.state:
            yield Unchanged(lead.url)
        else:
            yield Fetched(lead.url, reading.document, reading.revision, reading.state)

    def _redirect(self, lead: Lead, item: KnownItem | None, answer: Answer) -> Iterator[Sighting]:
        """The target is an item of its own. A page that is only sent elsewhere for now, or off the site, stays."""
        written = answer.headers.get("location", "")
        target = self._manner.site.locate(written, lead.url) if written else None
        if target is not None and target != lead.url and lead.hops < MAX_REDIRECTS:
            self._follow([target], depth=lead.depth, hops=lead.hops + 1)
            if item is not None and answer.status in _PERMANENT:
                self._moved[lead.url] = target
                self._recall(lead, item)
                return
        if item is not None:
            yield self._keep(lead, item, f"It redirects ({answer.status}) to {written[:300]}.")

    def _is_double(self, lead: Lead, canonical: str) -> bool:
        """Whether the page is to be left out for the one that it calls canonical.

        It is taken back in if that one can't be had. A canonical start page is not believed from below: it is the
        known mistake of templates.
        """
        if canonical == lead.url or lead.own or canonical in self._doubles:
            return False
        if canonical == self._manner.start and urlsplit(canonical).path != urlsplit(lead.url).path:
            return False
        self._follow([canonical], depth=lead.depth)
        if canonical not in self._held:
            if not self._frontier.waits(canonical):
                return False
            self._waiting.setdefault(canonical, []).append(lead)
        self._doubles.add(lead.url)
        return True

    def _is_index_twice(self, url: str, revision: str | None) -> bool:
        """Whether the page was met before: as `docs/` if it is `docs/index.html`, or the other way round."""
        folder = _INDEX.sub("/", url)
        if not folder.endswith("/"):
            return False
        first, content = self._folders.setdefault(folder, (url, revision))
        return first != url and content == revision

    def _settle(self, lead: Lead) -> None:
        """The outcome of an address is known: pages that left its place to it come back if it is not there."""
        self._frontier.done(lead.url)
        for double in self._waiting.pop(lead.url, ()):
            if lead.url not in self._held:
                self._frontier.again(Lead(double.url, double.depth, double.hops, own=True))

    def _follow(self, urls: Iterable[str], *, depth: int, hops: int = 0) -> None:
        for url in urls:
            if self._frontier.met(url):
                continue
            path = _matched(url)
            if self._allowed.takes(path) and (media.may_hold_links(url) or self._included.takes(path)):
                self._frontier.offer(Lead(url, depth, hops))

    def _recall(self, lead: Lead, item: KnownItem | None) -> None:
        if item is not None and self._manner.follows_links:
            self._follow(remembered_links(item, self._manner.site), depth=lead.depth + 1)

    def _keep(self, lead: Lead, item: KnownItem, detail: str) -> Unavailable:
        """A page that the site does not give any more, and does not call gone: its links are those of before."""
        self._held.add(lead.url)
        self._recall(lead, item)
        return _unavailable(lead.url, RejectionCode.FETCH_FAILED, detail)

    def _fail(self, lead: Lead, item: KnownItem | None, why: DocumentRejected, *, unanswered: bool) -> Unavailable:
        """A page that could not be had, and whose present links are therefore unknown."""
        self._broken = self._broken + 1 if unanswered else 0
        if self._broken >= _BROKEN_IN_A_ROW:
            raise SourceUnavailable(f"{self._manner.site.host} does not answer any more: {why.detail}")
        if item is not None:
            self._held.add(lead.url)
        if self._manner.follows_links and media.may_hold_links(lead.url):
            self._missing.add("pages")
        self._recall(lead, item)
        return _unavailable(lead.url, why.reason, why.detail)

    def _was_emptied(self) -> bool:
        """Whether a page that was had before, and that nothing leads to any more, is gone."""
        sample = self._known.sample()
        if sample is None or self._frontier.met(sample.key):
            return False
        if self._manner.site.locate(sample.key) is None or not self._manner.rules.allows(sample.key):
            return False
        try:
            return self._client.get(sample.key, limit=self._manner.max_bytes).status in _GONE
        except DocumentRejected:
            return False

    def _lose(self, item: KnownItem) -> None:
        """Note the links that a page had: some may have gone from it, and with them the pages that they led to."""
        for url in remembered_links(item, self._manner.site):
            if len(self._lost) < self._manner.max_pages and not self._frontier.met(url):
                self._lost[url] = None

    def _probe(self) -> Iterator[Gone]:
        """Of the pages that no link leads to any more, those of which the server says that they are gone.

        An incomplete scan must not take the others for gone; so one page that always fails would keep all deleted
        pages. Stops at the first sign of trouble.
        """
        asked: set[str] = set()
        while waiting := [url for url in self._lost if url not in asked and not self._frontier.met(url)][:_BATCH]:
            asked.update(waiting)
            for url, item in self._known.get(waiting).items():
                if not self._manner.rules.allows(url):
                    continue
                try:
                    answer = self._client.get(url, limit=self._manner.max_bytes, validators=validators(url, item))
                except DocumentRejected:
                    return
                if answer.busy:
                    return
                if answer.status in _GONE:
                    self._lose(item)
                    yield Gone(url)

    def _arrives(self, target: str) -> bool:
        for _ in range(MAX_REDIRECTS + 1):
            if target in self._held:
                return True
            if target not in self._moved:
                return False
            target = self._moved[target]
        return False


def _unavailable(url: str, code: RejectionCode, detail: str) -> Unavailable:
    return Unavailable(url, url, code, detail)


def _matched(url: str) -> str:
    """The path of an address as globs see it."""
    return unquote(urlsplit(url).path).lstrip("/")
