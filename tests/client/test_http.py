"""The client over real HTTP: the service behind uvicorn, on sockets of this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

import smfs
from smfs import errors
from smfs.client.client import create_client
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


async def test_no_proxy_gets_between_us_and_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy gets between us and this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with create_client(server.url) as client:
        await client.set_secret("id", "text")


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
