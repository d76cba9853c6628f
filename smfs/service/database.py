"""The SQLite file: opened safely, written durably, used by one thread at a time."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError, ServiceBusy, SmfsError
from smfs.service.file import APPLICATION_ID, prepare

T = TypeVar("T")

SCHEMA: Final = 2
"""The version of `schema.sql`."""

_UPGRADED: Final = 1  # by `upgrade.sql`

_BUSY_S: Final = 4.0
_SQLITE_WAIT_S: Final = 0.05  # in a thread, where nothing can be cancelled
_PAUSE_S: Final = 0.01
# A full disk is SQLITE_FULL; a quota of the file system shows as an error of writing.
_NO_ROOM: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CACHE_KIB: Final = 8192
_LOCKING: Final = "BEGIN IMMEDIATE"


class Database:
    """One connection, which every transaction has to itself.

    Args:
        path: the file; it is made, mode 0600, where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # A queue in front of SQLite's lock: who waits for that one sleeps, and may starve.
        self._turn = anyio.CapacityLimiter(1)
        self._thread = anyio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._is_durable = True

    async def open(self, wanted: Identity | None) -> Identity:
        """Opens the file.

        Args:
            wanted: the key that a new database gets; None: a random one.

        Returns:
            the service's key.

        Raises:
            ConfigError: when the file cannot be used.
            ServiceBusy: when another process keeps it locked.
        """
        give_up = anyio.current_time() + _BUSY_S
        return await self._patiently(lambda: self._open(wanted), give_up)

    def _open(self, wanted: Identity | None) -> Identity:
        try:
            is_new = prepare(self._path)
            return self._set_up(self._connect(is_new=is_new), wanted)
        except (OSError, sqlite3.Error) as error:
            self.close()
            if is_locked(error):
                raise ServiceBusy(f"another process keeps {self._path} locked") from None
            raise ConfigError(f"cannot use the database {self._path}: {error}") from None
        except SmfsError:
            self.close()
            raise

    async def aclose(self) -> None:
        """Closes the file once what has begun is finished."""
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await anyio.to_thread.run_sync(self.close, limiter=self._thread)

    def close(self) -> None:
        """Closes the file; blocks."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, in one transaction that is on disk afterwards."""
        return await self._run(work, durable=True)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, in one transaction that the power going off may undo.

        So may be lost that a signature was used; for what changes nothing that replays nothing.
        """
        return await self._run(work, durable=False)

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, in one transaction that only reads: nobody's lock is in its way."""
        return await self._run(work, durable=False, begin="BEGIN")

    async def _run(
        self, work: Callable[[sqlite3.Connection], T], *, durable: bool, begin: str = _LOCKING
    ) -> T:
        def attempt() -> T:
            if self._connection is None:
                raise RuntimeError("the service is not running")
            if durable != self._is_durable:
                level = "FULL" if durable else "NORMAL"
                self._connection.execute(f"PRAGMA synchronous = {level}")
                self._is_durable = durable
            with transaction(self._connection, begin):
                return work(self._connection)

        give_up = anyio.current_time() + _BUSY_S
        with anyio.CancelScope(deadline=give_up) as queue:
            await self._turn.acquire()
        if queue.cancelled_caught:
            raise ServiceBusy("too many requests wait for the database")
        try:
            return await self._patiently(attempt, give_up)
        finally:
            self._turn.release()

    async def _patiently(self, call: Callable[[], T], give_up: float) -> T:
        """Calls until the file is not locked; what has begun is finished, come what may."""
        while True:
            try:
                return await anyio.to_thread.run_sync(call, limiter=self._thread)
            except ServiceBusy:
                if anyio.current_time() >= give_up:
                    raise
            await anyio.sleep(_PAUSE_S)

    def _connect(self, *, is_new: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_SQLITE_WAIT_S, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        if is_new:
            # Before there is a log beside the file: every other process finds it in the header.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _set_up(self, connection: sqlite3.Connection, wanted: Identity | None) -> Identity:
        with transaction(connection):
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                _create(connection, wanted or Identity.generate())
            if _schema(connection) == _UPGRADED:
                _execute(connection, "upgrade.sql")
            [seed] = connection.execute("SELECT seed FROM service").fetchone()
            schema = _schema(connection)
        if schema != SCHEMA:
            raise ConfigError(
                f"the database {self._path} is of version {schema}, this program knows {SCHEMA}: "
                "update smfs"
            )
        return Identity(seed)


def is_locked(error: Exception) -> bool:
    """Whether an error of SQLite only says to come back later."""
    # The lower byte is the kind, what is above it says more (SQLite, Result Codes).
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _LOCKED


def is_full(error: Exception) -> bool:
    """Whether there is no room left on the disk, or for this user."""
    return getattr(error, "sqlite_errorcode", 0) in _NO_ROOM


def error_name(error: Exception) -> str:
    """The kind of an error, as logs may show it."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = _LOCKING) -> Iterator[None]:
    """One transaction that has the write lock from its beginning, unless `begin` says otherwise.

    Raises:
        ServiceBusy: when somebody else has that lock.
    """
    try:
        connection.execute(begin)
    except sqlite3.OperationalError as error:
        if is_locked(error):
            raise ServiceBusy("another process keeps the database locked") from None
        raise
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk, for one, has undone it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection, identity: Identity) -> None:
    _execute(connection, "schema.sql")
    connection.execute(
        "INSERT INTO service VALUES (1, ?, ?, ?)",
        (SCHEMA, secrets.token_bytes(16), bytes.fromhex(identity.secret_key_hex)),
    )


def _execute(connection: sqlite3.Connection, script: str) -> None:
    # Not by `executescript`, which would end the transaction.
    statement = ""
    text = resources.files("smfs.service").joinpath(script).read_text("utf-8")
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _schema(connection: sqlite3.Connection) -> int:
    [schema] = connection.execute("SELECT schema FROM service").fetchone()
    return int(schema)
