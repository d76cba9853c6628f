"""The store in a SQLite file: writes that come together share one commit, reads wait for nobody."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.to_thread

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError, ServiceBusy, StoreFailed, StoreFull
from smfs.service.store.base import Cursor, Prepared, Signature, Store, Transaction, Undone, Work
from smfs.service.store.seen import Seen
from smfs.service.store.sqlite_file import BUSY_S, connect, is_locked, open_database
from smfs.service.store.threads import Outcome, Post, Threads, poster, settle
from smfs.service.store.watch import Watch
from smfs.service.waiting import Waiting

T = TypeVar("T")

_THREADS: Final = 4
_WAITING: Final = 2000
_TOGETHER: Final = 64
# A full disk is SQLITE_FULL; a quota of the file system shows as an error of writing.
_NO_ROOM: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)


class _Transaction(Transaction):
    def __init__(self, connection: sqlite3.Connection, seen: Seen, *, is_reading: bool) -> None:
        super().__init__()
        self._connection = connection
        self._seen = seen
        self._is_reading = is_reading

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self._connection.execute(statement, parameters)

    def use_signature(self, signature: Signature, *, keep: bool) -> bool:
        if self._is_reading:
            return self._seen.use(signature, keep=keep)
        return super().use_signature(signature, keep=keep)

    def forget_signatures(self, before: int) -> None:
        super().forget_signatures(before)
        self._seen.forget(before)


class _Job(Generic[T]):
    """One write: what it is, until when it may begin, and what it comes to."""

    def __init__(self, prepared: Prepared[T]) -> None:
        self.prepared = prepared
        self.outcome: Outcome[T] = Outcome()
        self.ends_at = time.monotonic() + BUSY_S
        self.touched: set[str] = set()
        self._work: Work[T] = _unprepared

    def prepare(self) -> None:
        self._work = self.prepared()

    def carry_out(
        self, connection: sqlite3.Connection, seen: Seen, *, is_alone: bool
    ) -> Callable[[], None]:
        """Does it within a transaction; returns what to do once that is committed.

        Args:
            connection: in a transaction.
            seen: the signatures of reading requests.
            is_alone: whether nothing else is in that transaction.
        """
        transaction = _Transaction(connection, seen, is_reading=False)
        if not is_alone:
            connection.execute("SAVEPOINT job")
        try:
            value = self._work(transaction)
        except sqlite3.Error:
            raise  # it may have undone the whole transaction
        except Exception as error:  # noqa: BLE001 - raised again, where somebody waits for it
            failure = error
            _undo(connection, is_alone=is_alone)
            return lambda: settle(self.outcome, lambda: _outcome_of(failure))
        if not is_alone:
            connection.execute("RELEASE job")

        def done() -> None:
            self.touched = transaction.touched
            self.outcome.set(value)

        return done


def _undo(connection: sqlite3.Connection, *, is_alone: bool) -> None:
    if is_alone:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        return
    connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _unprepared(transaction: Transaction) -> Any:
    del transaction
    raise RuntimeError("what was not prepared cannot be carried out")


def _outcome_of(error: Exception) -> Any:
    if isinstance(error, Undone):
        return error.outcome
    raise error


class SqliteStore(Store):
    """One file, which other processes may use at the same time.

    Args:
        path: the file; it is made, mode 0600, where there is none.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._seen: Seen | None = None
        self._threads = Threads(_THREADS, _WAITING)
        self._post: Post = _nowhere
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._jobs: deque[_Job[Any]] = deque()
        self._leading = threading.Lock()

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
        self._writer, identity = open_database(self.path, wanted)
        try:
            self._seen = Seen(self.path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"cannot use a file beside {self.path}: {error}") from None
        return identity

    async def aclose(self) -> None:
        """As `Store.aclose`."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._threads.finish()
        for connection in (*self._readers, self._writer):
            if connection is not None:
                connection.close()
        if self._seen is not None:
            self._seen.close()
        self._readers, self._writer, self._seen = [], None, None

    def _start(self, outcome: Outcome[T], call: Callable[[], T]) -> None:
        def run() -> None:
            settle(outcome, call)
            self._post(outcome.show)

        self._threads.start(run)

    # --- reading ------------------------------------------------------------------------------

    async def read(self, prepared: Prepared[T]) -> T:
        """As `Store.read`."""
        outcome: Outcome[T] = Outcome()
        self._start(outcome, lambda: self._read(prepared))
        return await outcome.wait()

    async def check(self) -> None:
        """As `Store.check`."""
        await self.read(lambda: lambda opened: opened.execute("SELECT schema FROM service"))

    def _read(self, prepared: Prepared[T]) -> T:
        work = prepared()
        if self._seen is None:
            raise RuntimeError("the service is not running")
        try:
            with self._reader() as connection, _transaction(connection, "BEGIN"):
                value = work(_Transaction(connection, self._seen, is_reading=True))
        except Undone as undone:
            value = undone.outcome
        return value

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = connect(self.path, query_only=True)
            try:
                yield connection
            finally:
                self._readers.append(connection)
        except sqlite3.Error as error:
            raise _translated(error) from None

    # --- writing ------------------------------------------------------------------------------

    async def write(self, prepared: Prepared[T]) -> T:
        """As `Store.write`."""
        job = _Job(prepared)
        self._threads.start(lambda: self._write(job))
        return await job.outcome.wait()

    def _write(self, job: _Job[Any]) -> None:
        """Prepares it here; carries it out here too, unless another thread does so already."""
        try:
            job.prepare()
        except Exception as error:  # noqa: BLE001 - raised again, where somebody waits for it
            job.outcome.fail(error)
            self._post(job.outcome.show)
            return
        self._jobs.append(job)
        # Looked at again after letting go: what came in between is not to be left.
        while self._jobs and self._leading.acquire(blocking=False):
            try:
                self._lead()
            finally:
                self._leading.release()

    def _lead(self) -> None:
        """Carries out what waits in one transaction."""
        jobs: list[_Job[Any]] = []
        while self._jobs and len(jobs) < _TOGETHER:
            jobs.append(self._jobs.popleft())
        try:
            self._carry_out(jobs)
        except sqlite3.Error:
            # All of them are undone for one's fault; alone each has its own outcome.
            for job in jobs:
                self._carry_out_alone(job)
        except Exception as error:  # noqa: BLE001 - raised again, where somebody waits for it
            for job in jobs:
                job.outcome.fail(error)
        self._show(jobs)

    def _carry_out_alone(self, job: _Job[Any]) -> None:
        try:
            self._carry_out([job])
        except sqlite3.Error as error:
            job.outcome.fail(_translated(error))

    def _carry_out(self, jobs: list[_Job[Any]]) -> None:
        if self._writer is None or self._seen is None:
            raise RuntimeError("the service is not running")
        due = self._begin(self._writer, jobs)
        if not due:
            return
        with _undoing(self._writer):
            is_alone = len(due) == 1
            done = [job.carry_out(self._writer, self._seen, is_alone=is_alone) for job in due]
            self._writer.execute("COMMIT")
        for each in done:
            each()

    def _begin(self, connection: sqlite3.Connection, jobs: list[_Job[Any]]) -> list[_Job[Any]]:
        """Takes the lock; returns whom it did not take too long."""
        while jobs := [job for job in jobs if not job.outcome.is_abandoned]:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise
            else:
                return jobs
            late = time.monotonic()
            for job in jobs:
                if job.ends_at <= late:
                    job.outcome.fail(ServiceBusy("another process keeps the database locked"))
            jobs = [job for job in jobs if job.ends_at > late]
        return []

    def _show(self, jobs: list[_Job[Any]]) -> None:
        def show() -> None:
            touched = set().union(*(job.touched for job in jobs))
            if touched:
                self.committed(touched)
            for job in jobs:
                job.outcome.show()

        self._post(show)

    async def watch(self, waiting: Waiting) -> None:
        """As `Store.watch`: looks at the file from time to time."""
        await Watch(self.path, waiting).run()


def _nowhere(call: Callable[[], None]) -> None:
    del call
    raise RuntimeError("the service is not running")


@contextmanager
def _undoing(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # A full disk, for one, has undone it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    with _undoing(connection):
        yield
        connection.execute("COMMIT")


def _translated(error: sqlite3.Error) -> Exception:
    # Codes and their names, never what was asked.
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if is_locked(error):
        return ServiceBusy("another process keeps the database locked")
    if getattr(error, "sqlite_errorcode", 0) in _NO_ROOM:
        return StoreFull(name)
    return StoreFailed(name)
