"""A service in this process, ways to it that lose things, and clients of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from smfs.client import retries
from smfs.client.client import Client, create_client
from smfs.client.embedded import embedded_transport
from smfs.client.view import View
from smfs.crypto.identity import Identity
from smfs.service import Service, ServiceOptions, create_service
from smfs.service.store.postgres_database import migrate
from tests.client.liar import Liar
from tests.postgres import Cluster
from tests.replicas import suites
from tests.replicas.rotation import Rotation, rotating

VECTORS = Path(__file__).parent.parent / "vectors" / "original"
URL = "http://service.test"
_ADDED = ("/.well-known/smfs", "/checkShare", "/getChanges", "/repeatSecretFrom")


@dataclass
class Clock:
    """A clock that tests set: ms since 1970."""

    now_ms: int = 1_795_500_000_000

    def __call__(self) -> int:
        """The time."""
        return self.now_ms


Passing = Callable[[httpx.Request], Awaitable[httpx.Response]]
Make = Callable[..., Client]
Fault = Callable[[httpx.Request, Passing], Awaitable[httpx.Response]]


class Faults:
    """What can go wrong with one request."""

    @staticmethod
    async def never_sent(request: httpx.Request, _pass_on: Passing) -> httpx.Response:
        """Nothing listens."""
        raise httpx.ConnectError("nothing listens", request=request)

    @staticmethod
    async def answer_lost(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        """The service does what is asked for; its answer never comes."""
        await pass_on(request)
        raise httpx.ReadError("the connection broke", request=request)

    @staticmethod
    async def request_lost(request: httpx.Request, _pass_on: Passing) -> httpx.Response:
        """The request never arrives, which to the client looks like a lost answer."""
        raise httpx.ReadError("the connection broke", request=request)

    @staticmethod
    async def hangs(request: httpx.Request, _pass_on: Passing) -> httpx.Response:
        """The service takes the request and never says a word."""
        with anyio.move_on_after(request.extensions["timeout"]["read"]):
            await anyio.sleep_forever()
        raise httpx.ReadTimeout("nothing came", request=request)

    @staticmethod
    async def carried_out_twice(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        """Something on the way sends the request again and hands back the second answer."""
        await pass_on(request)
        return await pass_on(request)

    @staticmethod
    def answers(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Fault:
        """Something answers in the service's place."""

        async def fault(request: httpx.Request, _pass_on: Passing) -> httpx.Response:
            return httpx.Response(status, content=body, headers=headers, request=request)

        return fault

    @staticmethod
    def after(happening: Callable[[], Awaitable[object]]) -> Fault:
        """Something happens between the service's answer and its arrival."""

        async def fault(request: httpx.Request, pass_on: Passing) -> httpx.Response:
            response = await pass_on(request)
            await happening()
            return response

        return fault


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """The way to a service, on which tests lose, change and count things.

    Attributes:
        inner: the way to the real service.
        is_original: hide what the original does not have.
        seen: the paths of the requests so far.
    """

    inner: httpx.AsyncBaseTransport
    is_original: bool = False
    seen: list[str] = field(default_factory=list)
    _faults: dict[str, list[Fault]] = field(default_factory=dict)
    _always: dict[str, Fault] = field(default_factory=dict)

    def next(self, path: str, *faults: Fault) -> None:
        """The next requests to this path meet these faults, one each; `*` stands for any path."""
        self._faults.setdefault(path, []).extend(faults)

    def always(self, path: str, fault: Fault) -> None:
        """Every request to this path meets this fault; `*` stands for any path."""
        self._always[path] = fault

    def mend(self) -> None:
        """No fault is left."""
        self._faults.clear()
        self._always.clear()

    def count(self, path: str) -> int:
        """How many requests to this path there were."""
        return self.seen.count(path)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Notes the request, then lets its fault happen, or passes it on."""
        path = request.url.path
        self.seen.append(path)
        for key in (path, "*"):
            if self._faults.get(key):
                return await self._faults[key].pop(0)(request, self._pass_on)
            if key in self._always:
                return await self._always[key](request, self._pass_on)
        return await self._pass_on(request)

    async def _pass_on(self, request: httpx.Request) -> httpx.Response:
        if self.is_original and request.url.path in _ADDED:
            return httpx.Response(404, html="Cannot GET", request=request)
        response = await self.inner.handle_async_request(request)
        await response.aread()
        return response


@pytest.fixture
def vectors() -> Callable[[str], Any]:
    """Reads a file of vectors, by its name without `.json`."""
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


@pytest.fixture
def faults() -> type[Faults]:
    """What can go wrong."""
    return Faults


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between attempts are there, but short."""
    monkeypatch.setattr(retries, "_FIRST_S", 0.001)


@pytest.fixture
def clock() -> Clock:
    """The clock of the service and of the clients."""
    return Clock()


@pytest.fixture(scope="session")
def migrated(postgres: Cluster) -> str:
    """The name of a database of PostgreSQL that services can use, to be copied."""
    url = postgres.create_database()
    migrate(url)
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path | str]:
    """A file; by `--replicas postgres`, an empty database of PostgreSQL."""
    if request.config.getoption("--replicas") != "postgres":
        yield tmp_path / "db" / "service.db"
        return
    template: str = request.getfixturevalue("migrated")
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.create_database(template=template)
    yield url
    cluster.drop(url)


@pytest.fixture
async def service(
    database: Path | str, clock: Clock, request: pytest.FixtureRequest
) -> AsyncIterator[Service | Rotation]:
    """A running service; by `--replicas`, several of them in turn that die and come back."""
    options = ServiceOptions(allow_private_hooks=True)
    make = partial(create_service, database, options=options, now=clock)
    if request.config.getoption("--replicas") is None:
        async with make() as one:
            yield one
        return
    async with rotating(make, **suites.rotation_for(request.node)) as several:
        yield several


@pytest.fixture
def wire(service: Service) -> Wire:
    """The way to the service."""
    return Wire(embedded_transport(service))


@pytest.fixture
def make_client(wire: Wire, clock: Clock) -> Make:
    """Makes clients of the service; takes the options of `create_client`."""

    def make(**options: Any) -> Client:
        return create_client(URL, **{"transport": wire, "now": clock, **options})

    return make


@pytest.fixture
def alice(make_client: Make) -> Client:
    """A client with keys of its own."""
    return make_client(secret_key_hex="a1" * 32)


@pytest.fixture
def bob(make_client: Make) -> Client:
    """Another one."""
    return make_client(secret_key_hex="b0" * 32)


@pytest.fixture
def alices_view(alice: Client) -> View:
    """Alice's view of her space."""
    return View(alice)


@pytest.fixture
def bobs_view(bob: Client) -> View:
    """Bob's view of his space."""
    return View(bob)


@pytest.fixture
def twins_view(make_client: Make) -> View:
    """Alice's view on another machine."""
    return View(make_client(secret_key_hex="a1" * 32))


@pytest.fixture
def liar(alice: Client, wire: Wire) -> Liar:
    """The service as Alice meets it."""
    one = Liar(alice.node_id)
    wire.always("*", one)
    return one


@pytest.fixture
def signer() -> Identity:
    """Somebody who shares with Alice."""
    return Identity.generate()
