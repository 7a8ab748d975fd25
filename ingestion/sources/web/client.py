"""One request at a time: paced, limited in time and size, tried again where that may help.

Redirects are answers here, not followed; there are no cookies, credentials or proxies. What an answer means is left
to the crawl.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpcore

from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.settings import SourcesSettings
from ingestion.sources.addresses import Resolve
from ingestion.sources.web.connecting import Deadline, GuardedBackend

Pause = Callable[[float], None]

_ATTEMPTS = 3
_BACKOFF_S = 1.0
_LONGEST_WAIT_S = 30.0
_DRAINED_BYTES = 65_536
_BUSY = frozenset({429, 502, 503, 504})
_ACCEPT = "text/html, application/xhtml+xml, application/pdf;q=0.9, text/*;q=0.9, */*;q=0.8"
_DECODED = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. Header names are in lower case; the body is decoded, and empty unless the status is 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def busy(self) -> bool:
        """Whether the server, or one before it, is too busy or down rather than without this page."""
        return self.status in _BUSY


class Client:
    """Asks one server politely. `delay_s` may be raised once robots.txt has been read."""

    def __init__(self, settings: SourcesSettings, *, delay_s: float, resolve: Resolve, pause: Pause) -> None:
        self.delay_s = delay_s
        self._settings = settings
        self._pause = pause
        self._deadline = Deadline()
        self._asked_at: float | None = None
        backend = GuardedBackend(settings.allowed_hosts, resolve, self._deadline)
        self._pool = httpcore.ConnectionPool(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0, network_backend=backend
        )

    def get(self, url: str, *, limit: int, validators: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET, after some tries if the server is busy or does not answer.

        Raises:
            DocumentRejected: FORBIDDEN_ADDRESS; TOO_LARGE for a body over `limit` bytes, packed or unpacked; TIMEOUT;
                FETCH_FAILED for everything else that is not an answer.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            wait_s: float | None = _BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
            try:
                answer = self._ask(url, limit, validators or {})
            except httpcore.TimeoutException as error:
                if attempt > 1:
                    detail = f"No whole answer within {self._settings.timeout_s:g} s."
                    raise DocumentRejected(RejectionCode.TIMEOUT, detail) from error
            except (httpcore.NetworkError, httpcore.ProtocolError, zlib.error) as error:
                if last:
                    raise DocumentRejected(RejectionCode.FETCH_FAILED, f"The server can't be read: {error}.") from error
            else:
                if not answer.busy or last:
                    return answer
                wait_s = _asked_wait(answer.headers.get("retry-after"), otherwise_s=wait_s)
                if wait_s is None:
                    return answer
            self._pause(wait_s or 0.0)
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        self._pool.close()

    def _ask(self, url: str, limit: int, validators: Mapping[str, str]) -> Answer:
        self._keep_pace()
        self._deadline.start(self._settings.timeout_s)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        address = httpcore.URL(
            scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target.encode("ascii")
        )
        headers: list[tuple[bytes | str, bytes | str]] = [
            ("Host", parts.netloc),
            ("User-Agent", self._settings.user_agent),
            ("Accept", _ACCEPT),
            ("Accept-Encoding", "gzip"),
            *validators.items(),
        ]
        with self._pool.stream("GET", address, headers=headers) as response:
            fields: dict[str, str] = {}
            for raw_name, raw_value in response.headers:
                name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
            pieces = response.iter_stream()
            if response.status == 200:
                return Answer(response.status, fields, _body(pieces, fields, limit))
            _drain(pieces)
            return Answer(response.status, fields, b"")

    def _keep_pace(self) -> None:
        if self._asked_at is not None:
            early_s = self._asked_at + self.delay_s - time.monotonic()
            if early_s > 0:
                self._pause(early_s)
        self._asked_at = time.monotonic()


def _drain(pieces: Iterable[bytes]) -> None:
    """Read a short body that nobody wants, so that the connection can be used again."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > _DRAINED_BYTES:
            return


def _body(pieces: Iterable[bytes], headers: Mapping[str, str], limit: int) -> bytes:
    """The decoded body, of which no more than `limit` bytes are ever held."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in _DECODED:
        pieces = unpacked(pieces, limit)
    elif encoding != "identity":
        raise DocumentRejected(RejectionCode.FETCH_FAILED, f"The answer is packed as {encoding!r}, unasked.")
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def unpacked(pieces: Iterable[bytes], limit: int) -> Iterable[bytes]:
    """Gzip or zlib data as it was before, in pieces, at most one byte more than `limit` in all.

    Raises: zlib.error if it is damaged or cut short.
    """
    decoder = zlib.decompressobj(wbits=47)
    given, total = False, 0
    for piece in pieces:
        while piece and total <= limit:
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=47)
            given = True
            plain = decoder.decompress(piece, limit + 1 - total)
            total += len(plain)
            yield plain
            piece = decoder.unused_data or decoder.unconsumed_tail
    if given and not decoder.eof and total <= limit:
        raise zlib.error("the packed answer is cut short")


def _asked_wait(retry_after: str | None, *, otherwise_s: float | None) -> float | None:
    """Seconds that a busy server asks to wait; None if that is longer than a scan should stand still."""
    if retry_after is None:
        return otherwise_s
    if retry_after.strip().isdecimal():
        wait_s = float(retry_after)
    else:
        try:
            wait_s = (http_date(retry_after) - datetime.now(UTC)).total_seconds()
        except ValueError:
            return otherwise_s
    return None if wait_s > _LONGEST_WAIT_S else max(0.0, wait_s)


def http_date(text: str) -> datetime:
    """The time of a header. Raises: ValueError."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text[:100]!r} is out of range") from error


def _too_large(limit: int) -> DocumentRejected:
    detail = f"The answer is larger than {limit} bytes; for documents PLUMBLINE_PARSING__MAX_BYTES sets the limit."
    return DocumentRejected(RejectionCode.TOO_LARGE, detail)
