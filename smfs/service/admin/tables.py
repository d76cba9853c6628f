"""What there is to copy and to check: read from the catalogue that `schema.sql` makes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from smfs.service.store import schema


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: what it is called.
        columns: their types by their names, in order: BLOB, INTEGER, REAL or TEXT.
        key: the columns of the primary key.
        parents: the tables that it refers to, by its own column of the name of their key.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    parents: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """The columns as statements list them; one of them is a word of SQL."""
        return ", ".join(f'"{column}"' for column in self.columns)


def tables() -> list[Table]:
    """The tables, each after those that it refers to."""
    with closing(_made()) as catalogue:
        names = [
            row[0]
            for row in catalogue.execute(
                "SELECT name FROM pragma_table_list()"
                " WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        left = {name: _table(catalogue, name) for name in sorted(names)}
    ordered: list[Table] = []
    while left:
        ready = [each for each in left.values() if not left.keys() & set(each.parents)]
        ordered += ready
        for each in ready:
            del left[each.name]
    return ordered


def indices() -> set[str]:
    """The names of the indices that statements count on."""
    with closing(_made()) as catalogue:
        rows = catalogue.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        )
        return {row[0] for row in rows}


def _made() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in schema.statements("schema.sql"):
        connection.execute(statement)
    return connection


def _table(catalogue: sqlite3.Connection, name: str) -> Table:
    columns = catalogue.execute(
        "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (name,)
    ).fetchall()
    key = sorted((place, column) for column, _, place in columns if place)
    parents = catalogue.execute(
        'SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)', (name,)
    ).fetchall()
    return Table(
        name,
        {column: kind for column, kind, _ in columns},
        tuple(column for _, column in key),
        tuple(row[0] for row in parents),
    )
