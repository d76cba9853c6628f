"""The queue of hooks: each message by one replica, taken over, tried again, and given up."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import pytest

from smfs.protocol import requests
from smfs.service import ServiceOptions, notifier
from smfs.service.delivery_rows import Delivery, DeliveryRows
from smfs.service.hook_rows import Hook, Target
from smfs.service.notifier import Retries
from smfs.service.store import Store
from tests.service.nodes import Clock, Node
from tests.service.places import Place, count, rows
from tests.service.store.conftest import Replicas
from tests.service.store.patience import until

pytestmark = pytest.mark.anyio


async def add_hook(node: Node, url: str) -> None:
    """A hook on what is written to the space."""
    await node.do(
        requests.AddNotificationHook, type="event onWrite", target_id="this", notify_url=url
    )


async def last_call(node: Node) -> dict[str, Any]:
    """How the last call of a node's only hook went."""
    answer = await node.do(requests.GetNotificationHooks, target_id="this")
    [hook] = answer.json["notificationHooks"]
    last: dict[str, Any] = hook["lastNotification"]
    return last


async def next_attempt(place: Place, clock: Clock, attempt: int) -> int:
    """Moves the clock to the next attempt, once that has been put off; by how much."""
    due = await put_off_until(place, clock, attempt)
    pause = due - clock.now_ms
    clock.now_ms = due
    return pause


async def put_off_until(place: Place, clock: Clock, attempt: int) -> int:
    """When the next attempt is due, once that is known."""
    statement = "SELECT due FROM deliveries WHERE attempts = ?"
    lease = notifier._LEASE_MS

    def put_off() -> bool:
        found = rows(place, statement, attempt)
        return bool(found) and found[0][0] < clock.now_ms + lease

    await until(put_off)
    [(due,)] = rows(place, statement, attempt)
    return int(due)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is looked at all the time, for the clock of a test stands still."""
    assert notifier._LOOK_S <= 5
    monkeypatch.setattr(notifier, "_LOOK_S", 0.02)


async def test_each_message_is_sent_by_one_replica(
    replicas: Replicas, clock: Clock, place: Place, listener: Any
) -> None:
    """Whichever takes it first."""
    async with replicas(3) as apps:
        alice = await Node(apps[0], clock).open_space()
        await add_hook(alice, f"{listener.url}/x")
        await anyio.to_thread.run_sync(listener.take, 1)
        for number in range(30):
            await alice.set(f"{number}", "y")
        await until(lambda: not count(place, "deliveries"))
    posts = listener.take(30)
    told = [body["meta"]["body"]["secretId"] for _, body in posts]
    assert sorted(told) == sorted(f"{number}" for number in range(30))


async def test_what_a_dead_replica_had_taken_another_delivers(
    replicas: Replicas, clock: Clock, place: Place, store: Store, listener: Any
) -> None:
    """Once the time is over in which that one would have been done."""
    lease = notifier._LEASE_MS

    def take(transaction: Any) -> list[Delivery]:
        return DeliveryRows(transaction, clock.now_ms).take(100, clock.now_ms + lease)

    async with replicas(1) as [app]:
        alice = await Node(app, clock).open_space()
        await add_hook(alice, f"{listener.url}/500")
        await alice.set("x", "y")
        await anyio.to_thread.run_sync(listener.take, 2)
        due = await put_off_until(place, clock, 1)
    # It failed once; whoever tries it next dies over that.
    clock.now_ms = due
    [taken] = await store.write(lambda: take)
    assert taken.attempts == 2
    assert await store.write(lambda: take) == []
    async with replicas(2):
        clock.now_ms += lease
        await anyio.to_thread.run_sync(listener.take, 1)
        await until(lambda: rows(place, "SELECT attempts FROM deliveries") == [(3,)])


@pytest.mark.parametrize("attempts", [1, 3])
async def test_what_fails_is_tried_again_and_given_up(
    replicas: Replicas,
    clock: Clock,
    place: Place,
    options: ServiceOptions,
    listener: Any,
    attempts: int,
) -> None:
    """After longer and longer pauses; the last result is the hook's."""
    retries = Retries(attempts=attempts, first_ms=1000)
    trying = ServiceOptions(allow_private_hooks=True, retries=retries)
    pauses = []
    async with replicas(2, trying) as apps:
        alice = await Node(apps[0], clock).open_space()
        await add_hook(alice, f"{listener.url}/500")
        await anyio.to_thread.run_sync(listener.take, 1)
        await alice.set("x", "y")
        for attempt in range(1, attempts + 1):
            assert len(await anyio.to_thread.run_sync(listener.take, 1)) == 1
            if attempt < attempts:
                pauses.append(await next_attempt(place, clock, attempt))
        await until(lambda: not count(place, "deliveries"))
        last = await last_call(alice)
        assert last["time"] == clock.now_ms
        assert "status: 500" in last["error"]
    assert pauses == [1000, 4000][: attempts - 1]
    assert listener.take(0) == []


async def test_a_success_after_failures_is_the_last_word(
    replicas: Replicas, clock: Clock, place: Place, listener: Any
) -> None:
    """The listener was away for a while; nothing is sent twice."""
    async with replicas(1) as [app]:
        alice = await Node(app, clock).open_space()
        await add_hook(alice, f"{listener.url}/500")
        await alice.set("x", "y")
        await anyio.to_thread.run_sync(listener.take, 2)
        listener.redirects["/500"] = "/fine"
        await next_attempt(place, clock, 1)
        posts = await anyio.to_thread.run_sync(listener.take, 2)
        assert [path for path, _ in posts] == ["/500", "/fine"]
        await until(lambda: not count(place, "deliveries"))
        assert await last_call(alice) == {"time": clock.now_ms, "error": None}


async def test_a_queue_of_one_node_is_bounded(store: Store, place: Place) -> None:
    """What has no room is dropped; the others have theirs."""

    def add(transaction: Any) -> int:
        first, second = (
            Hook(letter * 64, "00" * 16, Target(), "log", "http://localhost") for letter in "ab"
        )
        messages = [(first, b"x")] * 1001 + [(second, b"x")]
        return DeliveryRows(transaction, 0).add(messages)

    assert await store.write(lambda: add) == 1
    assert await store.write(lambda: add) == 1001
    counts = rows(place, "SELECT count(*) FROM deliveries GROUP BY node_id ORDER BY node_id")
    assert counts == [(1000,), (2,)]
