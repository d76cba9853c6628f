"""Tells the hooks what is in the queue: each message by one replica, again when that fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.abc

from smfs.errors import ServiceBusy, StoreFailed
from smfs.service.delivery_rows import Delivery, DeliveryRows
from smfs.service.hook_rows import HookRows
from smfs.service.hooks import Called, Caller
from smfs.service.meters import HookOutcome, Meters
from smfs.service.store import Store, Transaction
from smfs.service.transaction import Messages

_log: Final = logging.getLogger(__name__)

_AT_ONCE: Final = 16
_LEASE_MS: Final = 30_000  # longer than a call may take
_LOOK_S: Final = 5.0  # for what other replicas have queued and not delivered
_STEP_S: Final = 0.05


@dataclass(frozen=True)
class Retries:
    """How often a message is sent, and when.

    Attributes:
        attempts: at the most.
        first_ms: after the first failure; each pause is four times the one before.
    """

    attempts: int = 6
    first_ms: int = 5000

    def pause_ms(self, attempts: int) -> int:
        """How long to wait after so many."""
        return int(self.first_ms * 4 ** (attempts - 1))


class Notifier:
    """Empties the queue of messages to hooks.

    Args:
        store: where it is.
        caller: calls the URLs.
        retries: when a call failed.
        meters: counts the outcomes.
        now: ms since 1970.
    """

    def __init__(
        self,
        store: Store,
        caller: Caller,
        retries: Retries,
        meters: Meters,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._caller = caller
        self._retries = retries
        self._meters = meters
        self._now = now
        self._free = _AT_ONCE
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Something is in the queue."""
        self._woken.set()

    async def add(self, messages: Messages) -> None:
        """Puts messages into the queue; what has no room is dropped."""

        def add(transaction: Transaction) -> int:
            return DeliveryRows(transaction, self._now()).add(messages)

        try:
            dropped = await self._store.write(lambda: add)
        except (StoreFailed, ServiceBusy) as error:
            _log.warning("notifications were dropped: %s", error)
            dropped = len(messages)
        self.dropped(dropped)
        self.wake()

    def dropped(self, count: int) -> None:
        """So many messages found no room."""
        if count:
            _log.warning("%d notifications were dropped: too many are waiting", count)
        for _ in range(count):
            self._meters.hook(HookOutcome.DROPPED)

    async def count(self) -> int:
        """How many messages wait."""
        return await self._store.read(
            lambda: lambda transaction: DeliveryRows(transaction, self._now()).count()
        )

    async def run(self) -> None:
        """Delivers, until it is cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                woken = self._woken = anyio.Event()
                try:
                    pause = await self._deliver(tasks)
                except (StoreFailed, ServiceBusy) as error:
                    _log.warning("the queue of notifications cannot be read: %s", error)
                    pause = _LOOK_S
                with anyio.move_on_after(pause):
                    await woken.wait()

    async def _deliver(self, tasks: anyio.abc.TaskGroup) -> float:
        """Starts what is due; returns for how many seconds there is nothing more to do."""
        due = await self._store.read(
            lambda: lambda transaction: DeliveryRows(transaction, self._now()).next_due()
        )
        if due is None or not self._free:
            return _LOOK_S
        if due > self._now():
            return min(_LOOK_S, (due - self._now()) / 1000 + _STEP_S)

        def take(transaction: Transaction) -> list[Delivery]:
            now = self._now()
            return DeliveryRows(transaction, now).take(self._free, now + _LEASE_MS)

        taken = await self._store.write(lambda: take)
        for delivery in taken:
            self._free -= 1
            tasks.start_soon(self._call, delivery)
        return 0 if taken and self._free else _LOOK_S

    async def _call(self, delivery: Delivery) -> None:
        try:
            called = await self._caller.call(delivery.url, delivery.body)
            self._meters.hook(HookOutcome.DELIVERED if called.error is None else HookOutcome.FAILED)
            await self._note(delivery, called)
        except (StoreFailed, ServiceBusy) as error:
            # It will be delivered once more: its lease ends.
            _log.warning("the outcome of a notification was lost: %s", error)
        finally:
            self._free += 1
            self.wake()

    async def _note(self, delivery: Delivery, called: Called) -> None:
        def note(transaction: Transaction) -> None:
            HookRows(transaction).note_call(
                delivery.node_id, delivery.hook_id, called.began, called.error
            )
            rows = DeliveryRows(transaction, self._now())
            if called.is_final or delivery.attempts >= self._retries.attempts:
                rows.remove(delivery)
            else:
                pause = self._retries.pause_ms(delivery.attempts)
                rows.later(delivery, math.ceil(self._now() + pause))

        await self._store.write(lambda: note)
