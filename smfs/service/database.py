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
    """One connection for what must be on disk before it is answered, and one for the rest.

    Args:
        path: the file; it is made, mode 0600, where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = anyio.CapacityLimiter(1)
        self._reading = anyio.CapacityLimiter(1)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

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
            self._writer = self._connect("FULL")
            identity = self._set_up(self._writer, wanted)
            # A used signature of a read may be lost with the power: that replays nothing.
            self._reader = self._connect("NORMAL")
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigError(f"cannot use the database {self._path}: {error}") from None
        return identity

    async def aclose(self) -> None:
        """Closes the file once what has begun is finished."""
        with anyio.CancelScope(shield=True):
            async with self._writing, self._reading:
                await anyio.to_thread.run_sync(self.close)

    def close(self) -> None:
        """Closes the file; blocks."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, in one transaction that is on disk afterwards."""
        return await self._run(lambda: self._writer, self._writing, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, in one transaction that the power going off may undo."""
        return await self._run(lambda: self._reader, self._reading, work)

    async def _run(
        self,
        of: Callable[[], sqlite3.Connection | None],
        limiter: anyio.CapacityLimiter,
        work: Callable[[sqlite3.Connection], T],
    ) -> T:
        def transaction() -> T:
            connection = of()
            if connection is None:
                raise RuntimeError("the service is not running")
            with immediate(connection):
                return work(connection)

        # What has begun is finished: anyio waits for the thread before it lets a cancellation in.
        return await anyio.to_thread.run_sync(transaction, limiter=limiter)

    def _prepare_file(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # It holds the service's key. SQLite gives its other files the mode of this one.
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
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
