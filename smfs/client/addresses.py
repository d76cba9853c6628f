"""The service's address: one normal form, so that `<address>/<route>` is always right."""

from __future__ import annotations

import ipaddress
from typing import Final

import httpx

from smfs.errors import InvalidInput

_LAST_PORT: Final = 65535
_LABEL: Final = 63  # bytes of one part of a host's name (RFC 1035)


def normalise_url(server_url: str) -> str:
    """The address without a final slash (PROTOCOL.md section 1: `//getSecret` is a 404).

    Args:
        server_url: `http://…` or `https://…`, with or without a path in front of the routes.

    Raises:
        InvalidInput: when it is no such address, or holds a user, a query or a fragment.
    """
    try:
        url = httpx.URL(server_url.strip())
        host = url.host
    except (httpx.InvalidURL, AttributeError, TypeError, UnicodeError) as error:
        # The last is for `xn--` without a meaning (idna.IDNAError), and for lone surrogates.
        raise InvalidInput(f"the address of the service is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not host:
        raise InvalidInput("the address of the service must begin with http:// or https://")
    if url.userinfo:
        raise InvalidInput("the address of the service must not hold a user or a password")
    if url.query or url.fragment:
        raise InvalidInput("the address of the service must have neither a query nor a fragment")
    _check_place(url)
    return str(url).rstrip("/?#")


def _check_place(url: httpx.URL) -> None:
    """Refuses what no socket can connect to; asking for it raises what is no error of httpx."""
    if url.port is not None and not 1 <= url.port <= _LAST_PORT:
        raise InvalidInput(f"the address of the service has a port that is not in 1..{_LAST_PORT}")
    labels = url.raw_host.removesuffix(b".").split(b".")
    if b":" not in url.raw_host and not all(1 <= len(label) <= _LABEL for label in labels):
        raise InvalidInput(
            f"the address of the service has a host with a part that is empty or over {_LABEL} long"
        )


def is_loopback(server_url: str) -> bool:
    """Whether the address stays on this machine, so that no proxy may get in between."""
    host = httpx.URL(server_url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
