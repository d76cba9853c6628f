"""Writes to a SQLite file that share one transaction, and with it one sync of the disk."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

from smfs.errors import ServiceBusy, StoreFailed, StoreFull
from smfs.service.store.base import Cursor, Signature, Transaction, Undone, Work
from smfs.service.store.seen import Seen
from smfs.service.store.sqlite_file import BUSY_S, is_full, is_locked
from smfs.service.store.threads import Outcome

T = TypeVar("T")

_PAUSES_S: Final = (0.0005, 0.001, 0.002, 0.005)  # between looks whether the lock is free


class SqliteTransaction(Transaction):
    """A transaction on one connection.

    Args:
        connection: which.
        seen: the signatures of reading requests.
        is_reading: whether it is one.
    """

    def __init__(self, connection: sqlite3.Connection, seen: Seen, *, is_reading: bool) -> None:
        super().__init__()
        self._connection = connection
        self._seen = seen
        self._is_reading = is_reading

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        """As `Transaction.execute`."""
        return self._connection.execute(statement, parameters)

    def use_signature(self, signature: Signature, *, keep: bool) -> bool:
        """As `Transaction.use_signature`."""
        if self._is_reading:
            return self._seen.use(signature, keep=keep)
        return super().use_signature(signature, keep=keep)

    def forget_signatures(self, before: int) -> None:
        """As `Transaction.forget_signatures`."""
        super().forget_signatures(before)
        self._seen.forget(before)


class Job(Generic[T]):
    """One write.

    Attributes:
        outcome: what it comes to.
        is_short: whether it takes less than a hand-over to a thread.
        ends_at: until when it may begin, by `time.monotonic`.
        touched: the spaces that it has changed.
    """

    def __init__(self, work: Work[T], *, is_short: bool) -> None:
        self.outcome: Outcome[T] = Outcome()
        self.is_short = is_short
        self.ends_at = time.monotonic() + BUSY_S
        self.touched: set[str] = set()
        self._work = work

    def carry_out(
        self, connection: sqlite3.Connection, seen: Seen, *, is_alone: bool
    ) -> Callable[[], None]:
        """Does it within a transaction; returns what to do once that is committed.

        Args:
            connection: in a transaction.
            seen: the signatures of reading requests.
            is_alone: whether nothing else is in that transaction.
        """
        transaction = SqliteTransaction(connection, seen, is_reading=False)
        if not is_alone:
            connection.execute("SAVEPOINT job")
        try:
            value = self._work(transaction)
        except sqlite3.Error:
            raise  # it may have undone the whole transaction
        except Undone as undone:
            _undo(connection, is_alone=is_alone)
            return partial(self.outcome.set, undone.outcome)
        except Exception as error:  # noqa: BLE001 - raised again, where somebody waits for it
            _undo(connection, is_alone=is_alone)
            return partial(self.outcome.fail, error)
        if not is_alone:
            connection.execute("RELEASE job")

        def done() -> None:
            self.touched = transaction.touched
            self.outcome.set(value)

        return done


class Batch:
    """Writes that share a transaction.

    Args:
        connection: for writing; it waits for no lock by itself.
        seen: the signatures of reading requests.
        jobs: the writes.
    """

    def __init__(
        self, connection: sqlite3.Connection, seen: Seen, jobs: Sequence[Job[Any]]
    ) -> None:
        self.jobs = jobs
        self._connection = connection
        self._seen = seen
        self._done: list[Callable[[], None]] = []

    @property
    def is_short(self) -> bool:
        """Whether all of them are."""
        return all(job.is_short for job in self.jobs)

    def try_to_begin(self) -> bool:
        """Carries out all, but for the commit, if that is possible without waiting for anybody.

        Returns:
            False: nothing is done; `carry_out` will wait, or find out whose fault it was.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._work()
        except sqlite3.Error:
            return False
        return True

    def commit(self) -> None:
        """After `try_to_begin`: lets everything be, on disk; blocks."""
        self._guarded(self._commit)

    def carry_out(self) -> None:
        """Everything, the commit included; blocks, also while somebody else has the lock."""
        self._guarded(self._whole)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except sqlite3.Error as error:
            if len(self.jobs) == 1:
                self.jobs[0].outcome.fail(translated(error))
                return
            # All of them are undone for one's fault; alone each has its own outcome.
            for job in self.jobs:
                Batch(self._connection, self._seen, [job]).carry_out()
        except Exception as error:  # noqa: BLE001 - raised again, where somebody waits for it
            for job in self.jobs:
                job.outcome.fail(error)

    def _whole(self) -> None:
        self._wait_for_lock()
        if self.jobs:
            self._work()
            self._commit()

    def _wait_for_lock(self) -> None:
        """Takes the lock; leaves out whom that takes too long."""
        pauses = itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1]))
        while self.jobs:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise
            else:
                return
            _PAUSE.wait(next(pauses))
            self._give_up(time.monotonic())

    def _give_up(self, now: float) -> None:
        for job in self.jobs:
            if job.ends_at <= now:
                job.outcome.fail(ServiceBusy("another process keeps the database locked"))
        self.jobs = [job for job in self.jobs if job.ends_at > now and not job.outcome.is_abandoned]

    def _work(self) -> None:
        is_alone = len(self.jobs) == 1
        with Undoing(self._connection):
            self._done = [
                job.carry_out(self._connection, self._seen, is_alone=is_alone) for job in self.jobs
            ]

    def _commit(self) -> None:
        with Undoing(self._connection):
            self._connection.execute("COMMIT")
        for done in self._done:
            done()


_PAUSE: Final = threading.Event()  # that nobody sets


def _undo(connection: sqlite3.Connection, *, is_alone: bool) -> None:
    if is_alone:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        return
    connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


class Undoing:
    """Undoes a transaction when what is done in it fails.

    Args:
        connection: in a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """The transaction has begun."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Undoes it if need be."""
        # A full disk, for one, has undone it already.
        if kind is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def translated(error: sqlite3.Error) -> Exception:
    """What an error of SQLite means to who asked; with codes and their names, never a statement."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if is_locked(error):
        return ServiceBusy("another process keeps the database locked")
    if is_full(error):
        return StoreFull(name)
    return StoreFailed(name)
