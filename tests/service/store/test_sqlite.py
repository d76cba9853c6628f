"""The store in a file: writes that come together share a commit, and nothing else."""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

from smfs.errors import ServiceBusy, StoreFailed, StoreFull, TooManyRequests
from smfs.service.store import Store, Transaction, sqlite_jobs
from smfs.service.store.base import Signature
from smfs.service.store.sqlite import SqliteStore
from smfs.service.store.sqlite_writer import SqliteWriter
from tests.service.places import rows
from tests.service.store.patience import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("database")]

Prepared = Callable[[], Callable[[Transaction], Any]]
Write = Callable[[Prepared], Coroutine[Any, Any, Any]]


@pytest.fixture(params=[False, True], ids=["long", "short"])
def write(request: pytest.FixtureRequest, store: Store) -> Write:
    """Writes what takes its time, or what is done in place."""
    return functools.partial(store.write, is_short=request.param)


@pytest.fixture
def said(store: Store) -> Iterator[list[str]]:
    """The statements that the store writes by."""
    statements: list[str] = []
    connection_of(store).set_trace_callback(statements.append)
    yield statements
    connection_of(store).set_trace_callback(None)


@pytest.fixture
def lock(store: Store, database: Path) -> Iterator[sqlite3.Connection]:
    """Another process's transaction, for whose end all writes wait."""
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield held


def connection_of(store: Store) -> sqlite3.Connection:
    """What it writes by."""
    return writer_of(store).connection


def writer_of(store: Store) -> SqliteWriter:
    """Who writes for it."""
    assert isinstance(store, SqliteStore)
    assert store._writer is not None
    return store._writer


def putting(key: str) -> Prepared:
    """Stores a row."""
    return lambda: (
        lambda transaction: transaction.execute("INSERT INTO locks VALUES (?)", (key.encode(),))
    )


def ending(statement: str) -> Prepared:
    """Stores a row, and ends the transaction that it shares with others."""

    def work(transaction: Transaction) -> None:
        transaction.execute("INSERT INTO locks VALUES (?)", (statement.encode(),))
        transaction.execute(statement)

    return lambda: work


def kept(database: Path) -> list[str]:
    """The rows that are there."""
    return sorted(key.decode() for (key,) in rows(database, "SELECT node_id FROM locks"))


async def lead(store: Store, write: Write, tasks: anyio.abc.TaskGroup, prepared: Prepared) -> None:
    """Orders a write, and returns once it asks for the lock."""
    writer = writer_of(store)
    tasks.start_soon(write, prepared)
    await until(lambda: writer._is_led and not writer._jobs)


async def queue(
    store: Store, write: Write, tasks: anyio.abc.TaskGroup, prepared: list[Prepared]
) -> None:
    """Orders writes, and returns once they all wait for the one that asks for the lock."""
    jobs = writer_of(store)._jobs
    wanted = len(jobs) + len(prepared)
    for each in prepared:
        tasks.start_soon(write, each)
    await until(lambda: len(jobs) >= wanted)


async def test_those_who_wait_share_a_commit(
    store: Store, write: Write, database: Path, lock: sqlite3.Connection, said: list[str]
) -> None:
    """The first one is under way already; all others are on disk by one sync."""
    async with anyio.create_task_group() as tasks:
        await lead(store, write, tasks, putting("0"))
        await queue(store, write, tasks, [putting(f"{number}") for number in range(1, 9)])
        lock.execute("ROLLBACK")
    assert said.count("COMMIT") == 2
    assert kept(database) == [f"{number}" for number in range(9)]


@pytest.mark.parametrize("statement", ["ROLLBACK", "SELECT 1 FROM nowhere"])
async def test_who_ends_the_transaction_of_all_is_alone_in_it(
    store: Store, write: Write, database: Path, lock: sqlite3.Connection, statement: str
) -> None:
    """The others are carried out once more, and once in all."""
    errors: list[type[Exception]] = []

    async def end() -> None:
        try:
            await write(ending(statement))
        except StoreFailed as error:
            errors.append(type(error))

    async with anyio.create_task_group() as tasks:
        await lead(store, write, tasks, putting("0"))
        await queue(store, write, tasks, [putting(f"{number}") for number in range(1, 5)])
        tasks.start_soon(end)
        await queue(store, write, tasks, [putting(f"{number}") for number in range(5, 9)])
        lock.execute("ROLLBACK")
    assert errors == [StoreFailed]
    assert kept(database) == [f"{number}" for number in range(9)]
    await store.write(putting("after"))


async def test_who_has_given_up_is_not_served(
    store: Store, write: Write, database: Path, lock: sqlite3.Connection
) -> None:
    """His turn never comes."""
    async with anyio.create_task_group() as tasks:
        await lead(store, write, tasks, putting("first"))
        async with anyio.create_task_group() as impatient:
            await queue(store, write, impatient, [putting(f"{number}") for number in range(5)])
            impatient.cancel_scope.cancel()
        lock.execute("ROLLBACK")
    await store.write(putting("last"))
    assert kept(database) == ["first", "last"]


