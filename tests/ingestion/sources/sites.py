"""A web source over a site on loopback, and the sightings of its scans by kind."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ingestion.settings import SourcesSettings
from ingestion.sources.definitions import WebOrigin
from ingestion.sources.origin import Fetched, Gone, Sighting, Unavailable, Unchanged
from ingestion.sources.web import Web
from tests.contracts.origins import Memory
from tests.ingestion.sources.servers import SiteServer

AGENT = "Plumbline/0.1"


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
