"""Requests that are cut off, a database that is busy, and a service that ends in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from smfs.protocol import requests
from smfs.service import Service

pytestmark = pytest.mark.anyio


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


async def test_a_busy_database_is_said_to_be_busy(
    alice: Any, service: Service, database: Path
) -> None:
    """Somebody else holds its lock for too long: 503, nothing is done, and later it works."""
    connection = service._database._connection
    assert connection is not None
    connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = await alice.ask(requests.SetSecret, secret_id="x", secret="y")
    read = await alice.ask(requests.GetSecret, secret_id="x")
    other.execute("ROLLBACK")
    other.close()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert read.status == 503
    assert list((await alice.space())["secrets"]) == []
    await alice.set("x", "y")


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
