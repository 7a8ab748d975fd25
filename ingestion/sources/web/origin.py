"""A web site as an origin: by its sitemap, or by the links of a start page."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ingestion.errors import DocumentRejected, SourceUnavailable
from ingestion.settings import SourcesSettings
from ingestion.sources.addresses import Resolve, resolve
from ingestion.sources.definitions import WebOrigin
from ingestion.sources.origin import Known, Sighting
from ingestion.sources.web.client import Client, Pause
from ingestion.sources.web.crawl import Crawl, Manner
from ingestion.sources.web.frontier import Lead
from ingestion.sources.web.robots import Rules, made_safe, read_rules
from ingestion.sources.web.sitemap import UnreadableSitemap, is_sitemap, sitemap_urls
from ingestion.sources.web.start import find_start
from ingestion.sources.web.urls import Site, normalised


class Web:
    """Scans a site. `max_bytes` is the largest document; `resolve` and `pause` are the system's unless a test says."""

    def __init__(
        self,
        definition: WebOrigin,
        *,
        settings: SourcesSettings,
        max_bytes: int,
        resolve: Resolve = resolve,
        pause: Pause = time.sleep,
    ) -> None:
        self._definition = definition
        self._user_agent = settings.user_agent
        self._max_bytes = max_bytes
        self._client = Client(settings, delay_s=definition.delay_s, resolve=resolve, pause=pause)

    def token(self) -> str | None:
        """None: a site has no state of its own that could be asked for."""
        return None

    def scan(self, known: Known) -> Iterator[Sighting]:
        """Every page of the site. A page is the item of the address that it has in the end; see the protocol."""
        url = normalised(self._definition.url)
        if url is None:
            raise SourceUnavailable(f"{self._definition.url} is not an address of a web page")
        self._client.delay_s = self._definition.delay_s
        if is_sitemap(url):
            yield from self._scan_sitemap(known, url)
        else:
            yield from self._scan_links(known, url)

    def close(self) -> None:
        self._client.close()

    def _scan_sitemap(self, known: Known, url: str) -> Iterator[Sighting]:
        try:
            url = made_safe(self._client, url)
        except DocumentRejected as error:
            raise SourceUnavailable(f"the sitemap {url} can't be had: {error.detail}") from error
        site = Site.of(url)
        rules = read_rules(self._client, site.origin, self._user_agent)
        crawl = self._crawl(known, url, site, rules)
        try:
            self._offer_named(crawl, site, rules, url)
        except UnreadableSitemap as error:
            raise SourceUnavailable(str(error)) from error
        yield from crawl.run()
        yield from crawl.finish()

    def _scan_links(self, known: Known, url: str) -> Iterator[Sighting]:
        """By links; then the pages that the sitemaps in robots.txt name and no link leads to."""
        start = find_start(self._client, known, url, user_agent=self._user_agent, max_bytes=self._max_bytes)
        crawl = self._crawl(known, start.url, start.site, start.rules)
        yield from crawl.begin(Lead(start.url, own=True), start.item, start.answer)
        yield from crawl.run()
        for sitemap in start.rules.sitemaps:
            if (named := start.site.on_host(sitemap)) is None:
                continue
            try:
                self._offer_named(crawl, start.site, start.rules, named)
            except UnreadableSitemap as error:
                if error.for_now:
                    crawl.note_missing("sitemap")
        yield from crawl.run()
        yield from crawl.finish()

    def _crawl(self, known: Known, start: str, site: Site, rules: Rules) -> Crawl:
        self._client.delay_s = max(self._definition.delay_s, rules.delay_s)
        manner = Manner(
            site=site,
            rules=rules,
            start=start,
            follows_links=not is_sitemap(start),
            include=self._definition.include,
            exclude=self._definition.exclude,
            max_pages=self._definition.max_pages,
            max_bytes=self._max_bytes,
        )
        return Crawl(self._client, known, manner)

    def _offer_named(self, crawl: Crawl, site: Site, rules: Rules, sitemap: str) -> None:
        """Offers what a sitemap names. Raises: UnreadableSitemap if the file itself can't be read."""
        for named in sitemap_urls(self._client, rules, site, sitemap):
            if isinstance(named, UnreadableSitemap):
                crawl.note_missing("sitemap")
            else:
                crawl.offer(named)
