"""Whose word is taken for who asks, and how."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from smfs.cli.serve_options import as_network
from smfs.cli.serve_proxies import TrustedProxies
from tests.cli.serving import Running, run

NETWORKS = tuple(map(ip_network, ("10.0.0.0/8", "127.0.0.1", "fd00::/8")))
FOR, PROTO = b"x-forwarded-for", b"x-forwarded-proto"


def seen(peer: str, *headers: tuple[bytes, bytes]) -> tuple[str, str]:
    """The address and the scheme that the application is told."""
    scope: dict[str, Any] = {
        "type": "http",
        "client": (peer, 1234),
        "scheme": "http",
        "headers": headers,
    }
    found: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope)

    asyncio.run(TrustedProxies(application, NETWORKS)(scope, None, None))  # type: ignore[arg-type]
    return found[0]["client"][0], found[0]["scheme"]


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        # Who is no proxy may say what he likes.
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),
        ("::ffff:192.0.2.1", [b"198.51.100.7"], "::ffff:192.0.2.1"),
        ("127.0.0.2", [b"198.51.100.7"], "127.0.0.2"),
        # One proxy, several, in a line or in several lines.
        ("10.1.2.3", [b"198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.1.2.3", [b"198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", [b"198.51.100.7, 10.9.9.9,fd00::5"], "198.51.100.7"),
        ("10.1.2.3", [b"198.51.100.7", b"10.9.9.9"], "198.51.100.7"),
        # What the client made up stands before its own address.
        ("10.1.2.3", [b"127.0.0.1, 198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", [b"203.0.113.1", b"198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", [b"203.0.113.1, 198.51.100.7, 10.0.0.1"], "198.51.100.7"),
        # Ports, brackets, and other ways to write the same.
        ("10.1.2.3", [b"198.51.100.7:4711"], "198.51.100.7"),
        ("10.1.2.3", [b"[2001:DB8::7]:4711"], "2001:db8::7"),
        ("10.1.2.3", [b"::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", [b"198.51.100.7, ::ffff:10.0.0.1"], "198.51.100.7"),
        # Proxies ask, too.
        ("10.1.2.3", [b"10.4.5.6"], "10.4.5.6"),
        # What is no address is nobody's.
        ("10.1.2.3", [b""], "10.1.2.3"),
        ("10.1.2.3", [b"unknown"], "10.1.2.3"),
        ("10.1.2.3", [b"198.51.100.7, _hidden"], "10.1.2.3"),
        ("10.1.2.3", [b"198.51.100.7, \xff, 10.0.0.1"], "10.0.0.1"),
        ("10.1.2.3", [b"198.51.100.7,"], "10.1.2.3"),
        ("10.1.2.3", [], "10.1.2.3"),
    ],
)
def test_the_nearest_that_is_not_trusted_asks(peer: str, lines: list[bytes], client: str) -> None:
    """Read from the right."""
    assert seen(peer, *((FOR, line) for line in lines))[0] == client


@pytest.mark.parametrize(
    ("peer", "value", "scheme"),
    [
        ("10.1.2.3", b"https", "https"),
        ("10.1.2.3", b"http, HTTPS", "https"),
        ("10.1.2.3", b"gopher", "http"),
        ("192.0.2.1", b"https", "http"),
    ],
)
def test_a_proxy_tells_the_scheme(peer: str, value: bytes, scheme: str) -> None:
    """The nearest one does, and nobody else."""
    assert seen(peer, (PROTO, value))[1] == scheme


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.0/8", "198.51.100.7"), ("::1", "127.0.0.1")]
)
def test_a_real_request_is_read_the_same(trusted: str, client: str) -> None:
    """Over a socket, in two lines, whatever their case."""

    async def test() -> None:
        one = Running()
        one.proxies = (as_network(trusted),)
        one.start()
        lines = "X-Forwarded-For: 203.0.113.1, 198.51.100.7\r\nx-FORWARDED-for: 127.0.0.9\r\n"
        assert await one.ask(await one.connect(), "/x", lines) == (200, True)
        assert one.application.client == client
        one.server.end()
        await one.ended()

    run(test)


def test_a_connection_without_an_address_is_left_alone() -> None:
    """As one over a socket of a file has."""
    passed: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope)

    scope = {"type": "http", "client": None, "headers": [(FOR, b"198.51.100.7")]}
    trusting = TrustedProxies(application, [as_network("0.0.0.0/0")])
    asyncio.run(trusting(scope, None, None))  # type: ignore[arg-type]
    assert passed[0]["client"] is None
