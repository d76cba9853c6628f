"""A service that answers with too much, too slowly, or in a form that nobody asked for."""

from __future__ import annotations

import gzip
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import httpx
import pytest

from smfs import errors
from smfs.client import connection
from smfs.client.client import Client, create_client
from smfs.client.incoming import answer_limit

pytestmark = pytest.mark.anyio

KEY = "a1" * 32
Make = Callable[..., Client]


class Body(httpx.AsyncByteStream):
    """A body that does not end.

    Attributes:
        handed_out: bytes so far.
    """

    def __init__(self, part: bytes, pause: float = 0) -> None:
        self.part = part
        self.pause = pause
        self.handed_out = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The parts."""
        while True:
            await anyio.sleep(self.pause)
            self.handed_out += len(self.part)
            yield self.part


class Hostile(httpx.AsyncBaseTransport):
    """Answers every request with an endless body; it is an original."""

    def __init__(self, part: bytes, pause: float = 0) -> None:
        self.part = part
        self.pause = pause
        self.bodies: list[Body] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        if request.method == "GET":
            return httpx.Response(404, request=request)
        self.bodies.append(Body(self.part, self.pause))
        return httpx.Response(200, stream=self.bodies[-1], request=request)


class _Handler(BaseHTTPRequestHandler):
    """Answers with a little that is much once it is decoded, or with what has no end."""

    bomb = gzip.compress(bytes(16 * 1024 * 1024))

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        if self.path == "/getSecret":
            self.send_header("content-encoding", "gzip")
            self.send_header("content-length", str(len(self.bomb)))
            self.end_headers()
            self.wfile.write(self.bomb)
            return
        self.end_headers()
        with suppress(OSError):  # until nobody listens any more
            while True:
                self.wfile.write(bytes(64 * 1024))

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """The client may leave."""


@pytest.fixture
def hostile_url() -> Iterator[str]:
    """The address of a hostile service on this machine."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_an_encoded_answer_is_refused(hostile_url: str) -> None:
    """Nothing is decoded."""
    async with create_client(hostile_url, KEY) as client:
        with pytest.raises(errors.ServiceUnavailable, match="an encoding nobody asked for"):
            await client.get_secret("id")


async def test_a_flood_is_cut_off(hostile_url: str) -> None:
    """Over a socket, too."""
    async with create_client(hostile_url, KEY) as client:
        await client.discover()
        with pytest.raises(errors.ServiceUnavailable, match="more than"):
            await client.set_secret("id", "text")


async def test_no_encoding_is_asked_for(alice: Client, wire: Any, faults: Any) -> None:
    """A well-meaning service or proxy sends none then."""
    asked = []

    async def watch(request: httpx.Request, pass_on: Any) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        response: httpx.Response = await pass_on(request)
        return response

    wire.always("*", watch)
    await alice.set_secret("id", "text")
    await alice.get_secret_space()
    assert set(asked) == {"identity"}


async def test_an_answer_without_end_is_cut_off() -> None:
    """No more is read than one secret can have."""
    transport = Hostile(bytes(64 * 1024))
    async with create_client("http://hostile", KEY, transport=transport) as client:
        await client.discover()
        with pytest.raises(errors.ServiceUnavailable, match="more than"):
            await client.get_secret("id")
    limit = answer_limit(0)
    assert all(limit < body.handed_out <= limit + 64 * 1024 for body in transport.bodies)


async def test_a_listing_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is every answer of a service that was not asked what it is."""
    monkeypatch.setattr(connection, "LISTING_BYTES", 1024 * 1024)
    transport = Hostile(bytes(64 * 1024))
    async with create_client("http://hostile", KEY, transport=transport) as client:
        for call in (client.get_secret_space(), client.get_secret("id")):
            with pytest.raises(errors.ServiceUnavailable, match="more than 1048576 bytes"):
                await call
    assert all(body.handed_out == 1024 * 1024 + 64 * 1024 for body in transport.bodies)


async def test_an_answer_that_trickles_ends_at_the_deadline() -> None:
    """Every part of it comes in time; all of them do not."""
    transport = Hostile(b" ", pause=0.01)
    async with create_client("http://hostile", KEY, transport=transport, deadline=0.3) as client:
        with pytest.raises(errors.DeadlineExceeded), anyio.fail_after(5):
            await client.get_secret("id")
    assert len(transport.bodies) == 1


async def test_what_a_large_service_takes_comes_back() -> None:
    """The limit follows what the service says, up to an end."""
    assert answer_limit(8 * 1024 * 1024) > 8 * 1024 * 1024 * 16 // 3
    assert answer_limit(2**60) == answer_limit(256 * 1024 * 1024)
