"""Requests that are cut off, a database that is busy, and a service that ends in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from smfs.errors import ServiceBusy
from smfs.protocol import requests
from smfs.service import Service
from smfs.service.store import sqlite_file, sqlite_jobs

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("database")]


async def test_a_request_that_is_cut_off_is_done_or_not_done(alice: Any) -> None:
    """Cancelled at any point, it leaves no half of anything, and the service goes on."""
    for number in range(40):
        request = alice.signed(requests.SetSecret, secret_id=f"s{number}", secret="y" * 1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(alice.send, request)
            for _ in range(number % 8):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    space = await alice.space()
    for secret_id in space["secrets"]:
        assert await alice.get(secret_id) == "y" * 1000
    await alice.set("after", "z")
    assert await alice.get("after") == "z"


@pytest.fixture
def locked(database: Path, service: Service) -> Iterator[sqlite3.Connection]:
    """Another process's transaction on the service's file."""
    del service
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


async def test_a_busy_database_is_said_to_be_busy(
    alice: Any, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds its lock for too long: 503, nothing is done, and later it works.

    Who only reads is not in its way.
    """
    monkeypatch.setattr(sqlite_jobs, "BUSY_S", 0.1)
    answer = await alice.ask(requests.SetSecret, secret_id="x", secret="y")
    read = await alice.ask(requests.GetSecret, secret_id="x")
    locked.execute("ROLLBACK")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert (read.status, read.error) == (200, 'Secret with secretId "x" did not exist!')
    assert list((await alice.space())["secrets"]) == []
    await alice.set("x", "y")


async def test_those_who_queue_are_told_together(
    alice: Any, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait of one request is not the wait of all before it, added up."""
    assert sqlite_file.BUSY_S <= 4
    assert locked.in_transaction
    monkeypatch.setattr(sqlite_jobs, "BUSY_S", 0.2)
    began = anyio.current_time()
    statuses: list[int] = []

    async def write() -> None:
        answer = await alice.ask(requests.SetSecret, secret_id="x", secret="y")
        statuses.append(answer.status)

    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(write)
    assert statuses == [503] * 30
    assert anyio.current_time() - began < 3


async def test_a_wait_for_the_lock_can_be_cancelled(
    alice: Any, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, long before the wait would be over by itself."""
    monkeypatch.setattr(sqlite_jobs, "BUSY_S", 60.0)
    request = alice.signed(requests.SetSecret, secret_id="x", secret="y")
    began = anyio.current_time()
    with anyio.move_on_after(0.2) as scope:
        await alice.send(request)
    assert scope.cancelled_caught
    assert anyio.current_time() - began < 3
    locked.execute("ROLLBACK")
    await alice.set("x", "z")
    assert await alice.get("x") == "z"


async def test_a_locked_file_cannot_be_opened_yet(
    restarting: Callable[[], Any], locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is wrong with the configuration: it can be tried again."""
    monkeypatch.setattr(sqlite_file, "BUSY_S", 0.1)
    with pytest.raises(ServiceBusy, match="locked"):
        async with restarting():
            pass
    locked.execute("ROLLBACK")
    async with restarting() as service:
        assert service.node_id


async def test_who_waits_for_a_lock_gets_it(alice: Any, database: Path) -> None:
    """Another process that is writing delays a request and does not refuse it."""
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alice.set, "x", "y")
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await anyio.to_thread.run_sync(other.execute, "COMMIT")
    other.close()
    assert await alice.get("x") == "y"


async def test_the_service_ends_after_what_has_begun(
    node: Callable[..., Any], restarting: Callable[[], Any]
) -> None:
    """Writes that were under way are finished or refused; the next start finds a whole file."""
    statuses: list[int] = []

    async def write(alice: Any, number: int) -> None:
        answer = await alice.ask(requests.SetSecret, secret_id=f"s{number}", secret="y")
        statuses.append(answer.status)

    async with anyio.create_task_group() as tasks, restarting() as service:
        alice = await node(app=service).open_space()
        for number in range(30):
            tasks.start_soon(write, alice, number)
        while not statuses:
            await anyio.lowlevel.checkpoint()
    assert len(statuses) == 30
    async with restarting() as service:
        alice.app = service
        assert len((await alice.space())["secrets"]) == statuses.count(200)


async def test_an_error_leaves_the_service_as_it_is(restarting: Callable[[], Any]) -> None:
    """It ends the service, and is not wrapped into a group."""
    with pytest.raises(LookupError, match="ours"):
        async with restarting():
            raise LookupError("ours")


async def test_a_service_can_be_cancelled(restarting: Callable[[], Any]) -> None:
    """With all that it does in the background; the next one starts."""
    with anyio.CancelScope() as scope:
        async with restarting():
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with restarting() as service:
        assert service.node_id


async def test_what_closed_while_it_was_away_is_swept_at_the_start(
    node: Callable[..., Any], restarting: Callable[[], Any], clock: Any, database: Path
) -> None:
    """Nobody has to wait for the first minute."""
    async with restarting() as service:
        await node(app=service).open_space(clock.now_ms + 1)
    clock.now_ms += 1
    async with restarting() as service:
        with anyio.fail_after(10):
            while _spaces(database):
                await anyio.lowlevel.checkpoint()
    assert _spaces(database) == 0


def _spaces(database: Path) -> int:
    connection = sqlite3.connect(database)
    [count] = connection.execute("SELECT count(*) FROM spaces").fetchone()
    connection.close()
    return int(count)
