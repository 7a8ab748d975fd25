"""Running text of an HTML page: its words with the addresses that links lead to."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urljoin

from selectolax.lexbor import LexborNode

from ingestion.parsing.building import clean, squeeze

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_FOLLOWED = frozenset({"http", "https", "ftp", "ftps", "mailto", "tel", "ssh", "git", "sftp"})
_TRIMMED = re.compile(r"\A(?:https?://(?:www\.)?|mailto:|tel:)|/\Z", re.IGNORECASE)
_LONGEST_ADDRESS = 1000
_INTERNAL = frozenset({"internal", "headerlink", "anchor", "anchor-link", "footnote-ref", "footnote-back"})


@dataclass(slots=True)
class Inline:
    """Text that is being gathered. A link becomes `its words (address)`, unless its words are the address."""

    base: str = ""
    parts: list[str] = field(default_factory=list)
    _links: list[tuple[str, int]] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.parts.append(text)

    def open_link(self, node: LexborNode) -> None:
        self._links.append((link_target(node, self.base), len(self.parts)))

    def close_link(self) -> str:
        """Address of a link that has no words in this text any more, because a block ended within it; else empty."""
        address, start = self._links.pop()
        if not address:
            return ""
        if start < 0:
            return address
        words = squeeze("".join(self.parts[start:]).replace("\0", " "))
        if words and not _says(words, address):
            self.parts.append(f" ({address})")
        return ""

    def drop_link(self) -> str:
        """Address of a link whose words stay alone."""
        return self._links.pop()[0]

    def take(self) -> str:
        """The text so far, which is forgotten; `\\0` stands for a line break."""
        text = "".join(self.parts)
        self.parts.clear()
        self._links[:] = [(address, -1) for address, _ in self._links]
        return text.replace("\n", " ").replace("\r", " ")


def link_target(node: LexborNode, base: str) -> str:
    """The address that a link leads to, complete as far as the page says; empty for places within the page."""
    attributes = node.attributes
    return shown_address(
        attributes.get("href") or "", base, internal=not _INTERNAL.isdisjoint((attributes.get("class") or "").split())
    )


def shown_address(href: str, base: str = "", *, internal: bool = False) -> str:
    """An address as the text may show it; empty if it leads nowhere that a reader could go."""
    address = "".join(squeeze(clean(href)).split())
    if not address or address.startswith("#") or len(address) > _LONGEST_ADDRESS:
        return ""
    scheme = _SCHEME.match(address)
    if scheme:
        return address if scheme.group(1).lower() in _FOLLOWED else ""
    if internal:
        return ""
    with suppress(ValueError):
        address = urljoin(base, address) if base else address
    return address


def with_address(words: str, address: str) -> str:
    """The words of a link, followed by its address unless they are that."""
    return f"{words} ({address})" if address and words.strip() and not _says(squeeze(words), address) else words


def _says(words: str, address: str) -> bool:
    return _TRIMMED.sub("", words).casefold() == _TRIMMED.sub("", address).casefold()
