"""Addresses of pages: one spelling for each, and whether it lies within the site."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

MAX_URL_LENGTH = 2000
_MAX_SEGMENTS = 30
_MAX_REPEATS = 3
_MAX_PARAMETERS = 12

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
# What says how a reader came here, not what is shown.
_TRACKING = re.compile(
    r"(utm_[a-z_]+|gclid|dclid|fbclid|msclkid|yclid|mc_cid|mc_eid|_ga|_gl|phpsessid|jsessionid)(=.*)?", re.IGNORECASE
)


def normalised(url: str, base: str | None = None) -> str | None:
    """The one spelling of an http or https address, without its fragment; None if it is none, or carries credentials.

    `base` is the address that it is relative to. Two spellings that the standard holds equal (RFC 3986, section 6.2.2
    and 6.2.3) come out the same, and so do those that differ in tracking parameters alone.
    """
    if len(url) > 2 * MAX_URL_LENGTH:
        return None
    try:
        parts = urlsplit(urljoin(base or "", _CONTROLS.sub("", url).strip()))
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or "@" in parts.netloc or not parts.hostname:
        return None
    host = _ascii_host(parts.hostname)
    if host is None:
        return None
    path = _without_dots(_escaped(parts.path.replace("\\", "/"), "/:@!$&'()*+,;=~-._%")) or "/"
    kept = [part for part in parts.query.split("&") if part and not _TRACKING.fullmatch(part)]
    query = _escaped("&".join(kept), "/:@!$&'()*+,;=~-._%?[]")
    authority = host if port is None or port == _PORTS[parts.scheme] else f"{host}:{port}"
    whole = f"{parts.scheme}://{authority}{path}" + (f"?{query}" if query else "")
    return whole if len(whole) <= MAX_URL_LENGTH else None


def looks_endless(url: str) -> bool:
    """Whether an address has the shape of those that a site makes up without end."""
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    if len(segments) > _MAX_SEGMENTS or parts.query.count("&") >= _MAX_PARAMETERS:
        return True
    return bool(segments) and max(Counter(segments).values()) > _MAX_REPEATS


@dataclass(frozen=True, slots=True)
class Site:
    """Scheme, host and port of a start address, and the folder that it lies in."""

    origin: str
    folder: str

    @classmethod
    def of(cls, url: str) -> Site:
        """The site of a normalised address. Its folder reaches to the last slash of the path."""
        parts = urlsplit(url)
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path[: parts.path.rindex("/") + 1])

    @property
    def host(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @property
    def address(self) -> str:
        return self.origin + self.folder

    def locate(self, url: str, base: str | None = None) -> str | None:
        """The normalised address if it lies within the site, else None."""
        found = self.on_host(url, base)
        return found if found is not None and urlsplit(found).path.startswith(self.folder) else None

    def on_host(self, url: str, base: str | None = None) -> str | None:
        """The normalised address if it is on the same host, whatever the folder.

        Where the host has both schemes on their own ports, an address of the other one is taken for one of this.
        """
        if base is not None and base.startswith(self.origin + "/") and _PLAIN_PATH.fullmatch(url):
            # Most links by far, and a tenth of the time.
            return self.origin + url if len(self.origin + url) <= MAX_URL_LENGTH else None
        found = normalised(url, base)
        if found is None:
            return None
        if found.startswith(self.origin + "/"):
            return found
        parts, own = urlsplit(found), urlsplit(self.origin)
        if parts.netloc == own.netloc and parts.port is None and own.port is None:
            return own.scheme + found[len(parts.scheme) :]
        return None


def path_of(url: str) -> str:
    """Path and query of a normalised address: what is left to say within a site."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _ascii_host(host: str) -> str | None:
    """Host in lower case, as the name service knows it; None if it can't be one."""
    if ":" in host:
        host = f"[{host}]"
    try:
        host = host.lower() if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    host = host.rstrip(".")
    return host if _HOST.fullmatch(host) else None


def _escaped(text: str, safe: str) -> str:
    """Percent-encoding as the standard has it: needed ones only, in capitals."""
    text = _BARE_PERCENT.sub("%25", text)
    text = _ESCAPE.sub(lambda found: _plain_or_upper(found[1]), text)
    return quote(text, safe=safe)


def _plain_or_upper(digits: str) -> str:
    char = chr(int(digits, 16))
    return char if char in _UNRESERVED else f"%{digits.upper()}"


def _without_dots(path: str) -> str:
    """The path without `.` and `..` (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == ".." and kept:
            kept.pop()
        if segment not in (".", ".."):
            kept.append(segment)
        elif last:
            kept.append("")
    return "/" + "/".join(kept)
