"""The store in a file: writes that come together share a commit, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

from smfs.errors import ServiceBusy, StoreFailed, StoreFull
from smfs.service.store import Store, Transaction, sqlite_jobs
from smfs.service.store.sqlite import SqliteStore
from smfs.service.store.sqlite_writer import SqliteWriter
from tests.service.places import rows
from tests.service.store.patience import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("database")]

Prepared = Callable[[], Callable[[Transaction], Any]]


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


async def lead(store: Store, tasks: anyio.abc.TaskGroup, prepared: Prepared) -> None:
    """Orders a write, and returns once it asks for the lock."""
    writer = writer_of(store)
    tasks.start_soon(store.write, prepared)
    await until(lambda: writer._is_led and not writer._jobs)


async def queue(store: Store, tasks: anyio.abc.TaskGroup, prepared: list[Prepared]) -> None:
    """Orders writes, and returns once they all wait for the one that asks for the lock."""
    jobs = writer_of(store)._jobs
    wanted = len(jobs) + len(prepared)
    for each in prepared:
        tasks.start_soon(store.write, each)
    await until(lambda: len(jobs) >= wanted)


async def test_those_who_wait_share_a_commit(
    store: Store, database: Path, lock: sqlite3.Connection, said: list[str]
) -> None:
    """The first one is under way already; all others are on disk by one sync."""
    async with anyio.create_task_group() as tasks:
        await lead(store, tasks, putting("0"))
        await queue(store, tasks, [putting(f"{number}") for number in range(1, 9)])
        lock.execute("ROLLBACK")
    assert said.count("COMMIT") == 2
    assert kept(database) == [f"{number}" for number in range(9)]


@pytest.mark.parametrize("statement", ["ROLLBACK", "SELECT 1 FROM nowhere"])
async def test_who_ends_the_transaction_of_all_is_alone_in_it(
    store: Store, database: Path, lock: sqlite3.Connection, statement: str
) -> None:
    """The others are carried out once more, and once in all."""
    errors: list[type[Exception]] = []

    async def end() -> None:
        try:
            await store.write(ending(statement))
        except StoreFailed as error:
            errors.append(type(error))

    async with anyio.create_task_group() as tasks:
        await lead(store, tasks, putting("0"))
        await queue(store, tasks, [putting(f"{number}") for number in range(1, 5)])
        tasks.start_soon(end)
        await queue(store, tasks, [putting(f"{number}") for number in range(5, 9)])
        lock.execute("ROLLBACK")
    assert errors == [StoreFailed]
    assert kept(database) == [f"{number}" for number in range(9)]
    await store.write(putting("after"))


async def test_who_has_given_up_is_not_served(
    store: Store, database: Path, lock: sqlite3.Connection
) -> None:
    """His turn never comes."""
    async with anyio.create_task_group() as tasks:
        await lead(store, tasks, putting("first"))
        async with anyio.create_task_group() as impatient:
            await queue(store, impatient, [putting(f"{number}") for number in range(5)])
            impatient.cancel_scope.cancel()
        lock.execute("ROLLBACK")
    await store.write(putting("last"))
    assert kept(database) == ["first", "last"]


async def test_who_waits_too_long_is_told_so(
    store: Store, lock: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it is done later."""
    monkeypatch.setattr(sqlite_jobs, "BUSY_S", 0.1)
    with pytest.raises(ServiceBusy, match="locked"):
        await store.write(putting("late"))
    lock.execute("ROLLBACK")
    await store.write(putting("next"))
    assert lock.execute("SELECT count(*) FROM locks").fetchall() == [(1,)]


async def test_a_full_disk_is_that_of_who_finds_it(store: Store, database: Path) -> None:
    """Who needs no more room shares nothing of it; with room again, everything goes on."""
    connection = connection_of(store)
    connection.execute(f"PRAGMA max_page_count = {page_count(connection) + 1}")
    full: list[str] = []

    async def put(key: str) -> None:
        try:
            await store.write(putting(key))
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
