"""Requests that wait for a change: what wakes them, what ends them, and what they cost."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import pytest

from smfs.crypto.box import box_from_json, open_box
from smfs.protocol import canonical, changes, requests
from smfs.service import Service, waiting
from smfs.service.store import Store, watch
from smfs.service.store.postgres import PostgresStore
from smfs.service.store.sqlite import SqliteStore
from smfs.service.store.threads import Threads

pytestmark = pytest.mark.anyio

Follow = Callable[..., Any]
Restarting = Callable[[], Any]
PATIENCE_S = 20.0
LONG_MS = 600_000


@dataclass
class Call:
    """One request whose asker stays on the line.

    Attributes:
        gone: set it to hang up.
        status: of the answer.
        body: of the answer.
    """

    gone: anyio.Event = field(default_factory=anyio.Event)
    status: int | None = None
    body: bytes = b""

    async def run(self, app: Service, request: requests.SignedRequest) -> None:
        """Asks, and returns when there is an answer or none will come."""
        bodies = [canonical.encode(request.to_wire()).encode()]

        async def receive() -> MutableMapping[str, Any]:
            if bodies:
                return {"type": "http.request", "body": bodies.pop()}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            self.status = message.get("status", self.status)
            self.body += message.get("body", b"")

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": request.path(), "headers": headers}
        await app(scope, receive, send)

    @property
    def error(self) -> str | None:
        """The words of a refusal."""
        error: str | None = canonical.decode(self.body).get("error")
        return error


class Board:
    """Who waits at this moment, in all services of a test."""

    def __init__(self) -> None:
        self._count = 0
        self._moved = anyio.Event()

    def move(self, by: int) -> None:
        """Somebody begins or ends to wait."""
        self._count += by
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def until(self, count: int = 1) -> None:
        """Returns once so many wait."""
        with anyio.fail_after(PATIENCE_S):
            while self._count < count:
                await self._moved.wait()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """Counts those who wait."""
    made = Board()
    changed = waiting.Waiter.changed

    async def count(self: waiting.Waiter) -> None:
        made.move(1)
        try:
            await changed(self)
        finally:
            made.move(-1)

    monkeypatch.setattr(waiting.Waiter, "changed", count)
    return made


Woken = Callable[[Any, Callable[[], Awaitable[object]]], Awaitable[Call]]


@pytest.fixture
def woken(service: Service, board: Board) -> Woken:
    """The call of a follower that waits while something happens."""

    async def ask(follower: Any, happening: Callable[[], Awaitable[object]]) -> Call:
        call = Call()
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call.run, service, follower.request(wait=LONG_MS))
                await board.until()
                await happening()
        assert service._waiting.all() == []
        return call

    return ask


@pytest.fixture
async def follower(alice: Any, follow: Follow) -> Any:
    """Somebody who knows all of alice's space."""
    one = follow(alice)
    await one.catch_up()
    return one


def page_in(call: Call, follower: Any) -> changes.Changes:
    """The page that a call has brought."""
    box = box_from_json(canonical.decode(call.body))
    return changes.Changes.parse(canonical.decode(open_box(follower.node.identity, box)))


async def test_a_change_answers_who_waits_for_it(
    service: Service, alice: Any, bob: Any, follower: Any, woken: Woken
) -> None:
    """Whoever makes it; the page has it."""
    happenings: list[Callable[[], Awaitable[object]]] = [
        lambda: alice.set("x", "1"),
        lambda: alice.accept(bob),
        lambda: bob.share(alice, "x", "1"),
        lambda: bob.accept(alice),
        lambda: bob.do(requests.DeleteSecretSpace),
    ]
    for happening in happenings:
        page = page_in(await woken(follower, happening), follower)
        assert len(page.changes) == 1
        follower.apply(page)


