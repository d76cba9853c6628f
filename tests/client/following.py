"""Views that follow their feed, each on a wire of its own, and how one waits for them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
from smfs.crypto.box import box_from_json, open_box, seal_box
from smfs.service import Service
from tests.client.conftest import URL, Clock, Fault, Faults, Passing, Wire

ALICE = "a1" * 32
BOB = "b0" * 32
PATIENCE_S = 6


class Gate:
    """A place where requests, or their answers, can be held up."""

    def __init__(self) -> None:
        self._caught = anyio.Event()
        self._open = anyio.Event()
        self._open.set()

    async def passed(self) -> None:
        """Returns once it is open."""
        if not self._open.is_set():
            self._caught.set()
        await self._open.wait()

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[anyio.Event]:
        """Closed until the block ends, which must be soon.

        Yields:
            what is set once something waits.
        """
        self._caught, self._open = anyio.Event(), anyio.Event()
        try:
            with anyio.fail_after(PATIENCE_S):
                yield self._caught
        finally:
            self._open.set()


@dataclass
class Party:
    """One program of a node: its view, and its own way to the service.

    Attributes:
        view: follows once `follow` was called.
        wire: what its requests take.
        start: as `Crowd.start`.
        asking, answered: before and after the service has a request of its feed.
    """

    view: View
    wire: Wire
    start: Callable[..., None]
    asking: Gate = field(default_factory=Gate)
    answered: Gate = field(default_factory=Gate)
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _ended: anyio.Event = field(default_factory=anyio.Event)
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    def __post_init__(self) -> None:
        """The feed's requests pass two gates."""

        async def gated(request: httpx.Request, pass_on: Passing) -> httpx.Response:
            await self.asking.passed()
            response = await pass_on(request)
            await self.answered.passed()
            return response

        self.wire.always("/getChanges", gated)

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

        self.view._feed.begin()  # it is off no more
        self.start(run)
        await self.is_in(until)

    async def stop(self) -> None:
        """Follows no more."""
        self._scope.cancel()
        with anyio.fail_after(PATIENCE_S):
            await self._ended.wait()

    async def again(self) -> None:
        """Stops to follow for a moment, if it follows."""
        async with self._turn:
            if self.state is not State.OFF:
                await self.stop()
                await self.follow(until=State.STARTING)

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
                    opened = await self.view.opened(key)
                    if await self.view.load(key, opened) == content:
                        return
                await self.view.wait_for_change(generation)

    async def hears_of(self, other: Party) -> None:
        """Waits until it knows all that is on the service, when `other` writes something."""
        written = await other.view.write_own("wake", b"")
        await self.sees(lambda: self.view._feed.cursor[1] >= (written.revision or 0))

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


def altered(party: Party, change: Callable[[Any], Any]) -> Fault:
    """The service changes the pages of the feed before it seals and sends them.

    Args:
        party: who asks for them.
        change: makes another JSON value of one.
    """

    async def fault(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        response = await pass_on(request)
        if response.status_code != 200 or b'"error"' in response.content:
            return response
        box = box_from_json(response.json())
        page = change(json.loads(open_box(party.view.client.identity, box)))
        sealed = seal_box(party.id, json.dumps(page).encode()).to_json()
        headers = {"smfs-receipt": response.headers["smfs-receipt"]}
        return httpx.Response(200, json=sealed, headers=headers, request=request)

    return fault


@dataclass
class Crowd:
    """The programs of all nodes at one service.

    Attributes:
        service: where they are.
        clock: everybody's.
        tasks: in which they run.
        failures: what ended one of them.
    """

    service: Service
    clock: Clock
    tasks: anyio.abc.TaskGroup
    failures: list[Exception] = field(default_factory=list)

    def start(self, function: Callable[..., Awaitable[object]], *arguments: object) -> None:
        """Has something done beside the test; what it raises is kept in `failures`."""

        async def run() -> None:
            try:
                await function(*arguments)
            except Exception as error:  # noqa: BLE001 - the runner of the tests would die of it
                self.failures.append(error)

        self.tasks.start_soon(run)

    def join(self, key: str, *, cache: Cache | None = None, **options: Any) -> Party:
        """Another program; it does not follow yet.

        Args:
            key: its node's secret key.
            cache: of its view.
            **options: of its view.
        """
        wire = Wire(embedded_transport(self.service))
        client = create_client(URL, key, transport=wire, now=self.clock)
        return Party(View(client, cache=cache, **options), wire, self.start)


@contextlib.asynccontextmanager
async def held(path: str, party: Party) -> AsyncIterator[anyio.Event]:
    """The next answer to a request of a party is held up until the block ends.

    Yields:
        what is set once the service has answered.
    """
    gate = Gate()
    party.wire.next(path, Faults.after(gate.passed))
    async with gate.closed() as answered:
        yield answered


@contextlib.asynccontextmanager
async def deaf(party: Party, other: Party, *, early: bool = False) -> AsyncIterator[anyio.Event]:
    """The feed tells a party of nothing more until the block ends.

    Args:
        party: who follows.
        other: another program of the same node.
        early: whether its request is held before the service sees it; else the first page of what
            happens in the block is made, and on its way.

    Yields:
        what is set once a page is on its way.
    """
    await party.hears_of(other)
    async with (party.asking if early else party.answered).closed() as caught:
        if early:
            await other.view.write_own("wake", b"")
            await caught.wait()
        yield caught


async def fill(twin: Party, count: int = 12) -> None:
    """Sets so many secrets."""
    for number in range(count):
        await twin.view.write_own(f"s{number}", f"{number}".encode())


def with_change(**change: Any) -> Callable[[Any], Any]:
    """A page with one more change, in its order.

    It is far ahead: the service must see at the next request that it never was so far, and not,
    by a write that comes in between, believe that it was.
    """

    def made(page: Any) -> Any:
        revision = page["revision"] + 1000
        more = {"revision": revision, **change}
        return {**page, "revision": revision, "changes": [*page["changes"], more]}

    return made


@contextlib.asynccontextmanager
async def gathered(service: Service, clock: Clock) -> AsyncIterator[Crowd]:
    """Whoever comes to a service; all of them go at the end, and none has failed."""
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(service, clock, tasks)
        yield crowd
        tasks.cancel_scope.cancel()
    if crowd.failures:
        raise crowd.failures[0]
