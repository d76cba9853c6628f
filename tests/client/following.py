"""Views that follow their feed, each on a wire of its own, and how one waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
import httpx

from smfs.client.cache import Cache
from smfs.client.client import create_client
from smfs.client.embedded import embedded_transport
from smfs.client.feed import State
from smfs.client.known import Changed, Key
from smfs.client.view import View
from smfs.service import Service
from tests.client.conftest import URL, Clock, Passing, Wire

ALICE = "a1" * 32
BOB = "b0" * 32
PATIENCE_S = 10


@dataclass
class Party:
    """One program of a node: its view, and its own way to the service.

    Attributes:
        view: follows once `follow` was called.
        wire: what its requests take.
    """

    view: View
    wire: Wire
    tasks: anyio.abc.TaskGroup
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def id(self) -> str:
        """The node id."""
        return self.view.node_id

    @property
    def state(self) -> State:
        """How far what it knows can be believed."""
        return self.view._feed.state

    async def follow(self, until: State = State.LIVE) -> None:
        """Begins to follow, and waits until it is so far."""
        self._scope, self._ended = anyio.CancelScope(), anyio.Event()

        async def run() -> None:
            with self._scope:
                await self.view.follow()
            self._ended.set()

        self.tasks.start_soon(run)
        await self.is_in(until)

    async def stop(self) -> None:
        """Follows no more."""
        self._scope.cancel()
        with anyio.fail_after(PATIENCE_S):
            await self._ended.wait()

    async def is_in(self, *states: State) -> None:
        """Waits until it is in one of these states."""
        with anyio.fail_after(PATIENCE_S):
            await self.view._feed.wait_for(*states)

    async def sees(self, condition: Callable[[], bool]) -> None:
        """Waits until it knows of something."""
        with anyio.fail_after(PATIENCE_S):
            while not condition():
                await self.view.wait_for_change(self.view.generation)

    async def has(self, secret_id: str, content: bytes) -> None:
        """Waits until an own secret has a content, as it is known here."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                generation = self.view.generation
                version = self.view.own().get(secret_id)
                if version is not None and version.is_here:
                    key = Key("own", "", secret_id)
                    if await self.view.load(key, version) == content:
                        return
                await self.view.wait_for_change(generation)

    def lines(self, since: int) -> list[Changed]:
        """The journal's lines since a generation."""
        found = self.view.changes_since(since)
        assert found is not None
        return found

    @contextlib.contextmanager
    def asks(self, *paths: str) -> Iterator[None]:
        """Makes sure that exactly these requests are made meanwhile, besides the feed's."""
        before = len(self.wire.seen)
        yield
        made = [path for path in self.wire.seen[before:] if path != "/getChanges"]
        assert made == list(paths)


@dataclass
class Crowd:
    """The programs of all nodes at one service.

    Attributes:
        service: may be another one from some moment on.
    """

    service: Service
    clock: Clock
    tasks: anyio.abc.TaskGroup

    def join(self, key: str, *, cache: Cache | None = None, **options: Any) -> Party:
        """Another program; it does not follow yet.

        Args:
            key: its node's secret key.
            cache: of its view.
            **options: of its view.
        """
        wire = Wire(embedded_transport(self.service))
        client = create_client(URL, key, transport=wire, now=self.clock)
        return Party(View(client, cache=cache, **options), wire, self.tasks)


@contextlib.asynccontextmanager
async def held(path: str, party: Party, *, early: bool = False) -> AsyncIterator[anyio.Event]:
    """The next request of a party is held up until the block ends.

    Args:
        path: of the request.
        party: whose it is.
        early: whether it is held before the service sees it; else its answer is.

    Yields:
        what is set once it is held.
    """
    caught, release = anyio.Event(), anyio.Event()

    async def fault(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        response = None if early else await pass_on(request)
        caught.set()
        await release.wait()
        return response or await pass_on(request)

    party.wire.next(path, fault)
    try:
        with anyio.fail_after(PATIENCE_S):
            yield caught
    finally:
        release.set()


@contextlib.asynccontextmanager
async def deaf(party: Party, other: Party, *, early: bool = False) -> AsyncIterator[anyio.Event]:
    """The next page of the feed is held up until the block ends; as `held`.

    Args:
        party: who follows.
        other: another program of the same node.
        early: as for `held`.
    """
    async with held("/getChanges", party, early=early) as caught:
        await other.view.write_own("wake", b"")
        await party.sees(lambda: "wake" in party.view.own())
        if early:
            await caught.wait()
        yield caught