async def test_what_has_happened_is_not_waited_for(alice: Any, follower: Any) -> None:
    """Nor is a full listing."""
    await alice.set("x", "1")
    with anyio.fail_after(PATIENCE_S):
        assert len((await follower.ask(wait=LONG_MS)).changes) == 1
        assert (await follower.ask(feed="other", wait=LONG_MS)).since == 0


async def test_the_changes_of_others_wake_nobody(
    service: Service, alice: Any, bob: Any, follower: Any, woken: Woken
) -> None:
    """Only what shows in the space that is waited for."""

    async def happen() -> None:
        await bob.set("x", "1")
        await anyio.wait_all_tasks_blocked()
        assert len(service._waiting.all()) == 1
        await alice.set("y", "1")

    page = page_in(await woken(follower, happen), follower)
    assert [change.secret_id for change in page.changes] == ["y"]  # type: ignore[union-attr]


@pytest.mark.parametrize("wait", [0, 0.5, 30, -5])
async def test_the_end_of_the_wait_brings_an_empty_page(
    service: Service, follower: Any, wait: float
) -> None:
    """Up to the same revision."""
    call = Call()
    with anyio.fail_after(PATIENCE_S):
        await call.run(service, follower.request(wait=wait))
    page = page_in(call, follower)
    assert (page.since, page.revision, page.changes) == (follower.since, follower.since, ())


