"""The server of `smfs serve` within a test: an application that shows what it is told."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
import uvloop

from smfs.cli.connections import BoundedProtocol, Policy
from smfs.cli.serve_draining import DrainingServer
from smfs.cli.serve_listener import listening
from smfs.cli.serve_options import Address, Network
from smfs.cli.serve_proxies import TrustedProxies

T = TypeVar("T")
PATIENCE = 30.0
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Application:
    """It knows whether it is ready, and answers `/slow` when it is let go."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.drained, self.asked, self.let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.in_the_end: Callable[[], object] = int
        self.client = ""

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
        self.client = scope["client"][0]
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
        self.proxies: tuple[Network, ...] = ()

    def start(self) -> None:
        """Listens."""
        policy = Policy(self.most)
        protocol: Any = lambda **kwargs: BoundedProtocol(policy, **kwargs)  # noqa: E731
        config = uvicorn.Config(
            TrustedProxies(self.application, self.proxies),
            loop="none",
            http=protocol,
            lifespan="off",
            log_config=None,
            proxy_headers=False,
        )
        config.timeout_graceful_shutdown = self.grace  # type: ignore[assignment]
        self.server = DrainingServer(
            config,
            policy,
            end_waiting=self.application.end_waiting,
            drains=self.application,
            delay=self.delay,
            tls=self.tls,
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
    async def ask(client: Client, path: str, more: str = "") -> tuple[int, bool]:
        """The status of the answer, and whether the connection stays."""
        client[1].write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        return await Running.answer(client, path)

    @staticmethod
    async def answer(client: Client, path: str) -> tuple[int, bool]:
        """The same, of what was asked before."""
        head = (await client[0].readuntil(b"\r\n\r\n")).decode()
        assert await client[0].readexactly(len(path)) == path.encode()
        return int(head.split()[1]), "connection: close" not in head


def run_on_uvloop(main: Coroutine[Any, Any, T]) -> T:
    """Runs it on the loop that serves.

    Of what a failed test leaves open the loop warns before it closes it: raised as an error there,
    the warning would keep it open, and the loop waiting for it for ever.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("default", ResourceWarning)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Runs a test on the loop that serves."""

    async def body() -> None:
        await asyncio.wait_for(test(), PATIENCE)

    run_on_uvloop(body())


async def is_closed(client: Client) -> bool:
    """Waits for the other side to close; whether nothing came before."""
    try:
        return await client[0].read() == b""
    except ConnectionResetError:
        return True


def make_certificate(directory: Path, name: str, *, password: str | None = None) -> None:
    """Writes `cert.pem` and `key.pem` for 127.0.0.1."""
    directory.mkdir(exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command += ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
