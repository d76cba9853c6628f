"""Connections that would keep memory or a place for nothing, at a real server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
import uvicorn

from smfs.cli import guards
from smfs.cli.guards import GuardedProtocol
from smfs.service.http import Response

PATIENCE = 60.0
ANSWER = 8 * 1024 * 1024
SIZES = {"/large": ANSWER, "/small": 100}
SEGMENTS_AT = 152  # in bytes, of tcpi_data_segs_in in tcp_info (linux/tcp.h)
HEAD = b"POST /large HTTP/1.1\r\nHost: x\r\n"

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Client]]


class Application:
    """Answers at once, without reading a body: by `SIZES`, and all else with nothing.

    Attributes:
        open: answers that are not sent yet.
        asked: requests so far.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.open = 0

    async def __call__(
        self, scope: MutableMapping[str, Any], _receive: object, send: Callable[[Any], Any]
    ) -> None:
        """One request."""
        self.open += 1
        self.asked += 1
        try:
            await Response(200, bytes(SIZES.get(scope["path"], 0))).send(send)
        finally:
            self.open -= 1


def serving(clients: Callable[[Connect, Application], Awaitable[None]]) -> None:
    """Runs clients against a server; they are given a way to connect."""

    async def run() -> None:
        application = Application()
        config = uvicorn.Config(
            application,
            port=0,
            http=GuardedProtocol,
            log_config=None,
            lifespan="off",
            timeout_keep_alive=1000,
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        address = server.servers[0].sockets[0].getsockname()
        opened: list[Client] = []

        async def connect() -> Client:
            opened.append(await asyncio.open_connection(*address, limit=4096))
            return opened[-1]

        try:
            await asyncio.wait_for(clients(connect, application), PATIENCE)
        finally:
            for _, writer in opened:
                writer.transport.abort()
            await server.shutdown()

    asyncio.run(run())


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds that tells nobody when it does."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def is_answered(connect: Connect) -> None:
    """Others are."""
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")


def segments(client: Client) -> int:
    """How many TCP segments with data have come."""
    connection = client[1].get_extra_info("socket")
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SEGMENTS_AT + 4)
    return int(struct.unpack_from("I", info, SEGMENTS_AT)[0])


def test_an_answer_comes_as_one() -> None:
    """Its head and its body, so that who asked is woken once; and each of those that follow."""

    async def clients(connect: Connect, _application: Application) -> None:
        client = await connect()
        for number in range(1, 4):
            client[1].write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            await client[0].readuntil(b"\r\n\r\n")
            assert await client[0].readexactly(SIZES["/small"]) == bytes(SIZES["/small"])
            assert segments(client) == number

    serving(clients)


async def sent_until_closed(client: Client, head: bytes, piece: bytes) -> bytes:
    """Sends pieces for as long as somebody takes them; returns what came back."""
    reader, writer = client
    writer.write(head)
    came = b""
    with contextlib.suppress(ConnectionError):
        for _ in range(100_000):
            writer.write(piece)
            await writer.drain()
            if reader._buffer:  # type: ignore[attr-defined]
                break
    with contextlib.suppress(ConnectionError):
        came = await reader.read()
    return came


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n",
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;",
    ],
)
def test_a_header_without_end_is_cut_off(head: bytes) -> None:
    """Whether it is the first one, one of many, a trailer, or what stands beside a chunk."""
    piece = b"\r\n" * 5000 if head == b"\r\n" else b"x" * 10_000

    async def clients(connect: Connect, _application: Application) -> None:
        client = await connect()
        came = await sent_until_closed(client, head, piece)
        assert came.count(b"HTTP/1.1 ") <= 2
        await is_answered(connect)

    serving(clients)


def test_many_small_headers_are_cut_off() -> None:
    """Each is complete, and none is the last one; the sender hears 431."""

    async def clients(connect: Connect, _application: Application) -> None:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        status = asyncio.ensure_future(reader.readline())
        while not status.done():
            writer.write(b"X: y\r\n" * 11_000)
            await asyncio.wait([status], timeout=0.5)
        assert status.result().startswith(b"HTTP/1.1 431 ")
        await is_answered(connect)

    serving(clients)


def test_a_large_header_is_read() -> None:
    """Up to 16 KiB and in any pieces, as often as somebody likes on one connection."""

    async def clients(connect: Connect, _application: Application) -> None:
        reader, writer = await connect()
        for _ in range(5):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for _ in range(6):
                writer.write(b"X: " + b"y" * 2_500 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.001)
            writer.write(b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")

    serving(clients)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
    ],
    ids=["path", "headers"],
)
def test_a_large_header_in_one_piece_is_refused(request_: bytes) -> None:
    """431, although it is complete: it would be kept as long as its connection."""

    async def clients(connect: Connect, application: Application) -> None:
        reader, writer = await connect()
        writer.write(request_)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        assert application.asked == 0
        await is_answered(connect)

    serving(clients)


def test_nothing_is_left_of_a_connection_that_was_reset() -> None:
    """Not even until it would have been idle for too long."""

    async def clients(connect: Connect, application: Application) -> None:
        for number in range(5):
            _, writer = await connect()
            writer.get_extra_info("socket").setsockopt(
                *(socket.SOL_SOCKET, socket.SO_LINGER), struct.pack("ii", 1, 0)
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda number=number: application.asked > number)  # type: ignore[misc]
            await until(lambda: not application.open)
            writer.transport.abort()
        while any(isinstance(each, GuardedProtocol) for each in gc.get_objects()):
            await asyncio.sleep(0.01)
            gc.collect()

    serving(clients)


@pytest.mark.parametrize("is_last", [False, True])
def test_an_answer_that_nobody_reads_is_dropped(
    monkeypatch: pytest.MonkeyPatch, *, is_last: bool
) -> None:
    """Whatever the connection was to be used for afterwards; who reads slowly gets all of it."""
    assert guards._UNREAD_S <= 30
    monkeypatch.setattr(guards, "_UNREAD_S", 1.0)
    closing = b"Connection: close\r\n" if is_last else b""
    request = b"GET /large HTTP/1.1\r\nHost: x\r\n" + closing + b"\r\n"

    async def clients(connect: Connect, application: Application) -> None:
        silent = [await connect() for _ in range(5)]
        slow, asking = await connect()
        for _, writer in [*silent, (slow, asking)]:
            writer.write(request)
        head = await slow.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        came = 0
        while came < ANSWER:
            came += len(await slow.read(65_536))
            if came % 8 == 0:
                await asyncio.sleep(0.005)
        while application.open:
            await is_answered(connect)
        for reader, _ in silent:
            with contextlib.suppress(ConnectionError):
                assert len(await reader.read()) < ANSWER

    serving(clients)


def test_a_body_ends_soon_after_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would keep a connection for a byte now and then; one that ends in time keeps it."""
    assert guards._REST_S <= 15
    monkeypatch.setattr(guards, "_REST_S", 0.5)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"

    async def clients(connect: Connect, _application: Application) -> None:
        reader, writer = await connect()
        for _ in range(3):
            writer.write(head)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            writer.write(bytes(100_000))
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.wait([asyncio.ensure_future(reader.read())], timeout=0.05)
        await is_answered(connect)

    serving(clients)
