"""The store in PostgreSQL, which many replicas share."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
import psycopg
import psycopg_pool
from psycopg import errors as sql_errors

from smfs.crypto.identity import Identity
from smfs.errors import OutcomeUnknown, ServiceBusy, StoreFailed, StoreFull, StoreUnreachable
from smfs.service.store.base import Cursor, Prepared, Signature, Store, Transaction, Undone, Work
from smfs.service.store.pool_log import quieten
from smfs.service.store.postgres_database import complete, identity_of, shown
from smfs.service.store.servers import Place, Servers, place_of
from smfs.service.store.signals import Signals
from smfs.service.store.threads import Outcome, Post, Threads, poster, settle
from smfs.service.waiting import Waiting

T = TypeVar("T")

# Apart, so that writes that wait for a standby leave reads alone.
_READERS: Final = 6
_WRITERS: Final = 10
_WAITING: Final = 2000
_PATIENCE_S: Final = 8.0
_LONGEST_S: Final = 10.0  # for a request whose thread is held up in one statement
_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.25
_CLOSE_S: Final = 5.0
_BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED"

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


class _Attempts:
    """The attempts of one transaction.

    Args:
        is_reading: whether it changes nothing.

    Attributes:
        outcome: what it comes to.
        ends_at: until when one may begin, by `time.monotonic`; their wait for a thread counts.
        in_doubt: what one was to return that may have been committed though nobody heard of it;
            if it was, the next one finds the signature used.
        place: of the server that the last one is made at.
        is_in_the_way: whether the last one failed for what others do, and not for the server.
        may_write: whether a reading one may remember its signature.
    """

    def __init__(self, *, is_reading: bool) -> None:
        self.outcome: Outcome[Any] = Outcome()
        self.is_reading = is_reading
        self.ends_at = time.monotonic() + _PATIENCE_S
        self.in_doubt: tuple[Any] | None = None
        self.place: Place | None = None
        self.is_in_the_way = False
        self.may_write = True
        self._pause = _FIRST_PAUSE_S

    def wait(self) -> None:
        """Waits for the next one; raises `failure` when there is none."""
        if time.monotonic() + self._pause > self.ends_at:
            raise self.failure()
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def failure(self) -> ServiceBusy:
        """What there is to say when time is over."""
        if self.in_doubt is not None and not self.is_reading:
            return OutcomeUnknown("the database has not confirmed a commit")
        if self.is_in_the_way:
            return ServiceBusy("others are in the way for too long")
        return StoreUnreachable("the database cannot be reached")


class _Transaction(Transaction):
    locking = " FOR UPDATE"

    def __init__(self, connection: psycopg.Connection[Any], attempts: _Attempts) -> None:
        super().__init__()
        self._connection = connection
        self._attempts = attempts
        self.repeated: Signature | None = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self._connection.execute(_translated(statement), parameters, binary=True)

    def use_signature(self, signature: Signature, *, keep: bool) -> bool:
        # Nothing depends on those of reading requests, so they are not worth a sync.
        table = "seen_signatures" if self._attempts.is_reading else "used_signatures"
        is_new = self._use_in(table, signature, keep=keep and self._attempts.may_write)
        if not is_new and keep:
            self.repeated = signature
            if self._attempts.in_doubt is not None:
                raise Undone(self._attempts.in_doubt[0])
        return is_new

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


def _advised(kind: str) -> str:
    if kind == sql_errors.InsufficientPrivilege.__name__:
        return f"{kind} (grant the role rights on the tables, or make it their owner)"
    return kind


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
        self._readers = Threads(_READERS, _WAITING)
        self._writers = Threads(_WRITERS, _WAITING)
        self._servers = Servers(self._conninfo)
        self._post: Post | None = None
        self._pool: psycopg_pool.ConnectionPool[_Connection] | None = None
        self._signals: Signals | None = None

    @property
    def name(self) -> str:
        """The URL without a password."""
        return shown(self._conninfo)

    async def open(self, wanted: Identity | None) -> Identity:
        """As `Store.open`; the database must be up to date already.

        Raises:
            StoreFailed: when the database refuses to be read.
        """
        del wanted
        quieten()
        self._post = poster()
        for threads in (self._readers, self._writers):
            threads.begin()
        pool = psycopg_pool.ConnectionPool(
            self._conninfo,
            connection_class=_Connection,
            configure=self._configure,
            kwargs={"autocommit": True, "cursor_factory": psycopg.RawCursor},
            min_size=1,
            max_size=_READERS + _WRITERS,
            open=False,
            name="smfs",
            timeout=_PATIENCE_S,
            reconnect_timeout=_PATIENCE_S,
        )
        self._pool = pool
        await anyio.to_thread.run_sync(functools.partial(pool.open, wait=False))
        self._signals = Signals(self._conninfo, self._servers, notify=self._notify)
        attempts = _Attempts(is_reading=True)
        identify = functools.partial(identity_of, name=self.name)
        try:
            identity: Identity = await self._run(
                attempts, lambda: self._attempted(attempts, identify)
            )
        except StoreFailed as error:
            # Of requests the kind goes to the log; this is read by who starts the service.
            told = f"the database {self.name} failed: {_advised(str(error))}"
            raise type(error)(told) from None
        return identity

    def _configure(self, connection: _Connection) -> None:
        connection.listen_to_warnings()
        self._servers.add(connection)

    async def aclose(self) -> None:
        """As `Store.aclose`."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        ends_at = time.monotonic() + _CLOSE_S
        for threads in (self._readers, self._writers):
            threads.finish(ends_at)
        if self._signals is not None:
            self._signals.close()
        if self._pool is not None:
            self._pool.close(_CLOSE_S)
        self._pool = self._signals = None

    async def _run(self, attempts: _Attempts, call: Callable[[], Any]) -> Any:
        outcome = attempts.outcome

        def run() -> None:
            if not outcome.is_abandoned:
                settle(outcome, call)
            if self._post is not None:
                self._post(outcome.show)

        (self._readers if attempts.is_reading else self._writers).start(run)
        with anyio.move_on_after(_LONGEST_S):
            return await outcome.wait()
        if attempts.place is not None:
            self._servers.doubt(attempts.place)
        raise attempts.failure()

    async def read(self, prepared: Prepared[T], *, is_short: bool = False) -> T:
        """As `Store.read`; the server is waited for in a thread in any case."""
        attempts = _Attempts(is_reading=True)
        begin = b"BEGIN ISOLATION LEVEL REPEATABLE READ"
        return await self._run(attempts, lambda: self._carry_out(prepared, begin, attempts))  # type: ignore[no-any-return]

    async def write(self, prepared: Prepared[T], *, is_short: bool = False) -> T:
        """As `Store.write`; the server is waited for in a thread in any case."""
        attempts = _Attempts(is_reading=False)
        return await self._run(attempts, lambda: self._carry_out(prepared, _BEGIN, attempts))  # type: ignore[no-any-return]

    async def check(self) -> None:
        """As `Store.check`; a standby, or a primary that is none any more, cannot be used."""
        await self.read(lambda: _require_writable)

    async def watch(self, waiting: Waiting) -> None:
        """As `Store.watch`: listens to the other replicas, and looks from time to time."""
        if self._signals is None:
            raise RuntimeError("the service is not running")
        await self._signals.run(waiting)

    # --- in a thread --------------------------------------------------------------------------

    def _carry_out(self, prepared: Prepared[T], begin: bytes, attempts: _Attempts) -> T:
        if time.monotonic() > attempts.ends_at:
            raise attempts.failure()
        work = prepared()
        value: T = self._attempted(
            attempts, lambda connection: self._transaction(connection, begin, work, attempts)
        )
        return value

    def _attempted(self, attempts: _Attempts, call: Any) -> Any:
        while True:
            try:
                with self._connection(attempts) as connection:
                    return call(connection)
            except _AGAIN:
                attempts.is_in_the_way = True
            except _NO_ROOM as error:
                if not attempts.is_reading or not attempts.may_write:
                    raise StoreFull(type(error).__name__) from None
                attempts.may_write = False
                continue
            except (psycopg.OperationalError, *_ELSEWHERE):
                attempts.is_in_the_way = False  # the connection is gone, or the server
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
            raise attempts.failure() from None
        attempts.place = place_of(connection)
        try:
            yield connection
        except _ELSEWHERE:
            connection.close()
            raise
        finally:
            self._pool.putconn(connection)

    def _transaction(
        self, connection: _Connection, begin: bytes, work: Work[T], attempts: _Attempts
    ) -> T:
        transaction = _Transaction(connection, attempts)
        connection.execute(begin)
        try:
            value = work(transaction)
        except Undone as undone:
            connection.execute("ROLLBACK")
            if transaction.repeated is not None and not attempts.is_reading:
                self._confirm(connection, transaction.repeated, attempts, undone.outcome)
            return undone.outcome  # type: ignore[no-any-return]
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        try:
            self._commit(connection, attempts, value)
        finally:
            # Woken for nothing is better than not woken.
            if transaction.touched:
                self._announce(transaction.touched)
        return value

    def _confirm(
        self, connection: _Connection, signature: Signature, attempts: _Attempts, value: Any
    ) -> None:
        """Waits until the standby has what was committed with a signature.

        The wait of that commit may have ended without it: by the death of its connection, or of the
        server. Whoever is told that the signature was used takes the request for carried out.
        """
        connection.execute(_BEGIN)
        # Commits wait in their order, those that write something.
        connection.execute(
            b"UPDATE used_signatures SET timestamp = timestamp"
            b" WHERE node_id = $1 AND timestamp = $2 AND signature = $3",
            (signature.node_id, signature.timestamp, signature.value),
            binary=True,
        )
        self._commit(connection, attempts, value)

    @staticmethod
    def _commit(connection: _Connection, attempts: _Attempts, value: Any) -> None:
        attempts.in_doubt = (value,)
        if attempts.outcome.is_abandoned:  # looked at after the doubt was noted; see `_run`
            attempts.in_doubt = None
            connection.rollback()
            raise attempts.failure()
        connection.is_warned = False
        connection.execute("COMMIT")
        if connection.is_warned:
            raise OutcomeUnknown("the standby has not confirmed in time")

    def _announce(self, touched: set[str]) -> None:
        if self._signals is not None:
            self._signals.tell(touched)
        if self._post is not None:
            self._post(lambda: self.committed(touched))