async def test_nobody_waits_longer_than_the_longest_wait(
    service: Service, follower: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is asked for."""
    assert changes.LONGEST_WAIT_MS == 25_000
    monkeypatch.setattr("smfs.service.feed.LONGEST_WAIT_MS", 30)
    call = Call()
    with anyio.fail_after(PATIENCE_S):
        await call.run(service, follower.request(wait=1e308))
    assert page_in(call, follower).changes == ()


async def test_who_hangs_up_waits_no_more(
    service: Service, alice: Any, follower: Any, board: Board
) -> None:
    """Nothing is left of him, and nothing is sent."""
    call = Call()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.run, service, follower.request(wait=LONG_MS))
            await board.until()
            call.gone.set()
    assert (call.status, service._waiting.all()) == (None, [])


async def test_a_space_that_goes_ends_the_wait(
    service: Service, alice: Any, follower: Any, woken: Woken
) -> None:
    """In the words for one that is missing."""
    call = await woken(follower, lambda: alice.do(requests.DeleteSecretSpace))
    assert call.error == f'SecretSpace for "{alice.node_id}" did not exist!'


async def test_a_closure_ends_the_wait(
    service: Service, node: Callable[..., Any], bob: Any, clock: Any, follow: Follow, woken: Woken
) -> None:
    """That of a sub space on both sides, and that of the space itself."""
    alice = await node().open_space(clock.now_ms + 2000)
    await alice.accept(bob, clock.now_ms + 1000)
    await bob.accept(alice, clock.now_ms + 1000)
    one = follow(alice)
    await one.catch_up()

    async def pass_by() -> None:
        clock.now_ms += 1000
        await service.sweep()

    one.apply(page_in(await woken(one, pass_by), one))
    await one.catch_up()
    assert one.nodes == {}
    call = await woken(one, pass_by)
    assert call.error == f'SecretSpace for "{alice.node_id}" did not exist!'


async def test_who_is_not_let_in_does_not_wait(
    service: Service, follower: Any, node: Callable[..., Any], follow: Follow
) -> None:
    """A refused signature and a missing space are answered at once."""
    forged, missing = Call(), Call()
    stranger = follow(node())
    with anyio.fail_after(PATIENCE_S):
        await forged.run(service, follower.request(wait=LONG_MS).with_signature("00" * 64))
        await missing.run(service, stranger.request(wait=LONG_MS))
    assert (forged.status, missing.status) == (401, 200)
    assert missing.error == f'SecretSpace for "{stranger.node.node_id}" did not exist!'


async def test_another_process_s_changes_are_noticed(
    service: Service, alice: Any, follower: Any, restarting: Restarting, woken: Woken
) -> None:
    """By looking at the file time after time, or by what the other process says."""
    async with restarting() as other:
        alice.app = other
        for number in range(3):
            page = page_in(await woken(follower, lambda: alice.set("x", "1")), follower)
            assert len(page.changes) == 1, number
            follower.apply(page)
        call = await woken(follower, lambda: alice.do(requests.DeleteSecretSpace))
        assert call.error is not None


@pytest.mark.usefixtures("database")
async def test_the_file_is_looked_at_while_somebody_waits(
    service: Service, alice: Any, follower: Any, monkeypatch: pytest.MonkeyPatch, woken: Woken
) -> None:
    """And not at all when nobody does; often enough, and by one thread for all."""
    assert watch._PAUSE_S <= 0.04
    looks: list[str] = []
    many = threading.Event()
    looking = watch.Watch._changed

    def look(self: watch.Watch, connection: Any) -> Any:
        looks.append(threading.current_thread().name)
        if len(looks) == 5:
            many.set()
        return looking(self, connection)

    monkeypatch.setattr(watch.Watch, "_changed", look)
    monkeypatch.setattr(watch, "_PAUSE_S", 0.001)
    await alice.set("x", "1")
    assert looks == []

    async def happen() -> None:
        assert await anyio.to_thread.run_sync(many.wait, PATIENCE_S)
        await alice.set("x", "2")

    follower.apply(await follower.ask())
    await woken(follower, happen)
    assert len(set(looks)) == 1


async def test_those_who_wait_are_answered_when_the_service_stops(
    alice: Any, follow: Follow, restarting: Restarting, board: Board
) -> None:
    """At once; nobody else waits from then on."""
    calls = [Call() for _ in range(3)]
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks, restarting() as other:
            alice.app = other
            one = follow(alice)
            await one.catch_up()
            for call in calls:
                tasks.start_soon(call.run, other, one.request(wait=LONG_MS))
            await board.until(3)
            other.end_waiting()
            late = Call()
            await late.run(other, one.request(wait=LONG_MS))
    for call in [*calls, late]:
        assert page_in(call, one).changes == ()


async def test_stopping_does_not_wait_for_those_who_wait(
    alice: Any, follow: Follow, restarting: Restarting, board: Board
) -> None:
    """Their answer needs no database."""
    call = Call()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks, restarting() as other:
            alice.app = other
            one = follow(alice)
            await one.catch_up()
            tasks.start_soon(call.run, other, one.request(wait=LONG_MS))
            await board.until()
    assert page_in(call, one).changes == ()


async def test_thousands_may_wait(
    service: Service, alice: Any, follower: Any, board: Board
) -> None:
    """Without a thread, a place in the queue of the database, or room for a body for each."""
    count = 500
    calls = [Call() for _ in range(count)]
    threads = threading.active_count()
    room = service._room._free
    with anyio.fail_after(3 * PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for number, call in enumerate(calls, 1):
                tasks.start_soon(call.run, service, follower.request(wait=LONG_MS))
                if number % 100 == 0:
                    await board.until(number)
            assert threading.active_count() <= threads + 20
            assert not any(threads._calls for threads in threads_of(service._store))
            assert service._room._free == room
            await alice.set("x", "1")
    assert {call.status for call in calls} == {200}
    assert all(len(page_in(call, follower).changes) == 1 for call in calls[::100])


def threads_of(store: Store) -> list[Threads]:
    """What carries out the calls of a store."""
    if isinstance(store, PostgresStore):
        return [store._readers, store._writers]
    assert isinstance(store, SqliteStore)
    return [store._threads]


def test_who_waits_is_found_by_his_space() -> None:
    """And forgotten when he leaves."""
    found = waiting.Waiting()
    with found.one("a", 1) as first, found.one("a", 2) as second, found.one("b", 1) as third:
        assert set(found.all()) == {first, second, third}
    assert found.all() == []
