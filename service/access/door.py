"""Who gets in: a key where one exists, else only callers on this machine."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingestion.errors import ConfigurationError
from service.access.keys import Keys
from service.access.principals import KEYLESS, Principal
from service.errors import Forbidden, Unauthenticated

REMEMBERED_S = 1.0
_REMEMBERED_CALLERS = 1024
_BEARER = "bearer "


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address can only be this machine."""
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from and what it says about itself; None for a header or address that is absent.

    `server` is the address that the connection was accepted on, `host` and `origin` are the headers.
    """

    client: str | None
    server: str | None
    host: str | None = None
    origin: str | None = None
    authorization: str | None = None


class Door:
    """Turns a caller into a principal, or away. `listens_on` is the address in the settings.

    Who was let in is remembered for REMEMBERED_S, so that not every request asks the database: that long a key
    that was revoked in another process may still open. Safe from several threads.
    """

    def __init__(self, keys: Keys, listens_on: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._listens_on = listens_on
        self._clock = clock
        self._admitted: dict[Caller, tuple[float, Principal]] = {}

    def check_start(self) -> None:
        """Raises: ConfigurationError if no key exists and others could reach the listening address."""
        if not is_loopback(self._listens_on) and not self._keys.are_required():
            raise ConfigurationError(
                f"refusing to listen on {self._listens_on} without an API key: anyone who reaches it could read and "
                "change everything. Make a key (`plumbline keys create NAME`), or listen on 127.0.0.1."
            )

    def remembered(self, caller: Caller) -> Principal | None:
        """The principal of a caller that was let in a moment ago. Does not block."""
        until, principal = self._admitted.get(caller, (0.0, None))
        return principal if self._clock() < until else None

    def admit(self, caller: Caller) -> Principal:
        """Raises: Unauthenticated; Forbidden for what a web page of another origin sends to a keyless service."""
        principal = self._examine(caller)
        if len(self._admitted) >= _REMEMBERED_CALLERS:
            self._admitted.clear()
        self._admitted[caller] = (self._clock() + REMEMBERED_S, principal)
        return principal

    def _examine(self, caller: Caller) -> Principal:
        if caller.authorization is not None:
            if not caller.authorization.lower().startswith(_BEARER):
                raise Unauthenticated("the Authorization header must be `Bearer <key>`")
            return self._keys.recognise(caller.authorization[len(_BEARER) :].strip())
        if self._keys.are_required():
            raise Unauthenticated("a key is needed: send `Authorization: Bearer <key>`")
        if not all(is_loopback(address) for address in (self._listens_on, caller.server, caller.client)):
            raise Unauthenticated("without an API key this service answers only on a loopback address")
        self._refuse_other_origins(caller)
        return KEYLESS

    @staticmethod
    def _refuse_other_origins(caller: Caller) -> None:
        # A browser on this machine may be made to call us by any page it shows: by name (DNS rebinding: the Host
        # header is then not ours) or by address (a form or script: the Origin header is then not ours).
        if not is_loopback(_hostname(caller.host)):
            raise Forbidden("without an API key the Host header must name a loopback address")
        if caller.origin is not None and _authority(caller.origin) != caller.host:
            raise Forbidden("without an API key, pages of another origin may not call this service")


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _hostname(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname if host else None
    except ValueError:
        return None
