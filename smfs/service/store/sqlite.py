"""The store in a SQLite file: writes that come together share one commit, reads wait for nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError
from smfs.service.store.base import Prepared, Store, Undone, Work
from smfs.service.store.seen import Seen
from smfs.service.store.sqlite_file import connect, is_locked, open_database
from smfs.service.store.sqlite_jobs import SqliteTransaction, Undoing, translated
from smfs.service.store.sqlite_writer import SqliteWriter
from smfs.service.store.threads import Outcome, Post, Threads, poster, settle
from smfs.service.store.watch import Watch
from smfs.service.waiting import Waiting

T = TypeVar("T")

_THREADS: Final = 4
_WAITING: Final = 2000


class SqliteStore(Store):
    """One file, which other processes may use at the same time.

    Args:
        path: the file; it is made, mode 0600, where there is none.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._threads = Threads(_THREADS, _WAITING)
        self._post: Post = _nowhere
        self._writer: SqliteWriter | None = None
        self._seen: Seen | None = None
        self._readers: list[sqlite3.Connection] = []
        self._in_place: tuple[sqlite3.Connection, Seen] | None = None
        self._opened = ExitStack()

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    async def open(self, wanted: Identity | None) -> Identity:
        """As `Store.open`; an older file is brought up to date."""
        self._post = poster()
        self._threads.begin()
        outcome: Outcome[Identity] = Outcome()
        self._start(outcome, lambda: self._open(wanted))
        with anyio.CancelScope(shield=True):
            await outcome.ready()
        return await outcome.wait()

    def _open(self, wanted: Identity | None) -> Identity:
        connection, identity = open_database(self.path, wanted)
        self._opened.enter_context(closing(connection))
        try:
            self._seen = self._opened.enter_context(closing(Seen(self.path)))
            in_place = (
                self._opened.enter_context(closing(connect(self.path, query_only=True))),
                self._opened.enter_context(closing(Seen(self.path, wait_s=0))),
            )
            for each in (connection, in_place[0]):
                each.execute("PRAGMA busy_timeout = 0")  # the event loop's thread waits for nobody
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"cannot use a file beside {self.path}: {error}") from None
        self._in_place = in_place
        self._writer = SqliteWriter(connection, self._seen, self._post, self.committed)
        return identity

    async def aclose(self) -> None:
        """As `Store.aclose`."""
        with anyio.CancelScope(shield=True):
            if self._writer is not None:
                await self._writer.aclose()
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._threads.finish()
        if self._writer is not None:
            self._writer.finish()
        for each in self._readers:
            each.close()
        self._opened.close()
        self._readers, self._in_place, self._seen = [], None, None

    def _start(self, outcome: Outcome[T], call: Callable[[], T]) -> None:
        def run() -> None:
            settle(outcome, call)
            self._post(outcome.show)

        self._threads.start(run)

    # --- reading ------------------------------------------------------------------------------

    async def read(self, prepared: Prepared[T], *, is_short: bool = False) -> T:
        """As `Store.read`."""
        if is_short and self._in_place is not None:
            work = prepared()
            connection, seen = self._in_place
            try:
                return _read(connection, seen, work)
            except sqlite3.Error as error:
                if not is_locked(error):
                    raise translated(error) from None
            prepared = lambda: work  # noqa: E731 - it is prepared already
        outcome: Outcome[T] = Outcome()
        self._start(outcome, lambda: self._read_patiently(prepared()))
        return await outcome.wait()

    async def check(self) -> None:
        """As `Store.check`."""
        await self.read(lambda: lambda opened: opened.execute("SELECT schema FROM service"))

    def _read_patiently(self, work: Work[T]) -> T:
        if self._seen is None:
            raise RuntimeError("the service is not running")
        try:
            with self._reader() as connection:
                return _read(connection, self._seen, work)
        except sqlite3.Error as error:
            raise translated(error) from None

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = connect(self.path, query_only=True)
        try:
            yield connection
        finally:
            self._readers.append(connection)

    # --- writing ------------------------------------------------------------------------------

    async def write(self, prepared: Prepared[T], *, is_short: bool = False) -> T:
        """As `Store.write`."""
        if self._writer is None:
            raise RuntimeError("the service is not running")
        return await self._writer.write(prepared, is_short=is_short)

    async def watch(self, waiting: Waiting) -> None:
        """As `Store.watch`: looks at the file from time to time."""
        await Watch(self.path, waiting).run()


def _read(connection: sqlite3.Connection, seen: Seen, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        with Undoing(connection):
            value = work(SqliteTransaction(connection, seen, is_reading=True))
            connection.execute("COMMIT")
    except Undone as undone:
        value = undone.outcome
    return value


def _nowhere(call: Callable[[], None]) -> None:
    del call
    raise RuntimeError("the service is not running")
