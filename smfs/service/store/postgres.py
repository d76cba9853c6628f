"""The store in PostgreSQL, which many replicas share."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import psycopg
import psycopg_pool
from psycopg import errors as sql_errors

from smfs.crypto.identity import Identity
from smfs.errors import ServiceBusy, StoreFailed, StoreFull
from smfs.service.store.base import Cursor, Prepared, Signature, Store, Transaction, Undone, Work
from smfs.service.store.postgres_database import complete, identity_of, shown
from smfs.service.store.signals import Signals
from smfs.service.store.threads import Outcome, Post, Threads, poster, settle
from smfs.service.waiting import Waiting

T = TypeVar("T")

_THREADS: Final = 16
_WAITING: Final = 2000
_PATIENCE_S: Final = 8.0
_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.25
_CLOSE_S: Final = 5.0

_AGAIN: Final = (
    sql_errors.SerializationFailure,
    sql_errors.DeadlockDetected,
    # Two who make the same thing at once: the second one finds it at the second look.
    sql_errors.UniqueViolation,
    sql_errors.LockNotAvailable,
)
_ELSEWHERE: Final = (
    sql_errors.AdminShutdown,
    sql_errors.CrashShutdown,
    sql_errors.CannotConnectNow,
    sql_errors.ReadOnlySqlTransaction,  # a primary that is none any more
    sql_errors.IdleInTransactionSessionTimeout,
)
_NO_ROOM: Final = (sql_errors.DiskFull, sql_errors.OutOfMemory)
_PLACE: Final = re.compile(r"\?(\d*)")


class _Connection(psycopg.Connection[Any]):
    """A connection that knows whether the server has warned of something.

    A commit whose wait for the standby was cancelled says that it went well, and warns.
    """

    is_warned = False

    def listen_to_warnings(self) -> None:
        """Begins to take notice."""
        self.add_notice_handler(self._note)

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        self.is_warned = self.is_warned or notice.severity_nonlocalized == "WARNING"


class _Committed(Undone):
    """Raised within work: an earlier attempt that was in doubt had been committed."""


class _Attempts:
    """The attempts of one transaction.

    Attributes:
        in_doubt: what one was to return that may have been committed though nobody heard of it;
            if it was, the next one finds the signature used.
    """

    def __init__(self) -> None:
        self.ends_at = time.monotonic() + _PATIENCE_S
        self.pause = _FIRST_PAUSE_S
        self.in_doubt: tuple[Any] | None = None

    def wait(self) -> None:
        """Waits for the next one; ServiceBusy when there is none."""
        if time.monotonic() + self.pause > self.ends_at:
            raise ServiceBusy("the database cannot be reached")
        time.sleep(self.pause)
        self.pause = min(2 * self.pause, _LONGEST_PAUSE_S)


class _Transaction(Transaction):
    locking = " FOR UPDATE"

    def __init__(
        self, connection: psycopg.Connection[Any], attempts: _Attempts, *, is_reading: bool
    ) -> None:
        super().__init__()
        self._connection = connection
        self._attempts = attempts
        self._is_reading = is_reading

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self._connection.execute(_translated(statement), parameters, binary=True)

    def use_signature(self, signature: Signature, *, keep: bool) -> bool:
        row = (signature.node_id, signature.timestamp, signature.value)
        if not self._is_reading:
            is_new = super().use_signature(signature, keep=keep)
            if not is_new and self._attempts.in_doubt is not None:
                # Written once more, for a commit that waits for the standby: that one may not have.
                self.execute(
                    "UPDATE used_signatures SET timestamp = timestamp"
                    " WHERE node_id = ? AND timestamp = ? AND signature = ?",
                    row,
                )
                raise _Committed(self._attempts.in_doubt[0])
            return is_new
        if keep:
            added = self.execute(
                "INSERT INTO seen_signatures VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row
            )
            return added.rowcount > 0
        found = self.execute(
            "SELECT 1 FROM seen_signatures WHERE node_id = ? AND timestamp = ? AND signature = ?",
            row,
        )
        return found.fetchone() is None

    def forget_signatures(self, before: int) -> None:
        super().forget_signatures(before)
        self.execute("DELETE FROM seen_signatures WHERE timestamp < ?", (before,))


def _require_writable(transaction: Transaction) -> None:
    [mode] = transaction.execute(
        "SELECT current_setting('transaction_read_only') FROM service"
    ).fetchone()
    if mode == "on":
        raise ServiceBusy("the database takes no writes")


@functools.lru_cache(maxsize=512)
def _translated(statement: str) -> bytes:
    """A statement with the places of its parameters as PostgreSQL numbers them."""
    numbers = iter(range(1, 100))
    return _PLACE.sub(lambda found: f"${found[1] or next(numbers)}", statement).encode()


class PostgresStore(Store):
    """A database of PostgreSQL, which `smfs service migrate` has made.

    Args:
        url: for libpq; of several hosts the one that takes writes is found, also later on.
        notify: whether replicas tell each other what has changed; else each of them polls.
    """

    def __init__(self, url: str, *, notify: bool = True) -> None:
        super().__init__()
        self._conninfo = complete(url)
        self._notify = notify
        self._threads = Threads(_THREADS, _WAITING)
        self._post: Post | None = None
        self._pool: psycopg_pool.ConnectionPool[_Connection] | None = None
        self._signals: Signals | None = None

    @property
    def name(self) -> str:
        """The URL without a password."""
        return shown(self._conninfo)

    async def open(self, wanted: Identity | None) -> Identity:
        """As `Store.open`; the database must be up to date already."""
        del wanted
        self._post = poster()
        self._threads.begin()
        pool = psycopg_pool.ConnectionPool(
            self._conninfo,
            connection_class=_Connection,
            configure=_Connection.listen_to_warnings,
            kwargs={"autocommit": True, "cursor_factory": psycopg.RawCursor},
            min_size=1,
            max_size=_THREADS,
            open=False,
            name="smfs",
            timeout=_PATIENCE_S,
            reconnect_timeout=_PATIENCE_S,
        )
        await anyio.to_thread.run_sync(functools.partial(pool.open, wait=False))
        self._pool = pool
        self._signals = Signals(self._conninfo, notify=self._notify)
        identity: Identity = await self._run(self._identity)
        return identity

    def _identity(self) -> Identity:
        identity: Identity = self._attempted(
            _Attempts(), lambda connection: identity_of(connection, self.name)
        )
        return identity

    async def aclose(self) -> None:
        """As `Store.aclose`."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        self._threads.finish()
        if self._signals is not None:
            self._signals.close()
        if self._pool is not None:
            self._pool.close(_CLOSE_S)
        self._pool = self._signals = None

    async def _run(self, call: Any) -> Any:
        outcome: Outcome[Any] = Outcome()

        def run() -> None:
            settle(outcome, call)
            if self._post is not None:
                self._post(outcome.show)

        self._threads.start(run)
        return await outcome.wait()

    async def read(self, prepared: Prepared[T]) -> T:
        """As `Store.read`."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
        return await self._run(lambda: self._carry_out(prepared, begin, is_reading=True))  # type: ignore[no-any-return]

    async def write(self, prepared: Prepared[T]) -> T:
        """As `Store.write`."""
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
        return await self._run(lambda: self._carry_out(prepared, begin, is_reading=False))  # type: ignore[no-any-return]

    async def check(self) -> None:
        """As `Store.check`; a standby, or a primary that is none any more, cannot be used."""
        await self.read(lambda: _require_writable)

    async def watch(self, waiting: Waiting) -> None:
        """As `Store.watch`: listens to the other replicas, and looks from time to time."""
        if self._signals is None:
            raise RuntimeError("the service is not running")
        await self._signals.run(waiting)

    # --- in a thread --------------------------------------------------------------------------

    def _carry_out(self, prepared: Prepared[T], begin: str, *, is_reading: bool) -> T:
        attempts = _Attempts()
        work = prepared()
        value: T = self._attempted(
            attempts,
            lambda connection: self._transaction(
                connection, begin, work, attempts, is_reading=is_reading
            ),
        )
        return value

    def _attempted(self, attempts: _Attempts, call: Any) -> Any:
        while True:
            try:
                with self._connection(attempts) as connection:
                    return call(connection)
            except _AGAIN:
                pass
            except _NO_ROOM as error:
                raise StoreFull(type(error).__name__) from None
            except (psycopg.OperationalError, *_ELSEWHERE):
                pass  # the connection is gone, or the server
            except psycopg.Error as error:
                raise StoreFailed(type(error).__name__) from None
            attempts.wait()

    @contextmanager
    def _connection(self, attempts: _Attempts) -> Iterator[_Connection]:
        if self._pool is None:
            raise RuntimeError("the service is not running")
        try:
            patience = max(0.1, attempts.ends_at - time.monotonic())
            connection = self._pool.getconn(patience)
        except psycopg_pool.PoolTimeout:
            raise ServiceBusy("the database cannot be reached") from None
        try:
            yield connection
        except _ELSEWHERE:
            connection.close()
            raise
        finally:
            self._pool.putconn(connection)

    def _transaction(
        self,
        connection: _Connection,
        begin: str,
        work: Work[T],
        attempts: _Attempts,
        *,
        is_reading: bool,
    ) -> T:
        transaction = _Transaction(connection, attempts, is_reading=is_reading)
        connection.execute(begin.encode())
        try:
            value = work(transaction)
        except _Committed as committed:
            value = committed.outcome
        except Undone as undone:
            connection.execute("ROLLBACK")
            return undone.outcome  # type: ignore[no-any-return]
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        self._commit(connection, transaction, attempts, value)
        return value

    def _commit(
        self,
        connection: _Connection,
        transaction: _Transaction,
        attempts: _Attempts,
        value: Any,
    ) -> None:
        connection.is_warned = False
        try:
            connection.execute("COMMIT")
            if connection.is_warned:
                raise ServiceBusy("the standby has not confirmed in time")
        except psycopg.OperationalError:
            attempts.in_doubt = (value,)
            raise
        finally:
            # Woken for nothing is better than not woken.
            if transaction.touched:
                self._announce(transaction.touched)

    def _announce(self, touched: set[str]) -> None:
        if self._signals is not None:
            self._signals.tell(touched)
        if self._post is not None:
            self._post(lambda: self.committed(touched))
