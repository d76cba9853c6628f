"""How a server ends: told in time, and cutting nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop

from smfs.cli import connections
from smfs.cli.connections import BoundedProtocol, Policy
from smfs.cli.serve_draining import DrainingServer
from smfs.cli.serve_listener import listening
from smfs.cli.serve_options import Address
from smfs.cli.serve_tls import Tls
from tests.cli.test_serve_tls import make_certificate

PATIENCE = 30.0
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Application:
    """It knows whether it is ready, and answers `/slow` when it is let go."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.drained, self.asked, self.let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.in_the_end: Callable[[], object] = int

    def drain(self) -> None:
        """As the server calls it."""
        self.events.append("drain")
        self.drained.set()

    def end_waiting(self) -> None:
        """As the server calls it."""
        self.events.append("end waiting")
        self.in_the_end()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As the server calls it."""
        if scope["path"] == "/slow":
            self.asked.set()
            await self.let_go.wait()
        status = 503 if self.drained.is_set() and scope["path"] == "/readyz" else 200
        body = scope["path"].encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Running:
    """A server, and ways to ask it."""

    def __init__(self, *, delay: float = 0, grace: float = PATIENCE, most: int = 100) -> None:
        self.application = Application()
        self.delay, self.grace, self.most = delay, grace, most
        self.tls: ssl.SSLContext | None = None
        self.trust: ssl.SSLContext | None = None
        self.opened: list[asyncio.StreamWriter] = []

    def start(self) -> None:
        """Listens."""
        policy = Policy(self.most)
        protocol: Any = lambda **kwargs: BoundedProtocol(policy, **kwargs)  # noqa: E731
        config = uvicorn.Config(
            self.application, loop="none", http=protocol, lifespan="off", log_config=None
        )
        config.timeout_graceful_shutdown = self.grace  # type: ignore[assignment]
        self.server = DrainingServer(
            config, policy, self.application, delay=self.delay, tls=self.tls
        )
        listener = listening(Address("127.0.0.1", 0))
        self.address = listener.getsockname()
        self.task = asyncio.create_task(self.server.serve([listener]))

    async def connect(self) -> Client:
        """A connection."""
        client = await asyncio.open_connection(*self.address, ssl=self.trust)
        self.opened.append(client[1])
        return client

    async def ended(self) -> None:
        """Waits until the server is gone."""
        await self.task
        for each in self.opened:
            each.transport.abort()

    @staticmethod
    async def ask(client: Client, path: str) -> tuple[int, bool]:
        """The status of the answer, and whether the connection stays."""
        client[1].write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return await Running.answer(client, path)

    @staticmethod
    async def answer(client: Client, path: str) -> tuple[int, bool]:
        """The same, of what was asked before."""
        head = (await client[0].readuntil(b"\r\n\r\n")).decode()
        assert await client[0].readexactly(len(path)) == path.encode()
        return int(head.split()[1]), "connection: close" not in head


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Runs a test on the loop that serves."""

    async def body() -> None:
        await asyncio.wait_for(test(), PATIENCE)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())


def test_it_says_so_before_it_stops_listening() -> None:
    """In the delay new connections are taken, and each answer asks to connect anew."""

    async def test() -> None:
        one = Running(delay=PATIENCE)
        one.start()
        old = await one.connect()
        assert await one.ask(old, "/readyz") == (200, True)
        one.server.end()
        await one.application.drained.wait()
        assert await one.ask(old, "/readyz") == (503, False)
        assert await old[0].read() == b""
        assert await one.ask(await one.connect(), "/x") == (200, False)
        assert one.application.events == ["drain"]
        one.server.end_at_once()
        await one.ended()
        assert one.application.events == ["drain", "end waiting"]

    run(test)


def test_what_was_accepted_is_finished() -> None:
    """A request that is worked on, and one that lies unread; nobody else gets in."""

    async def test() -> None:
        one = Running()
        one.start()
        slow = await one.connect()
        asking = asyncio.create_task(one.ask(slow, "/slow"))
        await one.application.asked.wait()
        idle = socket.create_connection(one.address)
        reader, writer = await asyncio.open_connection(sock=idle.dup())
        one.opened.append(writer)
        assert await one.ask((reader, writer), "/x") == (200, True)

        request = b"GET /unread HTTP/1.1\r\nHost: x\r\n\r\n"
        one.application.in_the_end = lambda: idle.sendall(request)
        one.server.end()
        assert await one.answer((reader, writer), "/unread") == (200, False)
        with pytest.raises(ConnectionRefusedError):
            await one.connect()
        one.application.let_go.set()
        assert (await asking)[0] == 200
        await one.ended()
        idle.close()

    run(test)


@pytest.mark.parametrize("hurry", [True, False])
def test_it_waits_no_longer_than_it_is_let(hurry: bool) -> None:  # noqa: FBT001
    """A second signal cuts the connections; the end of the grace is told to who still waits."""

    async def test() -> None:
        one = Running(grace=PATIENCE if hurry else 0.1)
        one.start()
        slow = await one.connect()
        slow[1].write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await one.application.asked.wait()
        one.server.end()
        if hurry:
            one.server.end_at_once()
            assert await _is_closed(slow)
        else:
            assert await slow[0].readline() == b"HTTP/1.1 500 Internal Server Error\r\n"
        await one.ended()

    run(test)


async def _is_closed(client: Client) -> bool:
    try:
        return await client[0].read() == b""
    except ConnectionResetError:
        return True


def test_handshakes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as connections, one too many is closed, and they have so long and no longer."""
    make_certificate(tmp_path, "x")
    monkeypatch.setattr(connections, "_SILENT_S", 1.0)

    async def test() -> None:
        one = Running(most=2)
        one.tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem").context
        one.start()
        silent = [await one.connect() for _ in range(2)]
        assert await _is_closed(await one.connect())
        assert [await _is_closed(each) for each in silent] == [True, True]
        one.trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert await one.ask(await one.connect(), "/x") == (200, True)
        one.server.end()
        await one.ended()

    run(test)


def test_a_handshake_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Nothing was asked on it."""
    make_certificate(tmp_path, "x")

    async def test() -> None:
        one = Running()
        one.tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem").context
        one.start()
        silent = await one.connect()
        one.trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert await one.ask(await one.connect(), "/x") == (200, True)
        one.server.end()
        await one.task
        assert await _is_closed(silent)
        await one.ended()

    run(test)
