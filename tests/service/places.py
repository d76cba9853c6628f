"""Where a service's database is, and what it holds behind the service's back."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from smfs.crypto.identity import Identity

Place: TypeAlias = Path | str
"""The path of a SQLite file, or the URL of a PostgreSQL database."""

SQLITE, POSTGRES = "sqlite", "postgres"

TABLES = (
    "spaces",
    "sub_spaces",
    "secrets",
    "recipients",
    "gone",
    "handed_out",
    "hooks",
    "deliveries",
    "auth_codes",
    "used_signatures",
)


def rows(place: Place, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement gives in either engine, in a connection of its own.

    Args:
        place: of the database.
        statement: with `?` for each value.
        values: for them.
    """
    with _connected(place) as connection:
        return _rows(connection, statement, values)


def count(place: Place, table: str) -> int:
    """How many rows a table has."""
    [(number,)] = rows(place, f"SELECT count(*) FROM {table}")
    return int(number)


def dump(place: Place, *, without: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, in some fixed order."""
    with _connected(place) as connection:
        return {
            table: sorted(_rows(connection, f"SELECT * FROM {table}"), key=repr)
            for table in TABLES
            if table not in without
        }


def _rows(
    connection: sqlite3.Connection | psycopg.Connection[Any],
    statement: str,
    values: tuple[Any, ...] = (),
) -> list[tuple[Any, ...]]:
    if isinstance(connection, psycopg.Connection):
        statement = re.sub(r"\?", "%s", statement)
    cursor = connection.execute(statement, values)
    found = cursor.fetchall() if cursor.description else []
    connection.commit()
    return found


@contextmanager
def _connected(place: Place) -> Iterator[sqlite3.Connection | psycopg.Connection[Any]]:
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as file:
            yield file
    else:
        with psycopg.connect(place) as server:
            yield server


def give_key(place: Place, identity: Identity) -> None:
    """Makes a service of an empty database somebody; a file is made with its key later."""
    if isinstance(place, str):
        rows(place, "UPDATE service SET seed = ?", bytes.fromhex(identity.secret_key_hex))
