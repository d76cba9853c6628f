"""Several services in this process over one database, asked in turn, which die and come back.

For tests whose clock is not that of the machine. A death is abrupt as far as that goes in one
process: what the service was at is cut off at its next step, who waits for an answer gets none, and
nothing is told to anybody; but a transaction that a thread has begun is finished.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.abc

from smfs.client.embedded import Message, Receive, Send
from smfs.service import Service

COUNT: Final = 3
"""How many there are."""

EVERY: Final = 5
"""At every so many requests one dies."""

_DOWN: Final = 2
"""It comes back after so many further ones."""

_FEED: Final = "/getChanges"


class Died(Exception):
    """The service died before its answer was out."""


@dataclass(eq=False)
class _Replica:
    life: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    service: Service | None = None
    busy: dict[anyio.CancelScope, str] = field(default_factory=dict)
    back_at: int = 0

    @property
    def is_at_something(self) -> bool:
        """Whether somebody waits for it who does not wait for changes."""
        return any(path != _FEED for path in self.busy.values())

    def die(self) -> None:
        """Ends at once."""
        self.service = None
        for scope in self.busy:
            scope.cancel()
        self.life.cancel()


class Rotation:
    """The ASGI application that asks one after the other.

    Args:
        make: makes one.
        tasks: in which they live.
        within: whether they die in the middle of requests, too; else one is chosen of which nobody
            wants anything but to hear of changes.
        first: how soon the first one dies: the number of requests that came before, as it were.

    Attributes:
        deaths: how many died.
    """

    def __init__(
        self, make: Callable[[], Service], tasks: anyio.abc.TaskGroup, *, within: bool, first: int
    ) -> None:
        self._make = make
        self._tasks = tasks
        self._within = within
        self._replicas = [_Replica() for _ in range(COUNT)]
        self._numbers = itertools.count(first + 1)
        self._starting = anyio.Lock()
        self.deaths = 0

    @property
    def node_id(self) -> str:
        """The service's node id."""
        return next(each.service.node_id for each in self._replicas if each.service is not None)

    def end_waiting(self) -> None:
        """As `Service.end_waiting`, of all."""
        for replica in self._replicas:
            if replica.service is not None:
                replica.service.end_waiting()

    async def start(self) -> None:
        """Starts all."""
        for replica in self._replicas:
            await self._begin(replica)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            Died: where a socket would break.
        """
        number = next(self._numbers)
        await self._bring_back(number)
        if number % EVERY == 0 and not self._within:
            self._kill_one_at_nothing(number)
        replica = self._next_alive(number)
        if number % EVERY or not self._within:
            await self._ask(replica, scope, receive, send)
            return
        # At every second death the service had done what was asked.
        if number % (2 * EVERY) == 0:
            await self._ask(replica, scope, receive, _nowhere)
        self._kill(replica, number)
        raise Died

    async def _ask(self, replica: _Replica, scope: Message, receive: Receive, send: Send) -> None:
        service = replica.service
        assert service is not None
        with anyio.CancelScope() as asking:
            replica.busy[asking] = scope["path"]
            try:
                await service(scope, receive, send)
            finally:
                del replica.busy[asking]
        if asking.cancelled_caught:
            raise Died

    def _next_alive(self, number: int) -> _Replica:
        turned = [self._replicas[(number + step) % COUNT] for step in range(COUNT)]
        return next(each for each in turned if each.service is not None)

    def _kill_one_at_nothing(self, number: int) -> None:
        for replica in self._replicas:
            if replica.service is not None and not replica.is_at_something:
                # The next one of them the next time.
                self._replicas.remove(replica)
                self._replicas.append(replica)
                self._kill(replica, number)
                return

    def _kill(self, replica: _Replica, number: int) -> None:
        self.deaths += 1
        replica.back_at = number + _DOWN
        replica.die()

    async def _bring_back(self, number: int) -> None:
        async with self._starting:
            for replica in self._replicas:
                if replica.service is None and number >= replica.back_at:
                    await self._begin(replica)

    async def _begin(self, replica: _Replica) -> None:
        replica.life = anyio.CancelScope()
        await self._tasks.start(self._live, replica)

    async def _live(self, replica: _Replica, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with replica.life:
            async with self._make() as service:
                replica.service = service
                task_status.started()
                await anyio.sleep_forever()


async def _nowhere(_message: Message) -> None:
    """What is said is lost."""


@contextlib.asynccontextmanager
async def rotating(
    make: Callable[[], Service], *, within: bool, first: int = 0
) -> AsyncIterator[Rotation]:
    """Services, as long as the block lasts; arguments as those of `Rotation`."""
    async with anyio.create_task_group() as tasks:
        rotation = Rotation(make, tasks, within=within, first=first)
        await rotation.start()
        yield rotation
        tasks.cancel_scope.cancel()
