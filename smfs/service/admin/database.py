"""One connection in one transaction: what the operator's commands need of either engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from smfs.errors import ConfigError
from smfs.service.admin.tables import Table, tables
from smfs.service.store import is_url, schema
from smfs.service.store.base import Transaction

Row = Sequence[Any]


class Database(Transaction):
    """A database in a transaction.

    Attributes:
        name: what it is called towards an operator, without a password.
    """

    name: str

    @abstractmethod
    def stream(self, query: str, types: Sequence[str]) -> Generator[Row, None, None]:
        """The rows of a query, of which only a few are in memory at a time.

        Args:
            query: without parameters.
            types: of its columns, as `Table.columns` has them.
        """

    @abstractmethod
    def load(self, table: Table, rows: Iterable[Row]) -> None:
        """Adds rows to a table, one after the other as they come."""

    @abstractmethod
    def columns(self, table: str) -> dict[str, str]:
        """The types of a table's columns by their names, as `Table.columns` has them."""

    @abstractmethod
    def indices(self) -> set[str]:
        """The names of all indices."""

    @abstractmethod
    def damage(self) -> Iterator[str]:
        """What the engine itself finds wrong with its files, as far as it can look."""

    @abstractmethod
    def size(self) -> int:
        """How many bytes it takes on disk."""

    def value(self, query: str) -> Any:
        """The one value that a query gives."""
        [value] = self.execute(query).fetchone()
        return value

    def must_have_columns(self) -> None:
        """Raises ConfigError unless the tables have exactly the columns of this version."""
        for table in tables():
            if self.columns(table.name) != table.columns:
                raise ConfigError(
                    f"the table {table.name} of {self.name} has not the columns of"
                    f" version {schema.LATEST}"
                )


def reading(place: Path | str) -> AbstractContextManager[Database]:
    """A database as it is at one moment, whatever is written meanwhile.

    Raises:
        ConfigError: when it is missing, none of ours or of another version.
        ServiceUnavailable: when it cannot be reached, or somebody keeps it locked.
        StoreFailed: when it is broken.
    """
    if is_url(place):
        from smfs.service.admin import postgres

        return postgres.reading(str(place))
    from smfs.service.admin import sqlite

    return sqlite.reading(Path(place))


def writing(place: Path | str) -> AbstractContextManager[Database]:
    """A database that is changed when the block ends well; raises as `reading`.

    Raises:
        StoreFull: when there is no room.
    """
    if is_url(place):
        from smfs.service.admin import postgres

        return postgres.writing(str(place))
    from smfs.service.admin import sqlite

    return sqlite.writing(Path(place))


def filling(place: Path | str) -> AbstractContextManager[Database]:
    """A database with all tables and not one row, which nobody else uses until the block ends.

    What is not there yet is made; all of it goes again unless the block ends well.

    Raises:
        ConfigError: when there is something in it; else as `writing`.
    """
    if is_url(place):
        from smfs.service.admin import postgres

        return postgres.filling(str(place))
    from smfs.service.admin import sqlite

    return sqlite.filling(Path(place))


def make_empty(database: Database) -> None:
    """Takes the key away that every new database has; ConfigError when there is more in it."""
    database.must_have_columns()
    for table in tables():
        if table.name == "service":
            continue
        if database.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is not None:
            raise ConfigError(f"{database.name} is not empty, and nothing is ever overwritten")
    database.execute("DELETE FROM service")
