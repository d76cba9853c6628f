"""A run: all kinds of workers at a service, for so long, and what is there in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from smfs.errors import ServiceError, ServiceUnavailable
from tests.replicas.hooks import listening
from tests.replicas.ledger import Ledger
from tests.replicas.once import Codes, OneTime, Replayer
from tests.replicas.replicas import Killer, Replicas
from tests.replicas.told import Following, Hooked, Owner, Sharer
from tests.replicas.workers import Place, Worker

_PATIENCE_S: Final = 60.0

KINDS: Final[Sequence[type[Worker]]] = (
    *[Owner] * 3, *[Sharer] * 2, *[OneTime] * 2, Codes, Replayer, Hooked
)  # fmt: skip
"""Who works in a run, unless somebody says otherwise."""


@dataclass
class Run:
    """One run.

    Args:
        url: of the service.
        seconds: how long it is used.
        kinds: who uses it.
        wanted: what is to be done at least once; a slow machine is given longer for it.

    Attributes:
        ledger: what came of it.
    """

    url: str
    seconds: float
    kinds: Sequence[type[Worker]] = KINDS
    wanted: frozenset[str] = frozenset()
    ledger: Ledger = field(default_factory=Ledger)
    _has_seen_enough: Callable[[], bool] = lambda: True

    async def at(self, replicas: Replicas, every: float, *, deaths: int = 0) -> None:
        """The run, while replicas die every so many seconds.

        Args:
            replicas: the service.
            every: as `Killer` takes it.
            deaths: how many there are to be; a slow machine is given longer for them.
        """
        self._has_seen_enough = lambda: len(replicas.deaths) >= deaths

        async def use(work: Callable[[], Awaitable[None]]) -> None:
            killer = Killer(replicas, every)
            with killer:
                await work()
                await trio.to_thread.run_sync(killer.stop)

        async with listening() as heard:
            place = Place(self.url, self.ledger, heard)
            await self._through(place, use)
            doubled = heard.doubled(replicas.deaths)
        self.ledger.expect(f"hooks were told of {doubled} writes twice", holds=not doubled)

    async def undisturbed(self) -> None:
        """The run, at a service that nobody kills, and with hooks only where it may call them."""
        async with listening() as heard:
            await self._through(Place(self.url, self.ledger, heard), _just)

    async def _through(
        self, place: Place, use: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        workers = [kind(place) for kind in self.kinds]
        async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as followers:
            for worker in workers:
                stack.push_async_callback(worker.aclose)
            begun = await self._all(workers, lambda worker: worker.begin())
            for worker in begun:
                if isinstance(worker, Following):
                    followers.start_soon(worker.follow)
            ends = trio.current_time() + self.seconds
            await use(lambda: self._work(begun, ends))
            await self._all(begun, lambda worker: worker.end())
            followers.cancel_scope.cancel()

    async def _work(self, workers: Sequence[Worker], ends: float) -> None:
        async def work(worker: Worker) -> None:
            while self._goes_on(ends):
                await self._does(worker, lambda worker: worker.step())

        async with trio.open_nursery() as tasks:
            for worker in workers:
                tasks.start_soon(work, worker)

    def _goes_on(self, ends: float) -> bool:
        late = trio.current_time() - ends
        is_done = self._has_seen_enough() and self.ledger.done.keys() >= self.wanted
        return late < 0 or (late < _PATIENCE_S and not is_done)

    async def _all(
        self, workers: Sequence[Worker], act: Callable[[Worker], Awaitable[None]]
    ) -> list[Worker]:
        """Has all do something at once; those that were able to."""
        able: list[Worker] = []

        async def one(worker: Worker) -> None:
            if await self._does(worker, act):
                able.append(worker)

        async with trio.open_nursery() as tasks:
            for worker in workers:
                tasks.start_soon(one, worker)
        return able

    async def _does(self, worker: Worker, act: Callable[[Worker], Awaitable[None]]) -> bool:
        """Notes what a client is told instead of an answer; whether there was none of that."""
        try:
            await act(worker)
        except (ServiceError, ServiceUnavailable) as error:
            await worker.failed(type(worker).__name__, error)
            return False
        return True


async def _just(work: Callable[[], Awaitable[None]]) -> None:
    await work()
