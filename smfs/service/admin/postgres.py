"""The operator's connection to a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors as sql_errors

from smfs.errors import ServiceBusy, ServiceUnavailable, SmfsError, StoreFailed, StoreFull
from smfs.service.admin.database import Database, Row, make_empty
from smfs.service.admin.tables import Table, tables
from smfs.service.store import schema
from smfs.service.store.base import Cursor
from smfs.service.store.postgres_database import (
    ADVISORY,
    complete,
    make_or_upgrade,
    shown,
    version_of,
)

_TYPES: Final = {"BLOB": "bytea", "INTEGER": "bigint", "REAL": "double precision", "TEXT": "text"}
_NAMES: Final = {name: kind for kind, name in _TYPES.items()}
_NO_ROOM: Final = (sql_errors.DiskFull, sql_errors.OutOfMemory)
_GONE: Final = (
    sql_errors.AdminShutdown,
    sql_errors.CrashShutdown,
    sql_errors.CannotConnectNow,
)


class PostgresDatabase(Database):
    """A database in a transaction.

    Args:
        connection: with which.
        name: what the database is called.

    Attributes:
        connection: as above.
    """

    locking = " FOR UPDATE"

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        super().__init__()
        self.connection = connection
        self.name = name

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        """As `Transaction.execute`; parameters have no numbers here."""
        first, *others = statement.split("?")
        numbered = first + "".join(f"${number}{each}" for number, each in enumerate(others, 1))
        cursor = psycopg.RawCursor(self.connection)
        return cursor.execute(numbered.encode(), parameters or None, binary=True)

    def stream(self, query: str, types: Sequence[str]) -> Generator[Row, None, None]:
        """As `Database.stream`."""
        # The one way in which neither side keeps many rows, however large each of them is.
        statement = f"COPY ({query}) TO STDOUT (FORMAT BINARY)"
        with self.connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types([_TYPES[kind] for kind in types])
            yield from copy.rows()

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        """As `Database.load`."""
        statement = f"COPY {table.name} ({table.quoted}) FROM STDIN (FORMAT BINARY)"
        with self.connection.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:
                copy.set_types([_TYPES[kind] for kind in table.columns.values()])
                for row in rows:
                    copy.write_row(row)
            # Nobody else does it before the first requests come.
            cursor.execute(f"ANALYZE {table.name}".encode())

    def columns(self, table: str) -> dict[str, str]:
        """As `Database.columns`."""
        rows = self.execute(
            "SELECT column_name::text, data_type::text FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
            (table,),
        )
        return {column: _NAMES.get(kind, kind) for column, kind in rows.fetchall()}

    def indices(self) -> set[str]:
        """As `Database.indices`."""
        rows = self.execute(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema()"
        )
        return {row[0] for row in rows.fetchall()}

    def damage(self) -> Iterator[str]:
        """As `Database.damage`: of indices, where the extension amcheck may be used."""
        may_look = self.value(
            "SELECT coalesce(bool_or(has_function_privilege(oid, 'EXECUTE')), false) FROM pg_proc"
            " WHERE proname = 'bt_index_check' AND pronargs = 2 AND pg_function_is_visible(oid)"
        )
        if not may_look:
            return
        found = self.execute(
            "SELECT indexrelid, indexrelid::regclass::text FROM pg_index"
            " WHERE indrelid::regclass::text = ANY(?) ORDER BY 2",
            ([table.name for table in tables()],),
        ).fetchall()
        for oid, name in found:
            try:
                with self.connection.transaction():
                    self.execute(f"SELECT bt_index_check({int(oid)}::regclass, true)")
            except (sql_errors.IndexCorrupted, sql_errors.DataCorrupted):
                yield f"the index {name} is damaged"

    def size(self) -> int:
        """As `Database.size`."""
        return int(self.value("SELECT pg_database_size(current_database())"))


@contextmanager
def reading(url: str) -> Iterator[Database]:
    """As `database.reading`."""
    with _opened(url) as database:
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        schema.must_be_current(_version(database), database.name)
        yield database


@contextmanager
def writing(url: str) -> Iterator[Database]:
    """As `database.writing`."""
    with _opened(url) as database:
        schema.must_be_current(_version(database), database.name)
        yield database


@contextmanager
def filling(url: str) -> Iterator[Database]:
    """As `database.filling`."""
    with _opened(url) as database:
        _lock(database)
        _make_or_upgrade(database)
        names = ", ".join(table.name for table in tables())
        database.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        make_empty(database)
        yield database


def migrate(url: str, *, is_trial: bool = False) -> int | None:
    """Makes the tables, or brings them up to date; returns the version before.

    Args:
        url: of the database.
        is_trial: whether nothing is to be changed.
    """
    with _opened(url) as database:
        if is_trial:
            version = _version(database)
            if version is not None:
                schema.check(version, database.name)
            return version
        _lock(database)
        return _make_or_upgrade(database)


def _version(database: PostgresDatabase) -> int | None:
    return version_of(database.connection)


def _make_or_upgrade(database: PostgresDatabase) -> int | None:
    return make_or_upgrade(database.connection, database.name, None)[0]


def _lock(database: PostgresDatabase) -> None:
    """Keeps others from migrating until the end; ServiceBusy after the usual `lock_timeout`."""
    database.execute(f"SELECT pg_advisory_xact_lock({ADVISORY})")


@contextmanager
def _opened(url: str) -> Iterator[PostgresDatabase]:
    """A transaction that ends with the block; what goes wrong within it is told."""
    conninfo = complete(url)
    name = shown(conninfo)
    try:
        connection = psycopg.connect(conninfo)
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ServiceUnavailable(f"cannot reach the database {name}: {reason}") from None
    try:
        # Closed without a commit it is undone; a ROLLBACK would wait for a COPY to its end.
        with closing(connection):
            # Between two rows the other side may need its time.
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield PostgresDatabase(connection, name)
            connection.commit()
    except psycopg.Error as error:
        raise _translated(error, name) from None


def _translated(error: psycopg.Error, name: str) -> SmfsError:
    # The names of errors, never their words: those quote rows.
    kind = type(error).__name__
    if isinstance(error, sql_errors.LockNotAvailable):
        return ServiceBusy(f"somebody else keeps {name} locked")
    if isinstance(error, _NO_ROOM):
        return StoreFull(f"no room is left for {name} ({kind})")
    if isinstance(error, _GONE) or type(error) is psycopg.OperationalError:
        return ServiceUnavailable(f"the database {name} has gone away ({kind})")
    return StoreFailed(f"the database {name} failed: {kind}")
