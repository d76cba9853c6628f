"""Notices what other processes commit to the same file, for those who wait for it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from smfs.service.store.keys import node_key
from smfs.service.waiting import Waiter, Waiting

_PAUSE_S: Final = 0.03


class Watch:
    """Looks at the file from time to time as long as somebody waits.

    Args:
        path: the database.
        waiting: whom to wake.
    """

    def __init__(self, path: Path, waiting: Waiting) -> None:
        self._path = path
        self._waiting = waiting
        self._thread = anyio.CapacityLimiter(1)
        self._stop = threading.Event()
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None

    async def run(self) -> None:
        """Watches until it is cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_in_the_end)
                while True:
                    await self._waiting.somebody()
                    for waiter in await anyio.to_thread.run_sync(self._look, limiter=self._thread):
                        waiter.wake()
        finally:
            if self._connection is not None:
                self._connection.close()

    async def _stop_in_the_end(self) -> None:
        # What runs in a thread cannot be cancelled.
        try:
            await anyio.sleep_forever()
        finally:
            self._stop.set()

    def _look(self) -> list[Waiter]:
        """Those whose spaces have changed; none once nobody waits. Blocks."""
        changed: list[Waiter] = []
        while not changed and self._waiting.all() and not self._stop.wait(_PAUSE_S):
            try:
                changed = self._changed(self._opened())
            except sqlite3.Error:
                # Somebody closes or repairs the file; what was missed is seen the next time.
                continue
        return changed

    def _changed(self, connection: sqlite3.Connection) -> list[Waiter]:
        [version] = connection.execute("PRAGMA data_version").fetchone()
        if version == self._seen:
            return []
        # Only now: whoever is not among them yet looks for himself after this commit.
        waiters = self._waiting.all()
        # Each space once: one node may have thousands of requests wait.
        newest = {
            node_id: _revision(connection, node_id) for node_id in {w.node_id for w in waiters}
        }
        self._seen = version
        return [each for each in waiters if newest[each.node_id] != each.since]

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            # It reads without a lock that anybody could hold.
            self._connection = sqlite3.connect(
                self._path, timeout=0, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA query_only = ON")
        return self._connection


def _revision(connection: sqlite3.Connection, node_id: str) -> int | None:
    """The newest revision of a space; None where there is no such space any more."""
    row = connection.execute(
        "SELECT revision FROM spaces WHERE node_id = ?", (node_key(node_id),)
    ).fetchone()
    return row[0] if row else None
