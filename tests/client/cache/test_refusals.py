"""A file that is another's, damaged or tampered with is never believed in part, and never fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.client.records import without_box
from tests.client.cache.caches import (
    SOME,
    by_place,
    everything,
    header,
    inside,
    opened,
    read,
    secret,
    write,
)

pytestmark = pytest.mark.anyio


async def test_another_key_or_service_finds_nothing(path: Path) -> None:
    """And makes the file its own."""
    await write(path, SOME)
    assert await read(path, service="http://other.test") is None
    await write(path, SOME)
    assert await read(path, seed=bytes(32)) is None
    assert await read(path) is None


ATTACKS: dict[str, str] = {
    "a row is gone": "DELETE FROM row WHERE rowid = 2",
    "all rows are gone": "DELETE FROM row",
    "the header is gone": "DELETE FROM header",
    "two rows change places": "UPDATE row SET sealed = (SELECT sealed FROM row AS other "
    "WHERE other.rowid = 3 - row.rowid) WHERE rowid < 3",
    "a row is there twice": "INSERT INTO row SELECT zeroblob(32), box, sealed FROM row LIMIT 1",
    "a row is no bytes": "UPDATE row SET sealed = 5 WHERE rowid = 1",
    "a row is text": "UPDATE row SET sealed = 'x' WHERE rowid = 1",
    "a name is no bytes": "UPDATE row SET name = 5 WHERE rowid = 1",
    "the header is no bytes": "UPDATE header SET sealed = 5",
    "the header is a row": "UPDATE header SET sealed = (SELECT sealed FROM row)",
    "a table is gone": "DROP TABLE row",
    "a table more": "CREATE TABLE another (x)",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON row BEGIN DELETE FROM row; END",
    "a view in the place of a table": "ALTER TABLE row RENAME TO old; CREATE VIEW row AS "
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT n AS name, 0 AS box, "
    "n AS sealed FROM r",
    "a size is another one": "UPDATE row SET box = 0 WHERE rowid = 1",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_file_that_was_tampered_with_is_empty(path: Path, attack: str) -> None:
    """It is never believed in part, and it is of use again afterwards."""
    await write(path, SOME)
    with inside(path) as connection:
        connection.executescript(attack)

    assert await read(path) is None
    await write(path, SOME)
    assert everything(await read(path)) == by_place(SOME)


@pytest.mark.parametrize("table", ["row", "header"])
async def test_no_part_is_taken_from_an_older_file(path: Path, tmp_path: Path, table: str) -> None:
    """Neither one row, nor the header; only the whole is as good as it was."""
    old = tmp_path / "old.cache"
    await write(path, SOME)
    shutil.copy(path, old)
    cache = await opened(path)
    await cache.write(header(2), [secret("one", size=99)], [])
    await cache.aclose()
    with inside(path) as connection:
        connection.execute("ATTACH ? AS old", (str(old),))
        connection.execute(f"DELETE FROM {table}")
        connection.execute(f"INSERT INTO {table} SELECT * FROM old.{table}")

    assert await read(path) is None
    assert everything(await read(old)) == by_place(SOME)


async def test_a_bound_is_kept_though_a_column_lies(path: Path) -> None:
    """The sizes are not sealed: what they are about is lost, and nothing else."""
    for lie in (0, 10**12, -1, "'x'", "NULL"):
        await write(path, SOME)
        with inside(path) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute(f"UPDATE OR IGNORE row SET box = {lie}")

        cache = await opened(path, max_bytes=40)
        await cache.write(header(2), SOME[:1], [])
        await cache.write(header(3), SOME[:1], [], replace=True)
        await cache.aclose()

        assert everything(await read(path)) == by_place([without_box(SOME[0])])


@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_damage_is_survived(whole: Path, data: st.DataObject) -> None:
    """Bits that flip, bytes that are missing or too many: all is there, or nothing."""
    path = whole.with_name("damaged.cache")
    content = bytearray(whole.read_bytes())
    size = len(content)
    # The beginnings of pages are where most can go wrong.
    places = st.integers(0, 200) | st.integers(0, size - 1)
    places |= st.integers(0, size // 4096 - 1).map(lambda page: 4096 * page)
    for at in data.draw(st.lists(places, max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(size) | st.integers(0, size))
    for suffix in ("-wal", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(content[:length] + data.draw(st.binary(max_size=20)))

    anyio.run(survive, path)


def test_a_file_that_says_that_nobody_may_write_it_is_made_anew(whole: Path) -> None:
    """Its bytes 18 and 19 say which SQLite may write and read it (SQLite's file format, 1.3.3)."""
    content = bytearray(whole.read_bytes())
    content[18] = 3
    whole.write_bytes(content)

    anyio.run(survive, whole)


async def survive(path: Path) -> None:
    """Uses a file that is damaged, perhaps; all that it held is there, or nothing."""
    cache = await opened(path)
    try:
        loaded = await cache.load()
        assert loaded is None or everything(loaded) == by_place(SOME)
        await cache.write(header(3), SOME, [])
        await cache.write(header(4), SOME, [], replace=True)
        assert cache.is_open
        assert not cache.needs_all
    finally:
        await cache.aclose()
    assert everything(await read(path)) == by_place(SOME)


def directory(path: Path) -> None:
    """Puts a directory in the place of a file."""
    path.mkdir()


def dangling(path: Path) -> None:
    """Puts a symbolic link in the place of a file."""
    path.symlink_to(path.with_name("elsewhere"))


def foreign(path: Path) -> None:
    """Puts somebody else's file in the place of one."""
    path.touch()
    os.chown(path, 12345, -1)


OCCUPANTS = [directory, dangling, os.mkfifo, *([foreign] if os.geteuid() == 0 else [])]


@pytest.mark.parametrize("occupy", OCCUPANTS)
async def test_what_is_no_file_of_ours_is_left_alone(
    path: Path, occupy: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The mount goes on without a cache, and says so once."""
    path.parent.mkdir(parents=True)
    occupy(path)

    cache = await opened(path)

    await cache.write(header(), SOME, [], replace=True)
    assert await cache.load() is None
    assert (cache.is_open, cache.needs_all, cache.state()) == (False, False, None)
    await cache.wipe()
    await cache.aclose()
    assert len(caplog.records) == 1
    assert not path.with_name("elsewhere").exists()


async def test_where_no_directory_can_be_there_is_no_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a home that cannot be written."""
    (tmp_path / "file").touch()

    cache = await opened(tmp_path / "file" / "smfs" / "default.cache")

    assert not cache.is_open
    assert "going on without a cache" in caplog.text


async def test_it_is_closed_though_all_is_cancelled(path: Path) -> None:
    """As at the end of a mount that is interrupted."""
    cache = await opened(path)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await cache.aclose()

    assert await read(path) is None
