"""Every row against every rule, in one snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smfs.service.admin.database import Database, reading
from smfs.service.admin.progress import Progress
from smfs.service.admin.rules import READINGS, REVISIONS, TWICE, Reading, Rule, rules_of
from smfs.service.admin.tables import Table, indices, tables

_SHOWN_DIGITS: Final = 8
# Of these only what tells them apart is shown: one is a name that somebody gave.
_NAMES: Final = frozenset({"secret_id"})


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold.

    Attributes:
        table: where; empty for what the engine says of its files.
        key: of which row, shortened; empty for the table as a whole.
        what: does not hold.
    """

    table: str
    key: str
    what: str

    def __str__(self) -> str:
        """All in one line."""
        where = " ".join(part for part in (self.table, self.key) if part)
        return f"{where}: {self.what}" if where else self.what


def check(place: Path | str, progress: Progress) -> Iterator[Violation]:
    """Whatever is wrong with a database; it may be in use.

    Args:
        place: a file or a URL.
        progress: told how many rows are done.

    Raises:
        ConfigError: when it is missing, none of ours or of another version.
        ServiceUnavailable: when it cannot be reached or is locked.
        StoreFailed: when it is too broken to be read.
    """
    with reading(place) as database:
        for line in database.damage():
            yield Violation("", "", line)
        broken = list(_catalogue(database))
        yield from broken
        if not any(each.table for each in broken):
            yield from _rows(database, progress)


def _catalogue(database: Database) -> Iterator[Violation]:
    for table in tables():
        if database.columns(table.name) != table.columns:
            yield Violation(table.name, "", "its columns are not those of this version")
    for name in sorted(indices() - database.indices()):
        yield Violation("", "", f"the index {name} is missing")


def _rows(database: Database, progress: Progress) -> Iterator[Violation]:
    known = {table.name: table for table in tables()}
    counts = {name: int(database.value(f"SELECT count(*) FROM {name}")) for name in known}
    rules: list[Rule | Reading] = [rule for table in known.values() for rule in rules_of(table)]
    rules += READINGS
    progress.begin(
        sum(counts[rule.table] for rule in rules) + sum(counts[name] for name in REVISIONS)
    )
    if counts["service"] != 1:
        yield Violation("service", "", "it has not one row")
    for rule in rules:
        if isinstance(rule, Rule):
            yield from _broken(database, known[rule.table], rule)
        else:
            yield from _misread(database, known[rule.table], rule)
        progress.advance(counts[rule.table])
    for node_id, revision in database.stream(TWICE, ("BLOB", "INTEGER")):
        key = _shown(("node_id", "revision"), (node_id, revision))
        yield Violation("spaces", key, "this revision was given more than once")
    progress.advance(sum(counts[name] for name in REVISIONS))


def _broken(database: Database, table: Table, rule: Rule) -> Iterator[Violation]:
    columns = ", ".join(f't."{column}"' for column in table.key)
    query = f"SELECT {columns} FROM {table.name} AS t WHERE {rule.broken}"
    for key in database.stream(query, [table.columns[column] for column in table.key]):
        yield Violation(table.name, _shown(table.key, key), rule.what)


def _misread(database: Database, table: Table, rule: Reading) -> Iterator[Violation]:
    columns = (*table.key, *rule.columns)
    query = f"SELECT {', '.join(columns)} FROM {table.name}"
    for row in database.stream(query, [table.columns[column] for column in columns]):
        if not rule.holds(*row[len(table.key) :]):
            yield Violation(table.name, _shown(table.key, row), rule.what)


def _shown(columns: tuple[str, ...], values: Any) -> str:
    return "/".join(map(_shortened, columns, values))


def _shortened(column: str, value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    if column in _NAMES:
        return f"#{hashlib.sha256(value).hexdigest()[:_SHOWN_DIGITS]}"
    return value.hex()[:_SHOWN_DIGITS] or "-"
