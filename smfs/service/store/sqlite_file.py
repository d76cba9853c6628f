"""A SQLite file: opened safely, made or brought up to date by whoever is first."""

from __future__ import annotations

import secrets
import sqlite3
import time
from pathlib import Path
from typing import Final

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError, ServiceBusy, SmfsError
from smfs.service.store import schema
from smfs.service.store.file import APPLICATION_ID, prepare
from smfs.service.store.keys import short_key

BUSY_S: Final = 4.0
"""For how long somebody else may keep the file locked."""

_WAIT_S: Final = 0.05  # of one attempt to open or to read
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# A full disk is SQLITE_FULL; a quota of the file system, or a limit of the process, shows as an
# error of writing.
_NO_ROOM: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)
_CACHE_KIB: Final = 8192
_READING_CACHE_KIB: Final = 2048  # of each, and there are several
_STATEMENTS: Final = 256


def open_database(path: Path, wanted: Identity | None) -> tuple[sqlite3.Connection, Identity]:
    """A connection for writing, and the service's key; blocks.

    Args:
        path: the file; it is made, mode 0600, where there is none.
        wanted: the key that a new database gets; None: a random one.

    Raises:
        ConfigError: when the file cannot be used.
        ServiceBusy: when another process keeps it locked.
    """
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            return _open(path, wanted)
        except (OSError, sqlite3.Error) as error:
            if not is_locked(error):
                reason = error.strerror if isinstance(error, OSError) else error
                raise ConfigError(f"cannot use the database {path}: {reason}") from None
            if time.monotonic() >= give_up:
                raise ServiceBusy(f"another process keeps {path} locked") from None


def _open(path: Path, wanted: Identity | None) -> tuple[sqlite3.Connection, Identity]:
    is_new = prepare(path)
    connection = connect(path)
    try:
        if is_new:
            # Before there is a log beside the file: every other process finds it in the header.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        identity = set_up(connection, path, wanted)
        connection.execute("COMMIT")
    except (sqlite3.Error, SmfsError):
        connection.close()
        raise
    return connection, identity


def connect(path: Path, *, query_only: bool = False) -> sqlite3.Connection:
    """A connection to a file that is there, for one thread at a time."""
    connection = sqlite3.connect(
        path,
        timeout=_WAIT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
        f"cache_size = -{_READING_CACHE_KIB if query_only else _CACHE_KIB}",
        f"query_only = {query_only:d}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def is_locked(error: Exception) -> bool:
    """Whether an error of SQLite only says to come back later."""
    # The lower byte is the kind, what is above it says more (SQLite, Result Codes).
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _LOCKED


def is_full(error: Exception) -> bool:
    """Whether an error of SQLite says that there is no room, on the disk or for this user."""
    return getattr(error, "sqlite_errorcode", 0) in _NO_ROOM


def set_up(connection: sqlite3.Connection, path: Path, wanted: Identity | None) -> Identity:
    """Makes the tables or brings them up to date; returns the service's key.

    In a transaction that has the lock: others may start at the same time.
    """
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        _run(connection, "schema.sql")
        seed = bytes.fromhex((wanted or Identity.generate()).secret_key_hex)
        connection.execute(
            "INSERT INTO service VALUES (1, ?, ?, ?)",
            (schema.LATEST, secrets.token_bytes(16), seed),
        )
    [version, seed] = connection.execute("SELECT schema, seed FROM service").fetchone()
    schema.check(version, str(path))
    connection.create_function("short_key", 1, short_key, deterministic=True)
    for script in schema.steps(version):
        _run(connection, script)
    return Identity(seed)


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not by `executescript`, which would end the transaction.
    for statement in schema.statements(script):
        connection.execute(statement)
