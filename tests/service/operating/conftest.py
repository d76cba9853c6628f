"""The layer around a real service, its clock, and what it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from smfs.protocol import canonical
from smfs.protocol.requests import Request
from smfs.service import Service
from smfs.service.operating import Operating, OperatingOptions, PrometheusMeters
from tests.service.operating.backed import Backed, Message, Samples, parsed

if TYPE_CHECKING:
    from tests.service.followers import Follower
    from tests.service.nodes import Answer, App, Node

    Figures = Callable[[Operating], Awaitable[Samples]]
    Ask = Callable[..., Awaitable[Answer]]


@dataclass
class Ticks:
    """A clock that tests set: s since some time."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.seconds


@pytest.fixture
def place(database: Path) -> Path:
    """The layer is the same over either engine."""
    return database


@pytest.fixture
def ticks() -> Ticks:
    """The clock of the layer."""
    return Ticks()


@pytest.fixture
def backed(service: Service) -> Backed:
    """A running service within."""
    return Backed(service)


@pytest.fixture
def meters() -> PrometheusMeters:
    """What counts."""
    return PrometheusMeters()


@pytest.fixture
def operate(backed: Backed, meters: PrometheusMeters, ticks: Ticks) -> Callable[..., Operating]:
    """Puts the layer around the service, with the given options."""

    def make(**options: Any) -> Operating:
        return Operating(backed, OperatingOptions(**options), meters, ticks)

    return make


@pytest.fixture
def coming_from() -> Callable[[App, str], App]:
    """An application as clients of another address see it."""

    def make(app: App, host: str) -> App:
        async def moved(
            scope: Message,
            receive: Callable[[], Awaitable[Message]],
            send: Callable[[Message], Awaitable[None]],
        ) -> None:
            await app({**scope, "client": (host, 50_000)}, receive, send)

        return moved

    return make


@pytest.fixture
def figures(ask: Ask) -> Figures:
    """Reads `/metrics`."""

    async def read(app: Operating) -> Samples:
        answer = await ask(app, "/metrics", method="GET")
        assert answer.status == 200
        return parsed(answer.text)

    return read


@dataclass
class Call:
    """A request whose asker stays on the line, whatever comes of it.

    Attributes:
        waits: set once the service listens for it to hang up.
        gone: set it to hang up.
        status: of the answer, once there is one.
    """

    waits: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    status: int | None = None

    async def run(self, app: App, request: Request) -> None:
        """Asks; returns when there is an answer or none will come."""
        bodies = [canonical.encode(request.to_wire()).encode()]

        async def receive() -> Message:
            if bodies:
                return {"type": "http.request", "body": bodies.pop()}
            self.waits.set()
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.status = message.get("status", self.status)

        headers = [(b"content-type", b"application/json")]
        path = request.path()
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await app({**scope, "client": ("192.0.2.7", 50_000)}, receive, send)


@pytest.fixture
def call() -> Callable[[], Call]:
    """Makes calls."""
    return Call


@pytest.fixture
def waiting(
    alice: Node, follow: Callable[[Node], Follower]
) -> Callable[[Operating], AbstractAsyncContextManager[Call]]:
    """Alice's feed waits for a change as long as the block lasts, and is then answered."""

    @asynccontextmanager
    async def wait(app: Operating) -> AsyncIterator[Call]:
        follower = follow(alice)
        await follower.catch_up()
        one = Call()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one.run, app, follower.request(wait=600_000))
                await one.waits.wait()
                yield one
                await alice.set("woken", "")

    return wait
