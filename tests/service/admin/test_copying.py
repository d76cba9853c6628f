"""A copy has all of a database, whatever engine either is of, or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smfs.errors import ConfigError
from smfs.service.admin.checking import check
from smfs.service.admin.copying import LEFT_BEHIND, copy
from smfs.service.admin.migrating import migrate
from smfs.service.admin.progress import Silent
from smfs.service.admin.tables import tables
from smfs.service.store import schema
from tests.service.admin.conftest import Place, Rows, Steps, contents, plant
from tests.service.nodes import START_MS

ROOT = Path(__file__).parents[3]

# Copies argv[1] to argv[2], says that it is in the middle of it, and waits there.
STUCK = """
import sys

from smfs.service.admin.copying import copy

class Stuck:
    def begin(self, total):
        self.left = total // 2
    def advance(self, amount):
        self.left -= amount
        if self.left < 0:
            print("half", flush=True)
            sys.stdin.read()

copy(sys.argv[1], sys.argv[2], Stuck(), 0)
"""


def changed(rows: Rows) -> Rows:
    """What a copy is to have of these rows, but for the identities of feeds."""
    columns = {table.name: list(table.columns) for table in tables()}

    def without(table: str, **values: Any) -> list[tuple[Any, ...]]:
        named = [dict(zip(columns[table], row, strict=True)) for row in rows[table]]
        for row in named:
            row.update({key: row.get(value, value) for key, value in values.items()})
        return [tuple(row.values()) for row in named]

    return {
        **rows,
        "spaces": without("spaces", floor="revision", remembered=0, feed=b""),
        "deliveries": without("deliveries", due=START_MS),
        "gone": [],
    }


def position(table: str, column: str) -> int:
    """Where a column stands in the rows of a table."""
    return next(list(each.columns).index(column) for each in tables() if each.name == table)


def feeds(rows: Rows) -> set[bytes]:
    """The identities of all feeds."""
    place = position("spaces", "feed")
    return {row[place] for row in rows["spaces"]}


def test_all_goes_along(filled: Place, target: Place) -> None:
    """Row by row; the copy is in order, and every feed of it is a new one."""
    steps = Steps()

    copied = copy(filled, target, steps, START_MS)

    before, after = contents(filled), contents(target)
    assert all(rows for table, rows in before.items() if table != "locks")
    assert changed(after) == changed(before)
    assert (copied.spaces, len(before["spaces"])) == (4, 4)
    assert copied.rows == sum(map(len, after.values()))
    assert len(feeds(after)) == 4
    assert {len(feed) for feed in feeds(after)} == {16}
    assert not feeds(after) & feeds(before)
    assert steps.total * 0.8 < steps.done <= steps.total
    assert list(check(target, Silent())) == []


def test_there_and_back_is_the_same(filled: Place, target: Place, tmp_path: Path) -> None:
    """Whatever lies between."""
    back = tmp_path / "back.db"
    copy(filled, target, Silent(), START_MS)
    copy(target, back, Silent(), START_MS)
    assert changed(contents(back)) == changed(contents(filled))


def test_what_was_waited_with_is_due(filled: Place, target: Place) -> None:
    """What hooks have yet to be told is told by whoever serves the copy, at once."""
    plant(filled, "UPDATE deliveries SET due = due + 60000")
    copy(filled, target, Silent(), START_MS)
    place = position("deliveries", "due")
    assert contents(filled)["deliveries"]
    assert {row[place] for row in contents(target)["deliveries"]} == {START_MS}


def test_a_made_and_empty_target_takes_the_key(filled: Place, target: Place) -> None:
    """The one that it had got when it was made is gone."""
    migrate(target)
    copy(filled, target, Silent(), START_MS)
    assert contents(target)["service"] == contents(filled)["service"]


def test_a_target_that_holds_something_is_refused(filled: Place, target: Place) -> None:
    """Though it be one row, and it stays as it is."""
    migrate(target)
    plant(target, "INSERT INTO used_signatures VALUES (x'00', 1, x'00')")
    before = contents(target)
    with pytest.raises(ConfigError, match="is not empty"):
        copy(filled, target, Silent(), START_MS)
    assert contents(target) == before


def test_a_database_is_not_copied_into_itself(filled: Place) -> None:
    """Nor harmed by the attempt, and it is told at once what is wrong."""
    before = contents(filled)
    with pytest.raises(ConfigError, match="source and target are the same"):
        copy(filled, filled, Silent(), START_MS)
    assert contents(filled) == before


def test_a_link_is_the_file_too(filled_file: Path, tmp_path: Path) -> None:
    """Of either kind, whichever of the two it is."""
    link, other = tmp_path / "link.db", tmp_path / "other.db"
    link.symlink_to(filled_file)
    other.hardlink_to(filled_file)
    for source, target in ((filled_file, link), (other, filled_file), (other, link)):
        with pytest.raises(ConfigError, match=f"are the same file, {target}"):
            copy(source, target, Silent(), START_MS)


def test_the_same_url_in_other_words(filled_url: str) -> None:
    """And no password is told."""
    other = filled_url.replace("postgresql://smfs@", "postgres://smfs:hunter2@")
    other += "?user=smfs"
    with pytest.raises(ConfigError, match="are the same database, postgresql://") as raised:
        copy(other, filled_url, Silent(), START_MS)
    assert "hunter2" not in str(raised.value)


def test_a_source_that_is_none_makes_no_target(place: Place, tmp_path: Path) -> None:
    """It is refused before anything is made."""
    target = tmp_path / "target.db"
    with pytest.raises(ConfigError):
        copy(place, target, Silent(), START_MS)
    assert not target.exists()


def test_a_new_column_goes_along(
    place: Place, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing names the columns once more: what schema.sql gets, copies have."""
    statements = schema.statements

    def more(script: str, *, postgres: bool = False) -> Iterator[str]:
        yield from statements(script, postgres=postgres)
        if script == "schema.sql":
            yield "ALTER TABLE auth_codes ADD COLUMN colour TEXT"
            kind = "BYTEA" if postgres else "BLOB"
            yield f"CREATE TABLE shades (node_id {kind} NOT NULL PRIMARY KEY)"

    monkeypatch.setattr(schema, "statements", more)
    migrate(place)
    plant(
        place,
        "INSERT INTO auth_codes (digest, action, creator, colour) VALUES (x'00', '7', x'', 'red')",
        "INSERT INTO shades VALUES (x'1234')",
    )
    copy(place, target, Silent(), START_MS)
    assert contents(target)["auth_codes"] == [(b"\0", "7", b"", 0, "", "red")]
    assert contents(target)["shades"] == [(b"\x12\x34",)]


