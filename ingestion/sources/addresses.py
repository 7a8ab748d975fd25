"""Which hosts a source may reach: public addresses, and private ones only where the setting allows them.

The check is of no use unless the connection then goes to an address that was checked: whoever connects sees to that.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from ingestion.errors import DocumentRejected, RejectionCode

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Host name and port to addresses. Raises: OSError if the name has none."""

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Tunnels, protocol assignments and documentation ranges that `is_global` lets pass in some versions of Python.
_NEVER = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("2001:db8::/32"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("3fff::/20"),
)


def resolve(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver gives for a name, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def checked_addresses(
    host: str, port: int, allowed_hosts: Sequence[str], resolve: Resolve = resolve
) -> tuple[str, ...]:
    """The addresses of a host, all of them public or allowed. `allowed_hosts`: names, addresses and networks.

    One forbidden address among several forbids the host: which of them is reached is not for its owner to choose.

    Raises:
        DocumentRejected: FORBIDDEN_ADDRESS.
        OSError: the name has no address.
    """
    named = host.strip("[]").rstrip(".").lower()
    addresses = tuple(resolve(named, port))
    if not addresses:
        raise OSError(f"{named} has no address")
    if named in {entry.rstrip(".").lower() for entry in allowed_hosts}:
        return addresses
    networks = _networks(allowed_hosts)
    for text in addresses:
        address = _reached(ipaddress.ip_address(text))
        if not (_is_public(address) or any(address in network for network in networks)):
            raise DocumentRejected(
                RejectionCode.FORBIDDEN_ADDRESS,
                f"{named} is at {text}, which is not a public address. If it may be read, name the host or its network "
                "in PLUMBLINE_SOURCES__ALLOWED_HOSTS.",
            )
    return addresses


def _reached(address: Address) -> Address:
    """Where a packet to it ends: the IPv4 address that is packed into some IPv6 addresses."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _GLOBAL_UNICAST and address.is_global
    return address.is_global and not address.is_multicast and not address.is_reserved


def _networks(entries: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Those of the entries that are addresses or networks; the others are names."""
    networks = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            continue
    return networks
