"""Connections that only go to checked addresses and end at a deadline; what is sent over them is left to httpcore."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore
from httpcore import SOCKET_OPTION, NetworkBackend, NetworkStream

from ingestion.sources.addresses import Resolve, checked_addresses


class Deadline:
    """The end of the request that is under way: a server that answers a byte at a time does not move it."""

    def __init__(self) -> None:
        self._end = time.monotonic()

    def start(self, timeout_s: float) -> None:
        self._end = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Raises: httpcore.ReadTimeout if nothing is left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer took too long")
        return left


class GuardedBackend(NetworkBackend):
    """Resolves a host, checks all its addresses, and connects to one of those: a later answer of the name is not asked.

    The name itself stays with the request, for the Host header and the certificate.
    """

    def __init__(self, allowed_hosts: Sequence[str], resolve: Resolve, deadline: Deadline) -> None:
        self._allowed_hosts = tuple(allowed_hosts)
        self._resolve = resolve
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        try:
            addresses = checked_addresses(host, port, self._allowed_hosts, self._resolve)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} can't be resolved") from error
        options = tuple(socket_options or ())
        for address in addresses[:-1]:
            # Half of the time left for each but the last: one family of addresses may be dead.
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._deadline.remaining_s() / 2, local_address, options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
            return _BoundedStream(stream, self._deadline)
        last = self._inner.connect_tcp(addresses[-1], port, self._deadline.remaining_s(), local_address, options)
        return _BoundedStream(last, self._deadline)


class _BoundedStream(NetworkStream):
    """A stream whose every wait ends at the deadline."""

    def __init__(self, inner: NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.remaining_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.remaining_s())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, self._deadline.remaining_s())
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
