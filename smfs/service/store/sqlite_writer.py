"""Who writes to a SQLite file: in place what is short, in a thread what may block."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel

from smfs.errors import ServiceBusy
from smfs.service.store.base import Prepared
from smfs.service.store.seen import Seen
from smfs.service.store.sqlite_jobs import Batch, Job
from smfs.service.store.threads import Outcome, Post, Threads, settle

T = TypeVar("T")

_WAITING: Final = 2000
_TOGETHER: Final = 64
_PREPARING: Final = 2  # at once
_SLOW_S: Final = 0.002  # for a commit, on the average of the last ones
_REMEMBERED: Final = 16  # of these, more or less


class SqliteWriter:
    """Carries out writes, those that come together in one transaction; on the event loop's thread.

    What is short is done in place: on an idle machine two threads that wake each other take longer
    than that. The sync of the disk is left to a thread as soon as there is anybody whom it could
    hold up, or where it has taken long of late.

    Args:
        connection: which writes, and waits for no lock by itself.
        seen: the signatures of reading requests.
        post: has the event loop call something.
        committed: told which spaces were changed.

    Attributes:
        connection: as given.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        seen: Seen,
        post: Post,
        committed: Callable[[Collection[str]], None],
    ) -> None:
        self.connection = connection
        self._seen = seen
        self._post = post
        self._committed = committed
        self._jobs: deque[Job[Any]] = deque()
        self._preparing = Threads(_PREPARING, _WAITING)
        self._thread = Threads(1, 1)
        self._under_way = 0
        self._is_led = False
        self._is_over = False
        self._rests: anyio.Event | None = None
        self._commits_take = 0.0

    async def write(self, prepared: Prepared[T], *, is_short: bool) -> T:
        """As `Store.write`.

        Raises:
            ServiceBusy: also once it ends.
        """
        if self._is_over:
            raise ServiceBusy("the service ends")
        if self._under_way >= _WAITING:
            raise ServiceBusy("too many requests wait for the database")
        self._under_way += 1
        try:
            work = prepared() if is_short else await self._prepared(prepared)
            return await self._carried_out(Job(work, is_short=is_short))
        finally:
            self._under_way -= 1
            self._rest()

    async def _prepared(self, prepared: Prepared[T]) -> Any:
        outcome: Outcome[Any] = Outcome()

        def run() -> None:
            settle(outcome, prepared)
            self._post(outcome.show)

        self._preparing.start(run)
        return await outcome.wait()

    async def _carried_out(self, job: Job[T]) -> T:
        self._jobs.append(job)
        if not self._is_led:
            self._is_led = True
            # Those who come in the same turn of the loop share the transaction.
            await anyio.lowlevel.cancel_shielded_checkpoint()
            self._lead()
        return await job.outcome.wait()

    def _lead(self) -> None:
        """Carries out what waits, until a thread has something to do or nothing waits."""
        while jobs := self._next():
            batch = Batch(self.connection, self._seen, jobs)
            if not batch.is_short or not batch.try_to_begin():
                self._leave(batch, batch.carry_out)
                return
            if self._under_way > 1 or self._commits_take > _SLOW_S:
                self._leave(batch, batch.commit)
                return
            began = time.monotonic()
            batch.commit()
            self._note(time.monotonic() - began)
            self._show(batch.jobs)
        self._is_led = False
        self._rest()

    def _next(self) -> list[Job[Any]]:
        jobs: list[Job[Any]] = []
        while self._jobs and len(jobs) < _TOGETHER:
            job = self._jobs.popleft()
            if not job.outcome.is_abandoned:
                jobs.append(job)
        return jobs

    def _leave(self, batch: Batch, call: Callable[[], None]) -> None:
        """Has the thread do it, and goes on afterwards."""
        jobs = batch.jobs

        def show() -> None:
            self._show(jobs)
            self._lead()

        def run() -> None:
            began = time.monotonic()
            call()
            self._note(time.monotonic() - began)
            self._post(show)

        self._thread.start(run)

    def _note(self, seconds: float) -> None:
        """A disk that takes long is waited for by the thread alone, until it does so no more."""
        self._commits_take += (seconds - self._commits_take) / _REMEMBERED

    def _show(self, jobs: Collection[Job[Any]]) -> None:
        touched = set().union(*(job.touched for job in jobs))
        if touched:
            self._committed(touched)
        for job in jobs:
            job.outcome.show()

    def _rest(self) -> None:
        if self._rests is not None and not self._is_led and not self._under_way:
            self._rests.set()

    async def aclose(self) -> None:
        """Takes no more, and returns once all that was taken is done."""
        self._is_over = True
        if self._is_led or self._under_way:
            self._rests = self._rests or anyio.Event()
            await self._rests.wait()

    def finish(self) -> None:
        """After `aclose`: ends the threads; blocks."""
        self._preparing.finish()
        self._thread.finish()
