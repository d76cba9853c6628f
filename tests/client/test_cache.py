"""The cache on disk: all that was written last, or nothing; for one process; and it never fails."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.client.cache import Cache
from smfs.client.records import (
    Header,
    Loaded,
    NodePlace,
    NodeRecord,
    Place,
    Record,
    SecretPlace,
    SecretRecord,
    without_box,
)
from smfs.crypto.box import Box
from smfs.crypto.identity import Identity

pytestmark = pytest.mark.anyio

SEED = bytes(range(32))
SERVICE = "http://service.test"
SENDER = "5e" * 32
CANARY = "canary-2718281828-yranac"
DISCOVERY = {"smfs": 1, "features": ["changes"]}

# Writes whole revisions as fast as it can, and says which were taken.
WRITER = """
import sys, pathlib, anyio
from smfs.client.cache import Cache
from smfs.client.records import Header, SecretRecord
from smfs.crypto.identity import Identity

async def main():
    cache = Cache(pathlib.Path(sys.argv[1]), Identity(bytes(range(32))), service=sys.argv[2])
    await cache.open()
    revision = 0
    while True:
        revision += 1
        put = [SecretRecord("", f"s{n}", revision, False, None, "x" * 5000, 1, None, None, 1.0)
               for n in range(20)]
        await cache.write(Header("f", revision, 1.0, sys.argv[2], None), put, [])
        print(revision, cache.is_open, flush=True)

