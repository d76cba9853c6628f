"""The service's address: one normal form, so that `<address>/<route>` is always right."""

from __future__ import annotations

import ipaddress

import httpx

from smfs.errors import InvalidInput


def normalise_url(server_url: str) -> str:
    """The address without a final slash (PROTOCOL.md section 1: `//getSecret` is a 404).

    Args:
        server_url: `http://…` or `https://…`, with or without a path in front of the routes.

    Raises:
        InvalidInput: when it is no such address, or holds a user, a query or a fragment.
    """
    try:
        url = httpx.URL(server_url.strip())
    except (httpx.InvalidURL, AttributeError, TypeError) as error:
        raise InvalidInput(f"the address of the service is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput("the address of the service must begin with http:// or https://")
    if url.userinfo:
        raise InvalidInput("the address of the service must not hold a user or a password")
    if url.query or url.fragment:
        raise InvalidInput("the address of the service must have neither a query nor a fragment")
    return str(url).rstrip("/?#")


def is_loopback(server_url: str) -> bool:
    """Whether the address stays on this machine, so that no proxy may get in between."""
    host = httpx.URL(server_url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
