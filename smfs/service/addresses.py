"""Which addresses belong to the public internet, whatever they are dressed up as."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

_ENDING_IN_IPV4: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether anybody may be called there: neither this machine nor a network around it.

    An IPv6 address that stands for an IPv4 address is as public as that one.
    """
    if address.is_multicast or not address.is_global:
        return False
    return all(is_public(inner) for inner in _carried(address))


def _carried(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _ENDING_IN_IPV4):
        carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in carried if each is not None]
