"""A service in this process, over either engine, those who ask it, and a listener for its hooks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from smfs.crypto.identity import Identity
from smfs.protocol import requests
from smfs.service import Service, ServiceOptions, create_service
from smfs.service.store import postgres_database
from tests.postgres import Cluster
from tests.service.followers import Follower
from tests.service.listeners import Listener
from tests.service.nodes import Answer, App, Clock, Node, send
from tests.service.places import POSTGRES, SQLITE, Place

VECTORS = Path(__file__).parent.parent / "vectors" / "original"

# Under uvicorn it is asyncio; only the embedded service, whose database is a file, runs on trio.
# One event loop for each engine: the mount runs on trio, `smfs serve` on asyncio.
_RUNS = ((SQLITE, "trio"), (POSTGRES, "asyncio"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs each test on the event loops and engines; on one engine if it asks for its database."""
    wanted = [name for name in ("engine", "anyio_backend") if name in metafunc.fixturenames]
    marks = metafunc.definition.iter_markers("parametrize")
    if not wanted or any("anyio_backend" in mark.args[0] for mark in marks):
        return
    engines = {SQLITE, POSTGRES}
    if "engine" not in wanted or "database" in metafunc.fixturenames:
        engines = {SQLITE}
    if "postgres_url" in metafunc.fixturenames:
        engines = {POSTGRES}
    columns = [("engine", "anyio_backend").index(name) for name in wanted]
    runs = dict.fromkeys(
        tuple(run[column] for column in columns) for run in _RUNS if run[0] in engines
    )
    metafunc.parametrize(
        wanted, list(runs), ids=["-".join(run) for run in runs], indirect=True, scope="module"
    )


@pytest.fixture(scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of a test."""
    return str(request.param)


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """The kind of database of a test that wants either."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server that all tests of one process share; nothing need survive the power going off."""
    with Cluster(fsync=False) as made:
        yield made


@pytest.fixture(scope="session")
def template(postgres: Cluster) -> str:
    """The name of a database with our tables, to be copied."""
    url = postgres.create_database()
    postgres_database.migrate(url)
    return url.rpartition("/")[2]


@pytest.fixture
def postgres_url(postgres: Cluster, template: str) -> Iterator[str]:
    """The URL of a database of the test's own, in which nobody is known yet."""
    made = postgres.create_database(template=template)
    yield made
    postgres.drop(made)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a file will be; for tests that are about the file."""
    return tmp_path / "service" / "service.db"


@pytest.fixture
def place(engine: str, request: pytest.FixtureRequest) -> Place:
    """Where the service's database is, of either engine."""
    wanted = "database" if engine == SQLITE else "postgres_url"
    return request.getfixturevalue(wanted)  # type: ignore[no-any-return]  # as the two say


@pytest.fixture
def follow() -> Callable[[Node], Follower]:
    """Makes followers of nodes."""
    return Follower


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener for notifications."""
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def is_silent(listener: Listener) -> Callable[[Node], Awaitable[bool]]:
    """Whether nobody was told of what came before: what is told to this node's hook comes after."""

    async def ask(witness: Node) -> bool:
        await witness.do(
            requests.AddNotificationHook,
            type="event onRead",
            target_id="this",
            notify_url=f"{listener.url}/witness",
        )
        await witness.space()
        posts = await anyio.to_thread.run_sync(listener.take, 2)
        return {path for path, _ in posts} == {"/witness"}

    return ask


@pytest.fixture
def clock() -> Clock:
    """The clock of the service and of the nodes."""
    return Clock()


@pytest.fixture
def options() -> ServiceOptions:
    """The options of the service of a test."""
    return ServiceOptions(allow_private_hooks=True)


@pytest.fixture
async def service(place: Place, options: ServiceOptions, clock: Clock) -> AsyncIterator[Service]:
    """A running service that knows nobody."""
    async with create_service(place, options=options, now=clock) as running:
        yield running


@pytest.fixture
def ask() -> Callable[..., Awaitable[Answer]]:
    """The function `send`: one request, exactly as given."""
    return send


@pytest.fixture
def node(service: Service, clock: Clock) -> Callable[..., Node]:
    """Makes nodes of the service."""

    def make(identity: Identity | None = None, app: App = service) -> Node:
        return Node(app, clock, identity or Identity.generate())

    return make


@pytest.fixture
async def alice(node: Callable[..., Node]) -> Node:
    """A node with a space."""
    return await node().open_space()


@pytest.fixture
async def bob(node: Callable[..., Node]) -> Node:
    """Another one."""
    return await node().open_space()


@pytest.fixture
def restarting(place: Place, options: ServiceOptions, clock: Clock) -> Callable[[], Any]:
    """Starts a service on the test's database, as often as it is called."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Service]:
        async with create_service(place, options=options, now=clock) as running:
            yield running

    return start


@pytest.fixture
def vectors() -> Callable[[str], Any]:
    """Reads a file of vectors, by its path without `.json`."""
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