anyio.run(main)
"""


def header(revision: int = 1, **changes: Any) -> Header:
    """A header of this revision."""
    return replace(Header("feed", revision, 1.8e9, SERVICE, DISCOVERY), **changes)


def secret(secret_id: str, **changes: Any) -> SecretRecord:
    """A record of an own secret."""
    box = Box("b0" * 32, os.urandom(64).hex())
    record = SecretRecord(
        "",
        secret_id,
        7,
        one_time=False,
        box=box,
        token="aa" * 32,
        size=12,
        sender=SENDER,
        signed_at=1_800,
        changed_at=1.8e9,
    )
    return replace(record, **changes)


SOME: list[Record] = [
    secret("one"),
    secret("one", from_id=SENDER),
    secret("two", from_id=SENDER, revision=None, token=None, size=None, sender=None),
    secret("a/lone \ud800 surrogate", signed_at=None),
    secret(""),
    NodeRecord("sender", SENDER, None),
    NodeRecord("recipient", SENDER, 1.9e12),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the cache is."""
    return tmp_path / "cache" / "smfs" / "default.cache"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A cache that is whole."""
    path = tmp_path / "whole.cache"
    anyio.run(write, path, SOME)
    return path


def make(path: Path, *, seed: bytes = SEED, service: str = SERVICE, **options: int) -> Cache:
    """A cache that is not open yet."""
    return Cache(path, Identity(seed), service=service, **options)


async def opened(path: Path, **options: Any) -> Cache:
    """An open cache."""
    cache = make(path, **options)
    await cache.open()
    return cache


async def write(path: Path, records: Sequence[Record], head: Header | None = None) -> None:
    """Keeps these records and no other."""
    cache = await opened(path)
    await cache.write(head or header(), records, [], replace=True)
    await cache.aclose()


async def read(path: Path, **options: Any) -> Loaded | None:
    """What is kept, as the next process finds it."""
    cache = await opened(path, **options)
    assert cache.is_open
    try:
        return await cache.load()
    finally:
        await cache.aclose()


def everything(loaded: Loaded | None) -> dict[Place, Record]:
    """The records by place."""
    assert loaded is not None
    records: list[Record] = [*loaded.secrets, *loaded.nodes]
    found = by_place(records)
    assert len(found) == len(records)
    return found


def by_place(records: Sequence[Record]) -> dict[Place, Record]:
    """The records by place."""
    return {record.place: record for record in records}


def size_of(path: Path) -> int:
    """Bytes of a file."""
    return path.stat().st_size


@contextmanager
def inside(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a cache, to do to it what an attacker could."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


# --- what is kept ------------------------------------------------------------------------------


async def test_all_comes_back(path: Path) -> None:
    """Every field of every record, and the header."""
    await write(path, SOME, header(42))

    loaded = await read(path)

    assert everything(loaded) == by_place(SOME)
    assert loaded is not None
    assert loaded.header == header(42)
    assert len(loaded.nodes) == 2


async def test_a_new_cache_is_empty(path: Path) -> None:
    """And is there for its owner only, whatever the umask."""
    before = os.umask(0)
    try:
        cache = await opened(path)
        await cache.write(header(), SOME, [])
        modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        await cache.aclose()
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert await read(path.with_name("other.cache")) is None


async def test_changes_come_one_by_one(path: Path) -> None:
    """What is put is put over what was there; what is dropped is gone; what is unknown is none."""
    await write(path, SOME)
    cache = await opened(path)
    newer = secret("one", size=99)
    gone: list[Place] = [SecretPlace(SENDER, "two"), NodePlace("sender", SENDER)]

    await cache.write(header(2), [newer, newer], [*gone, *gone, SecretPlace("", "never")])
    await cache.write(header(3), [], [])
    await cache.aclose()

    loaded = await read(path)
    expected = by_place([*SOME, newer])
    assert everything(loaded) == {at: what for at, what in expected.items() if at not in gone}
    assert loaded is not None
    assert loaded.header.revision == 3


async def test_what_is_put_and_dropped_at_once_is_put(path: Path) -> None:
    """As a secret is that was deleted and made anew."""
    cache = await opened(path)
    await cache.write(header(), SOME, [record.place for record in SOME])
    await cache.aclose()

    assert everything(await read(path)) == by_place(SOME)


STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=6),
        st.lists(st.integers(0, 4), max_size=3),
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
)


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(STEPS)
def test_any_history_comes_back(
    tmp_path: Path,
    steps: list[tuple[list[tuple[int, int]], list[int], bool, bool]],
) -> None:
    """Whatever is put, dropped and replaced, over whatever restarts."""
    path = tmp_path / "history.cache"
    path.unlink(missing_ok=True)
    model: dict[Place, Record] = {}

    async def run() -> None:
        cache = await opened(path)
        for number, (put, drop, is_all, restart) in enumerate(steps, 1):
            records = [secret(f"s{which}", revision=value) for which, value in put]
            gone = [SecretPlace("", f"s{which}") for which in drop]
            await cache.write(header(number), records, gone, replace=is_all)
            kept = {} if is_all else {at: it for at, it in model.items() if at not in gone}
            model.clear()
            model.update(kept | by_place(records))
            assert cache.state() is not None
            assert (cache.state() or {})["entries"] == len(model)
            if restart:
                await cache.aclose()
                cache = await opened(path)
        assert not steps or everything(await cache.load()) == model
        await cache.aclose()

    anyio.run(run)


async def test_the_state_tells_where_and_how_much(path: Path) -> None:
    """Of an open cache; there is none of a closed one."""
    cache = await opened(path)
    await cache.write(header(), SOME, [])

    assert cache.state() == {"path": str(path), "size": size_of(path), "entries": len(SOME)}
    await cache.aclose()
    assert cache.state() is None
    await cache.open()
    assert (cache.state() or {})["entries"] == len(SOME)
    await cache.aclose()


async def test_what_is_forgotten_is_gone(path: Path) -> None:
    """For this process and the next; and there is room for new things."""
    cache = await opened(path)
    await cache.write(header(), SOME, [])

    await cache.wipe()

    assert await cache.load() is None
    await cache.write(header(2), SOME[:1], [])
    await cache.aclose()
    assert everything(await read(path)) == by_place(SOME[:1])


async def test_a_one_time_secret_is_kept_without_its_ciphertext(path: Path) -> None:
    """It is not to be read after it was."""
    await write(path, [secret("once", one_time=True)])

    assert everything(await read(path))[SecretPlace("", "once")] == secret(
        "once", one_time=True, box=None
    )


# --- what is not in the file -------------------------------------------------------------------


async def test_no_name_is_in_the_file(path: Path) -> None:
    """Neither an id, nor a node, nor the service, nor a ciphertext; while it is open, or later."""
    node, content = Identity(SEED).node_id, CANARY.encode().hex()
    one = secret(CANARY, box=Box("b0" * 32, content * 8), token=node)
    records: list[Record] = [
        one,
        secret(CANARY, from_id=SENDER),
        NodeRecord("sender", SENDER, None),
    ]
    head = header(service=SERVICE, discovery={"nodeId": SENDER, "x": CANARY})
    words = (
        CANARY,
        SENDER,
        node,
        SERVICE,
        "feed",
        "sender",
        "b0" * 8,
        Identity(SEED).secret_key_hex,
    )
    forms = [word.encode() for word in words]
    forms += [bytes.fromhex(word) for word in (SENDER, node, "b0" * 8)]

    cache = await opened(path)
    await cache.write(head, records, [])
    contents = [each.read_bytes() for each in path.parent.iterdir()]
    await cache.write(head, [], [record.place for record in records])
    await cache.aclose()
    contents += [each.read_bytes() for each in path.parent.iterdir()]

    assert sum(map(len, contents)) > 4096
    assert not [form for form in forms for content in contents if form in content]


async def test_the_log_names_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is lost is told by the kind of its reason."""
    await write(path, [secret(CANARY)])
    with inside(path) as connection:
        connection.execute("UPDATE row SET sealed = x'00'")

    assert await read(path) is None

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "DecryptionFailed" in caplog.text
    assert CANARY not in caplog.text


