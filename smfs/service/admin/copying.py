"""A whole database into an empty one, of either engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from smfs.errors import ConfigError
from smfs.service.admin.database import Database, Row, filling, reading
from smfs.service.admin.interrupts import Interrupts
from smfs.service.admin.progress import Progress
from smfs.service.admin.tables import Table, tables
from smfs.service.store import is_url

LEFT_BEHIND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "locks": "a row in it never outlives its transaction",
        "gone": "it is for those who follow a feed, and every feed is a new one",
    }
)
"""The tables that do not go along, and why."""

# How far a copy has come is told in bytes: so many for each row, and those of the large values.
_ROW_BYTES: Final = 100
_LARGE: Final = frozenset({"content", "body"})

Change: TypeAlias = Callable[[dict[str, Any], int], None]
"""Changes a row, by its columns; it is also given the time."""


@dataclass(frozen=True)
class Copied:
    """What was copied.

    Attributes:
        spaces: how many spaces.
        rows: how many rows in all.
        content_bytes: what their values take.
    """

    spaces: int
    rows: int
    content_bytes: int


def _renew_feed(space: dict[str, Any], now: int) -> None:
    # After this moment the old database may go on, or may have gone on: it gives the revisions that
    # the copy will give, to other changes. Whoever followed it would skip those of the copy. Under
    # a new identity of the feed he makes a new listing, and so there is nothing to remember.
    del now
    space.update(feed=secrets.token_bytes(16), floor=space["revision"], remembered=0)


def _end_lease(delivery: dict[str, Any], now: int) -> None:
    # Whoever has taken it delivers it from the old database, if he still does.
    delivery["due"] = min(delivery["due"], now)


_CHANGES: Final[Mapping[str, Change]] = MappingProxyType(
    {"spaces": _renew_feed, "deliveries": _end_lease}
)


def copy(
    source: Path | str,
    target: Path | str,
    progress: Progress,
    now: int,
    interrupts: Interrupts | None = None,
) -> Copied:
    """Copies a database, as it is at one moment, into an empty one: all of it or nothing.

    The service's key and the database's id, used signatures, auth codes and what was handed out
    lately go along. Every feed gets a new identity, and what hooks have yet to be told is due.

    Args:
        source: a file or a URL; it may be in use.
        target: another one; nobody may use it yet.
        progress: told how many bytes are done.
        now: ms since 1970.
        interrupts: of whoever would be told that nothing was copied; held before the commit.

    Raises:
        ConfigError: when one of them cannot be used, both are the same, or the target is not empty.
        ServiceUnavailable: when one cannot be reached or is locked.
        StoreFailed: when one is broken, or full.
    """
    if is_same(source, target):
        raise ConfigError(f"source and target are the same {_shown(target)}")
    with reading(source) as origin:
        # Not before: what is wrong with the source shall not make a target.
        origin.must_have_columns()
        with filling(target) as destination:
            copied = copy_rows(origin, destination, progress, now)
            if interrupts is not None:
                interrupts.hold()
    return copied


def is_same(source: Path | str, target: Path | str) -> bool:
    """Whether two places are the same one, as far as can be told without a connection.

    Args:
        source: a file or a URL.
        target: likewise; it need not be there.
    """
    if is_url(source) or is_url(target):
        return is_url(source) and is_url(target) and _parts(source) == _parts(target)
    try:
        return Path(source).samefile(target)
    except OSError:
        # One of them is not there, or cannot be looked at.
        return False


def _parts(url: Path | str) -> dict[str, Any]:
    from psycopg.conninfo import conninfo_to_dict

    from smfs.service.store.postgres_database import complete

    return conninfo_to_dict(complete(str(url))) | {"password": None}


def _shown(place: Path | str) -> str:
    if not is_url(place):
        return f"file, {place}"
    from smfs.service.store.postgres_database import complete, shown

    return f"database, {shown(complete(str(place)))}"


def copy_rows(source: Database, target: Database, progress: Progress, now: int) -> Copied:
    """As `copy`, from one transaction to another."""
    chosen = [table for table in tables() if table.name not in LEFT_BEHIND]
    counts = {
        table.name: int(source.value(f"SELECT count(*) FROM {table.name}")) for table in chosen
    }
    rows = sum(counts.values())
    progress.begin(rows * _ROW_BYTES + sum(_large_values(source, table) for table in chosen))
    taken = _Taken(progress, now)
    for table in chosen:
        query = f"SELECT {table.quoted} FROM {table.name}"
        with closing(source.stream(query, list(table.columns.values()))) as found:
            target.load(table, taken.each(table, found))
    return Copied(counts["spaces"], rows, taken.size)


def _large_values(source: Database, table: Table) -> int:
    """How many bytes the large values of a table have, or hardly more."""
    if table.name == "secrets":
        # To read it from their spaces takes no time.
        return int(source.value("SELECT coalesce(sum(bytes), 0) FROM spaces"))
    return sum(
        int(source.value(f"SELECT coalesce(sum(length({column})), 0) FROM {table.name}"))
        for column in sorted(_LARGE & table.columns.keys())
    )


class _Taken:
    """Counts the rows that go by, and changes some of them."""

    def __init__(self, progress: Progress, now: int) -> None:
        self._progress = progress
        self._now = now
        self.size = 0

    def each(self, table: Table, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows of a table as the target gets them."""
        change = _CHANGES.get(table.name)
        large = [place for place, column in enumerate(table.columns) if column in _LARGE]
        for row in rows:
            self.size += sum(len(value) for value in row if isinstance(value, bytes | str))
            self._progress.advance(_ROW_BYTES + sum(len(row[place]) for place in large))
            yield row if change is None else self._changed(table, row, change)

    def _changed(self, table: Table, row: Row, change: Change) -> Row:
        named = dict(zip(table.columns, row, strict=True))
        change(named, self._now)
        return tuple(named.values())