@pytest.mark.parametrize("statement", ["ADD COLUMN colour TEXT", "DROP COLUMN note"])
def test_columns_that_nobody_knows_are_refused(
    filled: Place, target: Place, statement: str
) -> None:
    """Rather than left behind."""
    plant(filled, f"ALTER TABLE auth_codes {statement}")
    with pytest.raises(ConfigError, match="auth_codes"):
        copy(filled, target, Silent(), START_MS)


def test_what_stays_behind_is_said() -> None:
    """Of tables that there are, each with its reason."""
    assert set(LEFT_BEHIND) < {table.name for table in tables()}
    assert all(LEFT_BEHIND.values())


def test_parents_come_first() -> None:
    """So that no row is without what it refers to for a moment."""
    seen: set[str] = set()
    for table in tables():
        assert set(table.parents) <= seen
        seen.add(table.name)
    assert "spaces" in seen


class Stop(Exception):
    """Somebody gives up."""


class Stopping(Steps):
    """Gives up in the middle."""

    def advance(self, amount: int) -> None:
        """So much more is done."""
        super().advance(amount)
        if self.done > self.total / 2:
            raise Stop


def test_a_copy_that_is_given_up_leaves_nothing(filled: Place, target: Place) -> None:
    """Nor anything in the way of the next one."""
    with pytest.raises(Stop):
        copy(filled, target, Stopping(), START_MS)
    copy(filled, target, Silent(), START_MS)
    assert changed(contents(target)) == changed(contents(filled))


def test_a_copy_that_is_killed_leaves_nothing(filled: Place, target: Place) -> None:
    """`kill -9` in the middle of it."""
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, str(filled), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    # It would be refused if there were one row.
    copy(filled, target, Silent(), START_MS)
    assert changed(contents(target)) == changed(contents(filled))
