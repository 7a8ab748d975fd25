"""What a site's robots.txt asks of this crawler (RFC 9309)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from ingestion.errors import DocumentRejected, SourceUnavailable
from ingestion.sources.web.client import Answer, Client
from ingestion.sources.web.urls import normalised

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_MAX_BYTES = 5_000_000
_PROBED_BYTES = 50_000_000
_READ_BYTES = 512_000
_LONGEST_DELAY_S = 30.0


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one origin. `delay_s` is at most 30 s, however much the site asks for."""

    parsed: Protego
    user_agent: str

    def allows(self, url: str) -> bool:
        return self.parsed.can_fetch(url, self.user_agent)

    @property
    def delay_s(self) -> float:
        return min(self.parsed.crawl_delay(self.user_agent) or 0.0, _LONGEST_DELAY_S)

    @property
    def sitemaps(self) -> list[str]:
        return [url for written in self.parsed.sitemaps if (url := normalised(written)) is not None]


def read_rules(client: Client, origin: str, user_agent: str) -> Rules:
    """The rules of an origin (`https://host`); a site without the file (4xx) allows everything.

    Raises: SourceUnavailable if it is not known what they are: the site is then taken to forbid everything.
    """
    url = f"{origin}/robots.txt"
    try:
        answer = follow(client, url, limit=_MAX_BYTES)
    except DocumentRejected as error:
        raise SourceUnavailable(f"{url} can't be read, so nothing may be fetched: {error.detail}") from error
    if answer.status == 200:
        text = answer.body[:_READ_BYTES].decode("utf-8-sig", "replace")
    elif 300 <= answer.status < 500 and answer.status != 429:
        text = ""
    else:
        raise SourceUnavailable(f"{url} answers {answer.status}, so nothing may be fetched until it can be read")
    return Rules(Protego.parse(text), user_agent)


def made_safe(client: Client, url: str) -> str:
    """The https address that an http one redirects to on the same host, if it does, else the address itself.

    Raises: DocumentRejected.
    """
    if not url.startswith("http:"):
        return url
    answer = client.get(url, limit=_PROBED_BYTES)
    target = normalised(answer.headers.get("location", ""), url) if answer.status in REDIRECTS else None
    safe = target is not None and target.startswith("https:") and urlsplit(target).hostname == urlsplit(url).hostname
    return target if target is not None and safe else url


def follow(client: Client, url: str, *, limit: int) -> Answer:
    """The answer at the end of at most five redirects, to any host whose addresses pass; else the last redirect.

    Raises: DocumentRejected.
    """
    for _ in range(MAX_REDIRECTS):
        answer = client.get(url, limit=limit)
        target = normalised(answer.headers.get("location", ""), url)
        if answer.status not in REDIRECTS or target is None or _downgraded(url, target):
            return answer
        url = target
    return client.get(url, limit=limit)


def _downgraded(url: str, target: str) -> bool:
    return urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http"
