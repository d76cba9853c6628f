"""The change feed at work: one request of it may be looked at many times before it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from smfs.errors import ServiceBusy
from smfs.protocol.changes import LONGEST_WAIT_MS
from smfs.protocol.requests import GetChanges
from smfs.service.domain import Page
from smfs.service.http import Disconnected, Receive
from smfs.service.transaction import Done, Messages, Rejected, Worker
from smfs.service.waiting import Waiter, Waiting

_DISCONNECT: Final = "http.disconnect"
_LOOKING_AT_ONCE: Final = 8
_LOOKING_S: Final = 10.0


class Feed:
    """Answers getChanges.

    Args:
        worker: looks for changes.
        waiting: who waits for them.
    """

    def __init__(self, worker: Worker, waiting: Waiting) -> None:
        self._worker = worker
        self._waiting = waiting
        # Thousands who are woken at once are not to fill the queue of the database.
        self._looking = anyio.CapacityLimiter(_LOOKING_AT_ONCE)

    async def carry_out(
        self, request: GetChanges, receive: Receive, messages: Callable[[Done], Messages]
    ) -> Done | Rejected:
        """One request; waits as long as it says and nothing has changed.

        Args:
            request: of the right shape.
            receive: of its ASGI connection, after the body.
            messages: as of `Worker.carry_out`.

        Raises:
            Disconnected: when who asks is gone before he is answered.
            TooManyRequests: when too many of the node's requests wait already.
            BadRequest, ServiceBusy, StoreFailed: as `Worker.carry_out`.
        """
        seconds = min(request.wait, LONGEST_WAIT_MS) / 1000
        if seconds <= 0:
            return await self._worker.carry_out(request, messages)
        ends_at = anyio.current_time() + seconds
        with self._waiting.one(request.public_key, request.since) as waiter:
            outcome = await self._worker.carry_out(request, messages)
            if _is_idle(outcome):
                # Only now is it known who asks.
                waiter.admit()
            while _is_idle(outcome) and anyio.current_time() < ends_at:
                if not self._waiting.is_over:
                    await _changed(waiter, receive, ends_at)
                with anyio.move_on_after(_LOOKING_S) as looking:
                    async with self._looking:
                        # In the end there may be no database any more; and nothing has changed.
                        if self._waiting.is_over:
                            break
                        outcome = await self._worker.look_again(request)
                if looking.cancelled_caught:
                    raise ServiceBusy("too many wait for the database")
            return outcome


def _is_idle(outcome: Done | Rejected) -> bool:
    if isinstance(outcome, Rejected):
        return False
    return isinstance(outcome.answer, Page) and outcome.answer.is_idle


async def _changed(waiter: Waiter, receive: Receive, ends_at: float) -> None:
    """Waits for a change or the end; raises Disconnected when who asks is gone before."""
    is_gone = False

    async def listen() -> None:
        nonlocal is_gone
        message = await receive()
        if message["type"] == _DISCONNECT:
            is_gone = True
            tasks.cancel_scope.cancel()

    with anyio.CancelScope(deadline=ends_at):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await waiter.changed()
            tasks.cancel_scope.cancel()
    if is_gone:
        raise Disconnected
