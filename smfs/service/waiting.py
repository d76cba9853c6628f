"""Requests that wait until a space changes, at the cost of an event for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import anyio

from smfs.errors import TooManyRequests


class Waiter:
    """One request that waits.

    Args:
        node_id: of the space.
        since: the revision that the request knows.
        admitted: those of the node that have been let in to wait.
        most: how many these may be; 0: any number.
    """

    def __init__(self, node_id: str, since: float, admitted: set[Waiter], most: int) -> None:
        self.node_id = node_id
        self.since = since
        self._admitted = admitted
        self._most = most
        self._changed = anyio.Event()

    def admit(self) -> None:
        """Its signature fits, so it counts.

        Raises:
            TooManyRequests: when it is one too many.
        """
        if self._most and len(self._admitted) >= self._most:
            raise TooManyRequests(is_rate=False)
        self._admitted.add(self)

    def wake(self) -> None:
        """The space may have changed."""
        self._changed.set()

    async def changed(self) -> None:
        """Waits until it was woken since the last time."""
        await self._changed.wait()
        self._changed = anyio.Event()


class Waiting:
    """Who waits for which space.

    Args:
        most: how many requests of one node may wait; 0: any number.

    Attributes:
        is_over: whether nobody is to wait any more, because the service stops.
    """

    def __init__(self, most: int = 0) -> None:
        self.is_over = False
        self._most = most
        self._waiters: dict[str, set[Waiter]] = {}
        self._admitted: dict[str, set[Waiter]] = {}
        self._somebody = anyio.Event()

    @contextmanager
    def one(self, node_id: str, since: float) -> Iterator[Waiter]:
        """A request waits as long as the block lasts.

        Who looks for changes within the block misses none: one that comes later wakes.
        """
        admitted = self._admitted.setdefault(node_id, set())
        waiter = Waiter(node_id, since, admitted, self._most)
        self._waiters.setdefault(node_id, set()).add(waiter)
        self._somebody.set()
        try:
            yield waiter
        finally:
            self._remove(waiter)

    def _remove(self, waiter: Waiter) -> None:
        others = self._waiters[waiter.node_id]
        others.discard(waiter)
        self._admitted[waiter.node_id].discard(waiter)
        if not others:
            del self._waiters[waiter.node_id], self._admitted[waiter.node_id]
        if not self._waiters:
            self._somebody = anyio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._admitted.values()))

    async def somebody(self) -> None:
        """Waits until there is somebody who waits."""
        await self._somebody.wait()

    def all(self) -> list[Waiter]:
        """Everybody who waits; for any thread."""
        # Each copy is one step of the interpreter.
        return [waiter for same in list(self._waiters.values()) for waiter in same.copy()]

    def wake(self, node_ids: Iterable[str]) -> None:
        """These spaces have changed."""
        for node_id in node_ids:
            for waiter in self._waiters.get(node_id, ()):
                waiter.wake()

    def end(self) -> None:
        """Lets all go, and nobody wait from now on."""
        self.is_over = True
        for waiter in self.all():
            waiter.wake()
