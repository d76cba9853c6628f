"""Who asks, where a proxy stands before `smfs serve`: X-Forwarded-For and X-Forwarded-Proto."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, TypeAlias

from smfs.cli.serve_options import Network

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
_Ip: TypeAlias = IPv4Address | IPv6Address

_SCHEMES: Final = (b"http", b"https")


class TrustedProxies:
    """An ASGI application that believes the headers of certain proxies, and of nobody else.

    Every proxy adds behind what it was sent. So the last address that is no proxy's is the one of
    the client; what stands before it the client itself may have made up. Unlike uvicorn's own
    middleware, this one takes nothing for an address that is none.

    Args:
        application: what is asked in the end.
        networks: of the proxies.
    """

    def __init__(self, application: Application, networks: Sequence[Network]) -> None:
        self._application = application
        self._networks = networks

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "http" and scope.get("client"):
            peer = _address(scope["client"][0])
            if peer is not None and self._trusts(peer):
                self._believe(scope, peer)
        await self._application(scope, receive, send)

    def _trusts(self, address: _Ip) -> bool:
        return any(address in network for network in self._networks)

    def _believe(self, scope: Message, peer: _Ip) -> None:
        # A proxy may add to the line it was sent, or a line of its own behind it.
        client = self._client(peer, _items(scope, b"x-forwarded-for"))
        if client != peer:
            scope["client"] = (str(client), 0)
        scheme = next(_items(scope, b"x-forwarded-proto"), b"").lower()
        if scheme in _SCHEMES:
            scope["scheme"] = scheme.decode()

    def _client(self, peer: _Ip, hops: Iterator[bytes]) -> _Ip:
        """The first that is not trusted, from the nearest on; what is no address ends the way."""
        nearest = peer
        for hop in hops:
            address = _address(hop.decode("latin-1"))
            if address is None:
                break
            nearest = address
            if not self._trusts(address):
                break
        return nearest


def _items(scope: Message, name: bytes) -> Iterator[bytes]:
    """The parts of all headers of a name, the last one first."""
    lines = [value for each, value in scope["headers"] if each == name]
    return (part.strip() for line in reversed(lines) for part in reversed(line.split(b",")))


def _address(text: str) -> _Ip | None:
    """An address, with or without a port; one of IPv4 that is dressed up as IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
