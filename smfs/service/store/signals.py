"""What replicas tell each other: which spaces have changed, soon and seldom lost."""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import anyio
import psycopg

from smfs.service.store.keys import node_key
from smfs.service.store.servers import Servers
from smfs.service.store.threads import Post, poster
from smfs.service.waiting import Waiting

_CHANNEL: Final = "smfs"
_GATHER_S: Final = 0.003
_POLL_S: Final = 2.0
_POLL_ALONE_S: Final = 0.1
_PAUSE_S: Final = 1.0
_CLOSE_S: Final = 1.0
_ID_HEX: Final = 64
_PER_MESSAGE: Final = 120  # PostgreSQL takes less than 8,000 bytes
_PER_POLL: Final = 1000


class Signals:
    """Says and hears which spaces have changed.

    A NOTIFY within the transaction of a write would have all commits of the database wait for each
    other (PostgreSQL holds a lock over the whole commit); so one connection says afterwards what
    came together in a few milliseconds. What is lost when a replica dies is found by a slow poll.

    Args:
        conninfo: for libpq.
        servers: told of the connections.
        notify: whether to; else the poll is quick and alone.
    """

    def __init__(self, conninfo: str, servers: Servers, *, notify: bool) -> None:
        self._conninfo = conninfo
        self._servers = servers
        self._notify = notify
        self._untold: deque[str] = deque()
        self._changed = threading.Event()
        self._end = threading.Event()
        self._ended, self._ending = os.pipe()  # readable once it is closed at the other end
        self._threads: list[threading.Thread] = []
        if notify:
            self._start(self._say)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, name="signals", daemon=True)
        self._threads.append(thread)
        thread.start()

    def tell(self, node_ids: Iterable[str]) -> None:
        """These spaces have changed; for any thread, and never waits."""
        if self._notify:
            self._untold.extend(node_ids)
            self._changed.set()

    async def run(self, waiting: Waiting) -> None:
        """Wakes who waits, until it is cancelled."""
        self._start(self._hear, waiting, poster())
        await anyio.sleep_forever()

    def close(self) -> None:
        """Ends the threads, but for one that a dead server holds up; blocks for a moment."""
        self._end.set()
        self._changed.set()
        os.close(self._ending)
        ends_at = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._ended)
        self._threads.clear()

    # --- threads ------------------------------------------------------------------------------

    def _connected(self) -> psycopg.Connection[Any]:
        made = psycopg.connect(self._conninfo, autocommit=True)
        self._servers.add(made)
        return made

    def _say(self) -> None:
        while not self._end.is_set():
            try:
                with self._connected() as connection:
                    # The last things are said, too; and what `_say_all` clears may be the end's.
                    while not self._end.is_set() or self._untold:
                        self._changed.wait()
                        self._say_all(connection)
            except psycopg.Error:
                # What was taken and not said is found by the others' polls.
                self._end.wait(_PAUSE_S)

    def _say_all(self, connection: psycopg.Connection[Any]) -> None:
        time.sleep(_GATHER_S)
        self._changed.clear()
        node_ids = list({self._untold.popleft() for _ in range(len(self._untold))})
        for start in range(0, len(node_ids), _PER_MESSAGE):
            message = "".join(node_ids[start : start + _PER_MESSAGE])
            connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, message))

    def _hear(self, waiting: Waiting, post: Post) -> None:
        while not self._end.is_set():
            try:
                with self._connected() as connection:
                    if self._notify:
                        connection.execute(f"LISTEN {_CHANNEL}".encode())
                    while not self._end.is_set():
                        # First of all: nobody has said what happened before it listened.
                        self._poll(connection, waiting, post)
                        self._hear_for_a_while(connection, waiting, post)
            except psycopg.Error:
                self._end.wait(_PAUSE_S)

    def _hear_for_a_while(
        self, connection: psycopg.Connection[Any], waiting: Waiting, post: Post
    ) -> None:
        if not self._notify:
            self._end.wait(_POLL_ALONE_S)
            return
        ends_at = time.monotonic() + _POLL_S
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._ended, selectors.EVENT_READ)
            while not self._end.is_set() and (left := ends_at - time.monotonic()) > 0:
                selector.select(left)
                for notice in connection.notifies(timeout=0):
                    text = notice.payload
                    parts = [text[at : at + _ID_HEX] for at in range(0, len(text), _ID_HEX)]
                    post(lambda parts=parts: waiting.wake(parts))  # type: ignore[misc]

    @staticmethod
    def _poll(connection: psycopg.Connection[Any], waiting: Waiting, post: Post) -> None:
        waiters = waiting.all()
        keys = sorted({node_key(each.node_id) for each in waiters})
        newest: dict[str, int] = {}
        for start in range(0, len(keys), _PER_POLL):
            rows = connection.execute(
                "SELECT node_id, revision FROM spaces WHERE node_id = ANY(%s)",
                (keys[start : start + _PER_POLL],),
            )
            newest.update((key.hex(), revision) for key, revision in rows)
        for waiter in waiters:
            if newest.get(waiter.node_id) != waiter.since:
                post(waiter.wake)
