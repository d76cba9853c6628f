"""The operator's connection to a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from smfs.errors import ConfigError, ServiceBusy, SmfsError, StoreFailed, StoreFull
from smfs.service.admin.database import Database, Row, make_empty
from smfs.service.admin.tables import Table
from smfs.service.store import schema
from smfs.service.store.base import Cursor
from smfs.service.store.file import APPLICATION_ID, prepare
from smfs.service.store.sqlite_file import BUSY_S, connect, is_full, is_locked, set_up


class SqliteDatabase(Database):
    """A file in a transaction.

    Args:
        connection: with which.
        path: the file.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__()
        self._connection = connection
        self._path = path
        self.name = str(path)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        """As `Transaction.execute`."""
        return self._connection.execute(statement, parameters)

    def stream(self, query: str, types: Sequence[str]) -> Generator[Row, None, None]:
        """As `Database.stream`."""
        del types
        with closing(self._connection.execute(query)) as cursor:
            yield from cursor

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        """As `Database.load`."""
        places = ", ".join("?" * len(table.columns))
        self._connection.executemany(
            f"INSERT INTO {table.name} ({table.quoted}) VALUES ({places})", rows
        )

    def columns(self, table: str) -> dict[str, str]:
        """As `Database.columns`."""
        rows = self._connection.execute(
            "SELECT name, type FROM pragma_table_info(?) ORDER BY cid", (table,)
        )
        return dict(rows.fetchall())

    def indices(self) -> set[str]:
        """As `Database.indices`."""
        rows = self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")
        return {row[0] for row in rows}

    def damage(self) -> Iterator[str]:
        """As `Database.damage`: of pages, of indices, and of rows without what they refer to."""
        for [line] in self._connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield " ".join(line.split())

    def size(self) -> int:
        """As `Database.size`, the log beside the file included."""
        log = self._path.with_name(f"{self._path.name}-wal")
        return sum(path.stat().st_size for path in (self._path, log) if path.exists())


@contextmanager
def reading(path: Path) -> Iterator[Database]:
    """As `database.reading`."""
    _must_exist(path)
    with _opened(path, query_only=True) as connection, _transaction(connection, "BEGIN"):
        schema.must_be_current(version_of(connection), str(path))
        yield SqliteDatabase(connection, path)


@contextmanager
def writing(path: Path) -> Iterator[Database]:
    """As `database.writing`."""
    _must_exist(path)
    with _opened(path) as connection, _transaction(connection, "BEGIN IMMEDIATE"):
        schema.must_be_current(version_of(connection), str(path))
        yield SqliteDatabase(connection, path)


@contextmanager
def filling(path: Path, *, is_draft: bool = False) -> Iterator[Database]:
    """As `database.filling`.

    Args:
        path: the file.
        is_draft: whether it is thrown away unless all goes well, so that it needs no log; it is
            not on disk afterwards.
    """
    with _opened(path) as connection:
        if is_draft:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection, "BEGIN IMMEDIATE"):
            set_up(connection, path, None)
            database = SqliteDatabase(connection, path)
            make_empty(database)
            yield database


def migrate(path: Path, *, is_trial: bool = False) -> int | None:
    """Makes the tables, or brings them up to date; returns the version before.

    Args:
        path: the file.
        is_trial: whether nothing is to be changed in the end.
    """
    if is_trial and not path.exists():
        return None
    with _opened(path, query_only=is_trial) as connection:
        if is_trial:
            with _transaction(connection, "BEGIN"):
                return _known(version_of(connection), path)
        connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection, "BEGIN IMMEDIATE"):
            before = version_of(connection)
            set_up(connection, path, None)
            return before


def version_of(connection: sqlite3.Connection) -> int | None:
    """The schema of a file; None for one without tables."""
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return None
    [version] = connection.execute("SELECT schema FROM service").fetchone() or [0]
    return int(version)


def _known(version: int | None, path: Path) -> int | None:
    if version is not None:
        schema.check(version, str(path))
    return version


def _must_exist(path: Path) -> None:
    if not os.path.lexists(path):
        raise ConfigError(f"there is no database {path}")


@contextmanager
def _opened(path: Path, *, query_only: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection without a transaction; what goes wrong within the block is told."""
    try:
        is_new = prepare(path)
        with closing(connect(path, query_only=query_only)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
            if is_new and not query_only:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            yield connection
    except sqlite3.Error as error:
        raise _translated(error, path) from None
    except OSError as error:
        raise ConfigError(f"cannot use the database {path}: {error.strerror}") from None


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk, for one, has undone it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _translated(error: sqlite3.Error, path: Path) -> SmfsError:
    # Codes and their names, never what was asked.
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if is_locked(error):
        return ServiceBusy(f"another process keeps {path} locked")
    if is_full(error):
        return StoreFull(f"no room is left for {path} ({name})")
    return StoreFailed(f"the database {path} failed: {name}")
