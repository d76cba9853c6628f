"""The deadline is that of a whole operation, however many requests it takes."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from smfs import errors
from smfs.client.client import Client
from smfs.client.connection import Connection
from smfs.client.deadlines import operation
from smfs.client.view import View
from smfs.client.workers import off_loop

pytestmark = pytest.mark.anyio

Passing = Callable[[httpx.Request], Awaitable[httpx.Response]]
Make = Callable[..., Client]

DEADLINE_S = 0.5


async def slow(request: httpx.Request, pass_on: Passing) -> httpx.Response:
    """One such answer comes in time; two do not."""
    await anyio.sleep(0.3)
    return await pass_on(request)


@pytest.fixture
async def hurried(make_client: Make, alice: Client, bob: Client, wire: Any) -> View:
    """A view of Alice's space; all she asks for comes slowly, and she cannot wait long."""
    await alice.set_secret("constructor", "text")
    await bob.accept_secrets_from(alice)
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "pin", "1234", one_time=True)
    wire.always("*", slow)
    return View(make_client(secret_key_hex=alice.secret_key_hex, deadline=DEADLINE_S))


OPERATIONS: dict[str, Callable[[View, str], Awaitable[object]]] = {
    "refresh": lambda view, _: view.refresh(0),
    "look_again": lambda view, _: view.look_again(anyio.current_time()),
    "read_own": lambda view, _: view.read_own("constructor"),
    "check_own": lambda view, _: view.check_own("constructor"),
    "write_own": lambda view, _: view.write_own("constructor", b""),
    "delete_own": lambda view, _: view.delete_own("constructor"),
    "consume": lambda view, bob: view.consume(bob, "pin"),
    "accept": lambda view, bob: view.accept(bob, None),
    "share": lambda view, bob: view.share(bob, "constructor", b""),
    "unshare": lambda view, bob: view.unshare(bob, "constructor"),
    "check_share": lambda view, bob: view.check_share(bob, "a"),
    "get_secret": lambda view, _: view.client.get_secret("constructor"),
    "set_secret": lambda view, _: view.client.set_secret("a", "x" * 50_000),
    "share_secret_to": lambda view, bob: view.client.share_secret_to(bob, "a", "x" * 50_000),
    "delete_shared_secret": lambda view, bob: view.client.delete_shared_secret(bob, "a"),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_all_requests_of_an_operation_share_its_deadline(
    hurried: View, bob: Client, wire: Any, name: str
) -> None:
    """The second request is cut off; the service was slow, not silent, so it is asked again."""
    wire.seen.clear()
    with pytest.raises(errors.DeadlineExceeded):
        await OPERATIONS[name](hurried, bob.id)
    assert len(wire.seen) == 2
    assert "DeadlineExceeded" in hurried.state()["lastError"]

    wire.mend()
    await hurried.client.get_secret_space()


async def test_opening_the_space_is_part_of_the_operation(make_client: Make, wire: Any) -> None:
    """So are the repetitions behind it."""
    for options in ({}, {"secret_key_hex": "c1" * 32}):
        client = make_client(deadline=DEADLINE_S, **options)
        wire.always("*", slow)
        with pytest.raises(errors.DeadlineExceeded):
            await client.set_secret("a", "text")
        wire.mend()


async def test_the_copy_of_what_was_shared_has_a_deadline_of_its_own(
    hurried: View, bob: Client, wire: Any
) -> None:
    """The share has been carried out by then."""
    await hurried.share(bob.id, "a", b"text")
    wire.mend()
    assert (await hurried.read_sent(bob.id, "a")).content == b"text"


class _Computing:
    """Something whose operation takes long without a request."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.goes_on = threading.Event()

    @operation
    async def compute(self) -> None:
        """Waits in a thread."""
        await off_loop(1024 * 1024, lambda: self.goes_on.wait(20))


async def test_computing_counts_towards_the_deadline(make_client: Make) -> None:
    """Nobody waits for the opening of what a hostile service listed."""
    computing = _Computing(make_client(deadline=0.1).connection)
    with pytest.raises(errors.DeadlineExceeded):
        await computing.compute()
    computing.goes_on.set()
    assert computing.connection.health.errors == 1


async def test_waiting_for_another_operation_counts_towards_the_deadline(
    make_client: Make, alice: Client, wire: Any, faults: Any
) -> None:
    """Writes of one secret are made one after the other."""
    await alice.set_secret("a", "text")
    client = make_client(secret_key_hex=alice.secret_key_hex, deadline=DEADLINE_S)
    wire.always("/setSecret", faults.hangs)
    refused = []

    async def write() -> None:
        with pytest.raises(errors.DeadlineExceeded):
            await client.set_secret("a", "more")
        refused.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(write)
    assert len(refused) == 4
    assert max(refused) - began < 2 * DEADLINE_S
