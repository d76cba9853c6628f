"""The client over real HTTP: the service behind uvicorn, on sockets of this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import pytest
import uvicorn

import smfs
from smfs import errors
from smfs.client.client import Client, create_client
from smfs.client.view import View
from smfs.service import create_service

pytestmark = pytest.mark.anyio


@dataclass
class Server:
    """A service that listens.

    Attributes:
        url: where.
        server: what can be told to stop.
        thread: where it runs.
    """

    url: str
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        """It listens no more."""
        self.server.should_exit = True
        self.thread.join()


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup(None)
        self.listening.set()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A service on a free port."""
    app = create_service(tmp_path / "service.db")
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="on")
    announcing = _Announcing(config)
    thread = threading.Thread(target=announcing.run)
    thread.start()
    assert announcing.listening.wait(20)
    port = announcing.servers[0].sockets[0].getsockname()[1]
    one = Server(f"http://127.0.0.1:{port}", announcing, thread)
    yield one
    one.stop()


async def test_the_whole_path_over_sockets(server: Server) -> None:
    """The whole path over sockets."""
    async with create_client(server.url) as alice, create_client(server.url) as bob:
        await alice.set_secret("id", b"\xff" * 1024 * 1024)
        assert await alice.get_secret("id") == b"\xff" * 1024 * 1024
        await alice.accept_secrets_from(bob)
        view = View(bob)
        await view.share(alice.id, "id", b"text")
        assert await alice.get_secret_from(bob, "id") == "text"
        found = await alice.discover()
        assert found is not None
        assert view.state()["service"] == server.url


async def test_a_service_that_goes_away_is_unavailable(server: Server) -> None:
    """A service that goes away is unavailable."""
    async with create_client(server.url, "a1" * 32) as client:
        await client.set_secret("id", "text")
        server.stop()
        with pytest.raises(errors.ServiceUnavailable):
            await client.get_secret("id")


async def test_requests_under_way_end_where_they_began(server: Server) -> None:
    """A move to another service closes the old connection behind the last of them."""
    arrived, goes_on, closed = anyio.Event(), anyio.Event(), anyio.Event()
    body = b'{"error":"The secret \\"id\\" does not exist!"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            request = b""
            while not request.endswith(b"}"):
                request += await stream.receive()
            assert not arrived.is_set()
            arrived.set()
            await goes_on.wait()
            await stream.send(answer)
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            closed.set()

    async def ask(client: Client) -> None:
        with pytest.raises(errors.ServiceError):
            await client.get_secret("id")
        answered.set()

    answered = anyio.Event()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as old:
        port = old.extra(anyio.abc.SocketAttribute.local_port)
        async with (
            create_client(f"http://127.0.0.1:{port}", "a1" * 32) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(old.serve, serve)
            tasks.start_soon(ask, client)
            await arrived.wait()
            await client.update_server_url(server.url)
            assert client.server_url == server.url
            assert not answered.is_set()
            goes_on.set()
            with anyio.fail_after(20):
                await answered.wait()
                await closed.wait()
            tasks.cancel_scope.cancel()


async def test_no_proxy_gets_between_us_and_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy gets between us and this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with create_client(server.url) as client:
        await client.set_secret("id", "text")


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("name", "value"), [("ALL_PROXY", "socks5://127.0.0.1:1"), ("SSL_CERT_FILE", "/dev/null")]
)
async def test_what_the_environment_names_and_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """As a service that cannot be reached."""
    monkeypatch.setenv(name, value)
    async with create_client("https://secrets.invalid", "a1" * 32) as client:
        with pytest.raises(errors.ServiceUnavailable, match="environment"):
            await client.get_secret("id")


async def test_a_move_that_fails_leaves_no_socket(server: Server) -> None:
    """What was opened for it is closed."""
    async with create_client(server.url, "a1" * 32) as client:
        before = _descriptors()
        for _ in range(10):
            with pytest.raises(errors.SmfsError):
                await client.update_server_url(f"{server.url}/nowhere")
        with anyio.fail_after(20):
            # The service, in this process, closes its ends later, and opens what it needs.
            while _descriptors() >= before + 10:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)


def test_importing_the_package_imports_no_client() -> None:
    """Importing the package imports no client."""
    program = (
        "import sys, smfs; print(*(n for n in ('httpx', 'nacl', 'anyio') if n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
    assert smfs.__version__