# --- what is refused ---------------------------------------------------------------------------


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


# --- processes and room ------------------------------------------------------------------------


async def test_a_second_one_goes_without(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So that no header ever claims what another process has not written."""
    first = await opened(path)
    await first.write(header(), SOME, [])

    second = await opened(path)
    await second.write(header(99), [], [], replace=True)

    assert (second.is_open, await second.load()) == (False, None)
    assert "another process has the cache" in caplog.text
    await second.aclose()
    assert everything(await first.load()) == by_place(SOME)
    await first.aclose()
    assert everything(await read(path)) == by_place(SOME)


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes without end."""
    command = [sys.executable, "-c", WRITER, str(path), SERVICE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("taken", [1, 2, 5, 13])
async def test_a_process_that_is_killed_leaves_all_or_nothing(path: Path, taken: int) -> None:
    """Each write is there whole or not at all, and those that returned are."""
    with writer(path) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(taken)]
        process.send_signal(signal.SIGKILL)
        process.wait()

    loaded = await read(path)

    assert said[-1] == f"{taken} True\n"
    assert loaded is not None
    revision = loaded.header.revision
    assert revision >= taken
    assert {record.revision for record in loaded.secrets} == {revision}
    assert len(loaded.secrets) == 20


async def test_processes_do_not_share_a_file(path: Path) -> None:
    """Of two that are there at once, one has it; with its end it is free."""
    with writer(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        without = await opened(path)
        assert without.state() is None
    assert await read(path) is not None


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk that is full: what would make a file larger than `size` bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_leaves_what_was(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is not written is no error; only what replaces everything is written afterwards."""
    await write(path, SOME)
    cache = await opened(path)
    with no_file_beyond(size_of(path)):
        for number in range(3):
            await cache.write(header(9), [secret(f"{number}", token="x" * 300_000)], [])
    assert cache.needs_all
    assert len(caplog.records) == 1

    await cache.write(header(10), [secret("later")], [])
    assert everything(await cache.load()) == by_place(SOME)
    await cache.aclose()
    loaded = await read(path)
    assert everything(loaded) == by_place(SOME)
    assert loaded is not None
    assert loaded.header.revision == 1

    cache = await opened(path)
    await cache.write(header(11), SOME[:2], [], replace=True)
    assert not cache.needs_all
    await cache.aclose()
    assert everything(await read(path)) == by_place(SOME[:2])


async def test_a_disk_that_is_full_from_the_beginning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no cache, and no harm."""
    with no_file_beyond(0):
        cache = await opened(path)
        await cache.write(header(), SOME, [])
    assert not cache.is_open
    assert len(caplog.records) == 1

    await write(path, SOME)
    assert everything(await read(path)) == by_place(SOME)


async def test_a_file_that_breaks_while_it_is_open_is_made_anew(path: Path) -> None:
    """What was written since is missing, so that only all of it counts."""
    cache = await opened(path)
    await cache.write(header(), SOME, [])
    await cache.aclose()
    with inside(path) as connection:
        connection.execute("UPDATE row SET sealed = 5")
    await cache.open()

    await cache.write(header(2), SOME[:1], [])

    assert cache.needs_all
    assert await cache.load() is None
    await cache.write(header(3), SOME[:1], [])
    assert await cache.load() is None
    await cache.write(header(4), SOME, [], replace=True)
    assert everything(await cache.load()) == by_place(SOME)
    await cache.aclose()


async def test_the_largest_are_left_out(path: Path) -> None:
    """Beyond the bound, one by one or all at once; their records stay, and the others' boxes."""
    sized: Callable[..., SecretRecord] = partial(secret)
    records = [sized(f"s{size}", box=Box("b0" * 32, "00" * size)) for size in range(160, 1600, 16)]
    bound = 20_000
    for batches in ([records], [[record] for record in records]):
        cache = await opened(path, max_bytes=bound)
        await cache.write(header(), [], [], replace=True)
        for batch in batches:
            await cache.write(header(), batch, [])
        await cache.aclose()

        loaded = await read(path)
        assert loaded is not None
        assert len(loaded.secrets) == len(records)
        boxes = [record.box for record in loaded.secrets if record.box is not None]
        sizes = [32 + len(box.encrypted_content_hex) // 2 for box in boxes]
        assert bound - 1600 < sum(sizes) <= bound
        assert sorted(sizes) == [32 + size for size in range(160, 1600, 16)][: len(sizes)]


async def test_the_file_itself_is_bounded(path: Path) -> None:
    """Names without end do not fill the disk, either."""
    cache = await opened(path, max_bytes=0)
    for number in range(60):
        await cache.write(header(number), [secret("x" * 1_000_000 + str(number))], [])

    assert cache.needs_all
    await cache.aclose()
    assert size_of(path) < 40 * 1024 * 1024
