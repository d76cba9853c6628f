"""Who asks, as far as an address tells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from smfs.service.http import Message

_LONGEST: Final = 64  # characters; a proxy may hand on anything as an address
_UNKNOWN: Final = "unknown"
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})


def host_of(scope: Message) -> str:
    """The client's address; empty where there is none, as behind a socket that is a file."""
    client = scope.get("client")
    if not client or not client[0]:
        return ""
    return client[0] if len(client[0]) <= _LONGEST else _UNKNOWN


@lru_cache(maxsize=16_384)
def client_key(host: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one IPv6 customer has."""
    address = _parsed(host)
    if address is None:
        return _UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), 64), strict=False))


def is_this_machine(host: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether it is asked from this machine, and not by a proxy on it for somebody else."""
    address = _parsed(host)
    return address is not None and address.is_loopback and _FORWARDED.isdisjoint(headers)


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
