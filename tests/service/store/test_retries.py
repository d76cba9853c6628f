"""Transactions of PostgreSQL that have to be tried again, and are."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from smfs.errors import ServiceBusy, StoreFull
from smfs.service.store import Store, Transaction
from smfs.service.store import postgres as postgres_store
from tests.service.places import rows

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("postgres_url")]

PATIENCE_S = 20.0
PUT = "INSERT INTO locks VALUES (?)"


async def test_a_row_that_another_changed_is_looked_at_again(
    store: Store, postgres_url: str
) -> None:
    """A serialization failure."""
    rows(postgres_url, PUT, b"0")
    tries = []

    def work(transaction: Transaction) -> None:
        transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        [before] = transaction.execute("SELECT node_id FROM locks").fetchone()
        tries.append(before)
        if len(tries) == 1:
            rows(postgres_url, "UPDATE locks SET node_id = ?", b"1")
        transaction.execute("UPDATE locks SET node_id = ?", (before + b"2",))

    await store.write(lambda: work)
    assert tries == [b"0", b"1"]
    assert rows(postgres_url, "SELECT node_id FROM locks") == [(b"12",)]


async def test_two_who_wait_for_each_other_both_come_to_their_end(
    store: Store, postgres_url: str
) -> None:
    """A deadlock: the server ends one of them, which begins anew.

    It may take its row again before the other one wakes, and the server then ends either.
    """
    for key in (b"a", b"b"):
        rows(postgres_url, PUT, key)
    meeting = threading.Barrier(2)
    tries: list[bytes] = []

    def locking(first: bytes, second: bytes) -> Any:
        def work(transaction: Transaction) -> None:
            tries.append(first)
            transaction.execute("UPDATE locks SET node_id = node_id WHERE node_id = ?", (first,))
            if tries.count(first) == 1:
                meeting.wait(PATIENCE_S)
            transaction.execute("UPDATE locks SET node_id = node_id WHERE node_id = ?", (second,))

        return lambda: work

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.write, locking(b"a", b"b"))
            tasks.start_soon(store.write, locking(b"b", b"a"))
    assert set(tries) == {b"a", b"b"}
    assert len(tries) > 2


async def test_what_two_make_at_once_the_second_one_finds(store: Store, postgres_url: str) -> None:
    """A unique violation."""
    tries = []

    def work(transaction: Transaction) -> str:
        tries.append(1)
        if transaction.execute("SELECT 1 FROM locks").fetchone() is not None:
            return "found"
        rows(postgres_url, PUT, b"a")
        transaction.execute(PUT, (b"a",))
        return "made"

    assert await store.write(lambda: work) == "found"
    assert len(tries) == 2


async def test_who_never_succeeds_is_told_to_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; and the error says nothing of what was asked."""
    assert postgres_store._PATIENCE_S <= 10
    monkeypatch.setattr(postgres_store, "_PATIENCE_S", 2.0)
    tries = []

    def work(transaction: Transaction) -> None:
        tries.append(1)
        for _ in range(2):
            transaction.execute(PUT, (b"a",))

    with pytest.raises(ServiceBusy, match="in the way"):
        await store.write(lambda: work)
    assert len(tries) > 1
    await store.check()


async def test_a_connection_that_was_ended_is_replaced(store: Store, postgres: Any) -> None:
    """All of them, while one is within a transaction."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'smfs'"
    tries = []

    def work(transaction: Transaction) -> None:
        tries.append(1)
        transaction.execute(PUT, (b"a",))
        if len(tries) == 1:
            postgres.execute(end)
        transaction.execute("SELECT 1")

    await store.write(lambda: work)
    assert len(tries) == 2
    postgres.execute(end)
    await store.check()


async def test_a_full_disk_is_said_to_be_full(store: Store, postgres_url: str) -> None:
    """At once: to try again would be of no use. The fault is the server's own, thrown on order."""
    throw = "BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END"
    rows(postgres_url, f"CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ {throw} $$")
    rows(
        postgres_url,
        "CREATE TRIGGER fill BEFORE INSERT ON locks FOR EACH ROW EXECUTE FUNCTION fill()",
    )
    tries = []

    def work(transaction: Transaction) -> None:
        tries.append(1)
        transaction.execute(PUT, (b"a",))

    with pytest.raises(StoreFull):
        await store.write(lambda: work)
    assert len(tries) == 1
    rows(postgres_url, "DROP TRIGGER fill ON locks")
    await store.write(lambda: work)


async def test_a_server_that_takes_no_writes_is_waited_for(
    store: Store, postgres_url: str, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was a primary; once it takes writes again, so does the store."""
    monkeypatch.setattr(postgres_store, "_PATIENCE_S", 0.5)
    name = postgres_url.rpartition("/")[2]

    def put(transaction: Transaction) -> None:
        transaction.execute(PUT, (b"a",))

    def turn(mode: str) -> None:
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {mode}")
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name
        )

    turn("on")
    with pytest.raises(ServiceBusy):
        await store.write(lambda: put)
    with pytest.raises(ServiceBusy, match="takes no writes"):
        await store.check()
    turn("off")
    await store.check()
    await store.write(lambda: put)
    assert rows(postgres_url, "SELECT node_id FROM locks") == [(b"a",)]
