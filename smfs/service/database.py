"""The SQLite file: opened safely, written durably, used by one thread at a time."""

from __future__ import annotations

import os
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
from smfs.errors import ConfigError

T = TypeVar("T")

SCHEMA: Final = 1
"""The version of `schema.sql`."""

_BUSY_S: Final = 8.0
_CACHE_KIB: Final = 8192


class Database:
    """One connection, which every transaction has to itself.

    Args:
        path: the file; it is made, mode 0600, where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # A queue in front of SQLite's lock: who waits for that one sleeps, and may starve.
        self._turn = anyio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._is_durable = True

    def open(self, wanted: Identity | None) -> Identity:
        """Opens the file; blocks.

        Args:
            wanted: the key that a new database gets; None: a random one.

        Returns:
            the service's key.

        Raises:
            ConfigError: when the file cannot be used.
        """
        try:
            self._prepare_file()
            self._connection = self._connect()
            identity = self._set_up(self._connection, wanted)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigError(f"cannot use the database {self._path}: {error}") from None
        return identity

    async def aclose(self) -> None:
        """Closes the file once what has begun is finished."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close, limiter=self._turn)

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

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        def transaction() -> T:
            if self._connection is None:
                raise RuntimeError("the service is not running")
            if durable != self._is_durable:
                level = "FULL" if durable else "NORMAL"
                self._connection.execute(f"PRAGMA synchronous = {level}")
                self._is_durable = durable
            with immediate(self._connection):
                return work(self._connection)

        # What has begun is finished: anyio waits for the thread before it lets a cancellation in.
        return await anyio.to_thread.run_sync(transaction, limiter=self._turn)

    def _prepare_file(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # It holds the service's key. SQLite gives its other files the mode of this one.
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection

    def _set_up(self, connection: sqlite3.Connection, wanted: Identity | None) -> Identity:
        with immediate(connection):
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                _create(connection, wanted or Identity.generate())
            schema, seed = connection.execute("SELECT schema, seed FROM service").fetchone()
        if schema != SCHEMA:
            raise ConfigError(
                f"the database {self._path} is of version {schema}, this program knows {SCHEMA}: "
                "update smfs"
            )
        return Identity(seed)


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that has the write lock from its beginning."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk, for one, has undone it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection, identity: Identity) -> None:
    schema = resources.files("smfs.service").joinpath("schema.sql").read_text("utf-8")
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(
        "INSERT INTO service VALUES (1, ?, ?, ?)",
        (SCHEMA, secrets.token_bytes(16), bytes.fromhex(identity.secret_key_hex)),
    )
