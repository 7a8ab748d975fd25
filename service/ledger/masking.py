"""What may be kept of the words that people wrote: them without secrets, whether they are equal, or nothing."""

from __future__ import annotations

import hashlib
import hmac
import re

from service.settings import Content, LedgerSettings

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


class Masker:
    """Masks, hashes or drops, as the settings say. Safe from several threads. `secret` keys the hashes."""

    def __init__(self, settings: LedgerSettings, secret: bytes) -> None:
        self._settings = settings
        self._secret = secret

    def content(self, text: str) -> str | None:
        """The words as they may be kept; None: not at all."""
        if self._settings.content is not Content.KEEP:
            return None
        return _EMAIL.sub("[e-mail]", text) if self._settings.mask else text

    def digest(self, text: str) -> str | None:
        """The same for questions that differ in case and white space only; None where not even that is kept."""
        if self._settings.content is Content.DROP:
            return None
        plain = " ".join(text.casefold().split())
        return hmac.new(self._secret, plain.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
