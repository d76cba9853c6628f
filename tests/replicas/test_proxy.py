"""The round-robin proxy: whole answers or a connection that is cut, and nothing sent twice."""

from __future__ import annotations

import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from tests.replicas.proxy import RoundRobin

pytestmark = pytest.mark.trio

Behaviour = Callable[[trio.SocketStream, bytes], Awaitable[None]]


async def answering(text: bytes, stream: trio.SocketStream, _head: bytes) -> None:
    """Says something."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)


async def dying(stream: trio.SocketStream, _head: bytes) -> None:
    """Ends before it has said anything."""


async def dying_midway(stream: trio.SocketStream, _head: bytes) -> None:
    """Says less than it announced."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


async def chunking(stream: trio.SocketStream, _head: bytes) -> None:
    """Says it piece by piece."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    await stream.send_all(head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


async def chunking_half(stream: trio.SocketStream, _head: bytes) -> None:
    """Says some pieces."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")


async def refusing(stream: trio.SocketStream, _head: bytes) -> None:
    """Answers before it has read the body."""
    await stream.send_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")


class Replica:
    """Behaves in one way, and keeps what it was asked."""

    def __init__(self, behaviour: Behaviour, listener: trio.SocketListener) -> None:
        self.behaviour = behaviour
        self.asked: list[bytes] = []
        self.address = listener.socket.getsockname()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some(65536)
            self.asked.append(head)
            await self.behaviour(stream, head)


@pytest.fixture
async def make_replica(nursery: trio.Nursery) -> Callable[[Behaviour], Awaitable[Replica]]:
    """Starts replicas."""

    async def make(behaviour: Behaviour) -> Replica:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        replica = Replica(behaviour, listener)
        nursery.start_soon(functools.partial(trio.serve_listeners, replica.serve, [listener]))
        return replica

    return make


@asynccontextmanager
async def proxied(*addresses: tuple[str, int]) -> AsyncIterator[tuple[RoundRobin, Any]]:
    """A proxy, and a client of it that keeps its connections."""
    proxy = RoundRobin(addresses)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as tasks, httpx.AsyncClient(base_url=url) as client:
        tasks.start_soon(trio.serve_listeners, proxy.serve, [listener])
        yield proxy, client
        tasks.cancel_scope.cancel()


def nobody() -> tuple[str, int]:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address: tuple[str, int] = free.getsockname()
    return address


async def test_each_request_goes_to_the_next(make_replica: Any) -> None:
    """Although the client keeps its one connection."""
    replicas = [await make_replica(functools.partial(answering, b"%d" % each)) for each in range(3)]
    async with proxied(*(each.address for each in replicas)) as (proxy, client):
        said = [(await client.post("/x", content=b"body")).text for _ in range(6)]
        [connection] = client._transport._pool.connections
        assert connection.info().endswith("Request Count: 6")
    assert said == ["0", "1", "2", "0", "1", "2"]
    assert b"x-forwarded-for: 127.0.0.1\r\n" in replicas[0].asked[0]
    assert proxy.counts["passed"] == 6


async def test_who_does_not_listen_is_passed_over(make_replica: Any) -> None:
    """The request goes to the one after."""
    alive = await make_replica(functools.partial(answering, b"here"))
    async with proxied(nobody(), alive.address, nobody()) as (proxy, client):
        assert {(await client.get("/")).text for _ in range(4)} == {"here"}
    assert proxy.counts["refused"] >= 4


async def test_nobody_at_all_is_502() -> None:
    """It was surely not carried out."""
    async with proxied(nobody(), nobody()) as (proxy, client):
        assert (await client.get("/")).status_code == 502
    assert proxy.counts["unanswered"] == 1


@pytest.mark.parametrize("behaviour", [dying, dying_midway, chunking_half])
async def test_a_death_cuts_the_client_and_nothing_is_sent_twice(
    make_replica: Any, behaviour: Behaviour
) -> None:
    """Whoever asked has to know what that means."""
    other = await make_replica(functools.partial(answering, b"other"))
    replica = await make_replica(behaviour)
    async with proxied(replica.address, other.address) as (proxy, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/x", content=b"body")
        assert (len(replica.asked), len(other.asked)) == (1, 0)
        assert (await client.post("/x", content=b"body")).text == "other"
    assert proxy.counts["cut"] == 1


async def test_pieces_and_early_answers_arrive_whole(make_replica: Any) -> None:
    """Also where the body is larger than all buffers on the way."""
    chunked, refused = await make_replica(chunking), await make_replica(refusing)
    async with proxied(chunked.address, refused.address) as (_, client):
        assert (await client.get("/")).text == "abc"
        assert (await client.post("/", content=b"x" * 20_000_000)).status_code == 413


async def test_a_client_that_goes_ends_its_request(make_replica: Any) -> None:
    """The replica sees the end of its connection, as it would without a proxy."""
    heard, gone = trio.Event(), trio.Event()

    async def waiting(stream: trio.SocketStream, _head: bytes) -> None:
        heard.set()
        assert await stream.receive_some(1) == b""
        gone.set()

    replica = await make_replica(waiting)
    async with proxied(replica.address) as (_, client):
        async with trio.open_nursery() as asking:
            asking.start_soon(client.get, "/")
            await heard.wait()
            asking.cancel_scope.cancel()
        with trio.fail_after(10):
            await gone.wait()