async def test_who_waits_too_long_is_told_so(
    write: Write, lock: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it is done later."""
    monkeypatch.setattr(sqlite_jobs, "BUSY_S", 0.1)
    with pytest.raises(ServiceBusy, match="locked"):
        await write(putting("late"))
    lock.execute("ROLLBACK")
    await write(putting("next"))
    assert lock.execute("SELECT count(*) FROM locks").fetchall() == [(1,)]


async def test_a_full_disk_is_that_of_who_finds_it(
    store: Store, write: Write, database: Path
) -> None:
    """Who needs no more room shares nothing of it; with room again, everything goes on."""
    connection = connection_of(store)
    connection.execute(f"PRAGMA max_page_count = {page_count(connection) + 1}")
    full: list[str] = []

    async def put(key: str) -> None:
        try:
            await write(putting(key))
        except StoreFull:
            full.append(key)

    large = "x" * 100_000
    async with anyio.create_task_group() as tasks:
        for key in ("0", "1", large, "2", "3"):
            tasks.start_soon(put, key)
    assert full == [large]
    assert kept(database) == ["0", "1", "2", "3"]
    connection.execute("PRAGMA max_page_count = 1000000")
    await store.write(putting(large))


def page_count(connection: sqlite3.Connection) -> int:
    """How large the database is."""
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    return int(pages)


async def test_who_only_reads_cannot_write(store: Store) -> None:
    """It is a fault of the program, not a change."""
    with pytest.raises(StoreFailed, match="READONLY"):
        await store.read(putting("a"))


# --- in place -------------------------------------------------------------------------------------


class Places:
    """Where work is prepared, done and committed: the threads by their numbers.

    Attributes:
        seen: in their order.
    """

    def __init__(self) -> None:
        self.seen: list[int] = []

    def note(self, *_: object) -> None:
        """Here."""
        self.seen.append(threading.get_ident())

    def commits(self, statement: str) -> None:
        """Here, if it is one."""
        if statement == "COMMIT":
            self.note()

    def noting(self, prepared: Prepared) -> Prepared:
        """The same, noted."""

        def prepare() -> Callable[[Transaction], Any]:
            self.note()
            work = prepared()

            def noted(transaction: Transaction) -> Any:
                self.note()
                return work(transaction)

            return noted

        return prepare


def looking() -> Callable[[Transaction], Any]:
    """Reads something."""
    return lambda transaction: transaction.execute("SELECT count(*) FROM locks").fetchone()[0]


async def test_what_is_short_is_done_in_place(store: Store) -> None:
    """As long as nobody else is under way: prepared, carried out and on disk without a thread."""
    places, threads = Places(), threading.active_count()
    connection_of(store).set_trace_callback(places.commits)
    await store.write(places.noting(putting("a")), is_short=True)
    assert await store.read(places.noting(looking), is_short=True) == 1
    assert places.seen == [threading.get_ident()] * 5
    assert threading.active_count() <= threads


async def test_nobody_is_held_up_by_the_disk(store: Store) -> None:
    """With others there, those who come together share a transaction, which a thread commits."""
    places = Places()
    connection_of(store).set_trace_callback(places.commits)
    async with anyio.create_task_group() as tasks:
        for number in range(9):
            tasks.start_soon(functools.partial(store.write, putting(f"{number}"), is_short=True))
    assert len(places.seen) == 1
    assert threading.get_ident() not in places.seen


async def test_a_slow_disk_is_waited_for_in_a_thread(store: Store) -> None:
    """Until it was quick for a while."""
    writer, places = writer_of(store), Places()
    writer._commits_take = 60.0
    connection_of(store).set_trace_callback(places.commits)
    for number in range(1000):
        await store.write(putting(f"{number}"), is_short=True)
        if places.seen[-1] == threading.get_ident():
            break
    assert threading.get_ident() not in places.seen[:50]
    assert places.seen[-1] == threading.get_ident()


async def test_a_lock_holds_up_only_who_writes(store: Store, lock: sqlite3.Connection) -> None:
    """What is short is prepared once, and waits in a thread; who reads goes on."""
    places = Places()
    assert connection_of(store).execute("PRAGMA busy_timeout").fetchone() == (0,)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(functools.partial(store.write, places.noting(putting("a")), is_short=True))
        writer = writer_of(store)
        await until(lambda: writer._is_led and not writer._jobs)
        assert await store.read(looking, is_short=True) == 0
        lock.execute("ROLLBACK")
    assert await store.read(looking, is_short=True) == 1
    assert [place == threading.get_ident() for place in places.seen] == [True, False]


async def test_who_reads_waits_for_others_signatures_in_a_thread(
    store: Store, database: Path
) -> None:
    """Another process writes its own: for that long, and nobody here waits with him."""
    signature = Signature(bytes(32), 1, bytes(64))
    path = database.with_name(database.name + "-seen")
    places, used = Places(), []

    def using() -> Callable[[Transaction], Any]:
        return lambda transaction: transaction.use_signature(signature, keep=True)

    async def use() -> None:
        used.append(await store.read(places.noting(using), is_short=True))

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await until(lambda: len(places.seen) == 3)
            assert await store.read(looking, is_short=True) == 0
            other.execute("ROLLBACK")
    assert used == [True]
    assert [place == threading.get_ident() for place in places.seen] == [True, True, False]


async def test_what_cannot_be_prepared_leaves_nothing(store: Store, write: Write) -> None:
    """Who asked is told, and the next one is served."""

    def fail() -> Callable[[Transaction], Any]:
        raise TooManyRequests(seconds=1)

    for run in (write, functools.partial(store.read, is_short=True)):
        with pytest.raises(TooManyRequests):
            await run(fail)
    await write(putting("a"))
    await store.aclose()


async def test_who_gives_up_before_his_turn_does_not_take_it_with_him(
    store: Store, write: Write
) -> None:
    """Others came in the same turn, for whom he would have begun."""
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(write, putting("first"))
                tasks.start_soon(write, putting("second"))
                scope.cancel()
    assert await store.read(looking) >= 1
