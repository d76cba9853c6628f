"""Anything that two programs and a neighbour do, over a bad wire: in the end the view is right."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from smfs import errors
from smfs.client import feed
from smfs.client.view import View
from smfs.service import Service, feed_rows
from tests.client.conftest import Clock, Faults
from tests.client.following import ALICE, BOB, Crowd, Party, gathered

pytestmark = pytest.mark.anyio

IDS = ("a", "b", "c/d")
FAULTS = (
    Faults.never_sent,
    Faults.answer_lost,
    Faults.request_lost,
    Faults.carried_out_twice,
    Faults.answers(500),
    Faults.answers(503),
    Faults.answers(200, b"<html>"),
)
STEPS = 60

Step = Callable[[], Awaitable[object]]


@pytest.fixture
def anyio_backend() -> str:
    """One is enough for chance."""
    return "trio"


@pytest.fixture
async def crowd(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Crowd]:
    """Whoever comes to a service with small pages."""
    monkeypatch.setattr(feed, "_FIRST_PAUSE_S", 0.002)
    monkeypatch.setattr(feed, "_LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(feed_rows, "_PAGE_WITH_CONTENTS", 2)
    monkeypatch.setattr(feed_rows, "_PAGE", 3)
    async with gathered(service, clock) as crowd:
        yield crowd


def steps(chance: random.Random, alice: Party, twin: Party, bob: Party) -> list[Step]:
    """What may happen next."""
    who, secret_id = chance.choice([alice, twin]), chance.choice(IDS)
    content = chance.randbytes(chance.choice([0, 5, 50]))
    view = who.view
    return [
        lambda: view.write_own(secret_id, content),
        lambda: view.write_own(secret_id, content),
        lambda: view.delete_own(secret_id),
        lambda: view.read_own(secret_id),
        lambda: view.accept(bob.id, None),
        lambda: view.deny(bob.id),
        lambda: view.read_from(bob.id, secret_id),
        lambda: view.consume(bob.id, secret_id),
        lambda: view.share(bob.id, secret_id, content),
        lambda: view.unshare(bob.id, secret_id),
        lambda: bob.view.share(alice.id, secret_id, content, one_time=chance.random() < 0.3),
        lambda: bob.view.share(alice.id, secret_id, content),
        lambda: bob.view.unshare(alice.id, secret_id),
        lambda: bob.view.accept(alice.id, None),
        lambda: bob.view.deny(alice.id),
        alice.again,
    ]


def shown(view: View) -> dict[str, object]:
    """What a view knows, without what is only its own."""
    return {
        "own": {key: (each.token, each.size) for key, each in view.own().items()},
        "sent": {
            (node_id, key): each.token
            for node_id, versions in view.sent().items()
            for key, each in versions.items()
        },
        "from": {
            node_id: {key: (each.token, each.one_time) for key, each in sender.secrets.items()}
            for node_id, sender in view.senders().items()
        },
        "problems": [each.problem for _, each in view._known.items() if each.problem is not None],
    }


@pytest.mark.parametrize("seed", range(12))
async def test_in_the_end_the_view_is_right(seed: int, crowd: Crowd) -> None:
    """It is what a fresh view is told by a listing, after any steps, faults and delays."""
    chance = random.Random(seed)
    alice, twin, bob = crowd.join(ALICE), crowd.join(ALICE), crowd.join(BOB)
    await twin.view.refresh()
    await bob.view.refresh()
    await alice.follow()

    async def live(worker: int) -> None:
        for _ in range(STEPS // 3):
            if chance.random() < 0.4:
                party = chance.choice([alice, alice, twin])
                party.wire.next(chance.choice(["/getChanges", "*"]), chance.choice(FAULTS))
            with anyio.move_on_after(3):
                try:
                    await chance.choice(steps(chance, alice, twin, bob))()
                except (errors.ServiceError, errors.ServiceUnavailable):
                    continue

    async with anyio.create_task_group() as tasks:
        for worker in range(3):
            tasks.start_soon(live, worker)
    for party in (alice, twin, bob):
        party.wire._faults.clear()
    await twin.view.write_own("end", b"%d" % seed)
    await alice.has("end", b"%d" % seed)
    await alice.view._feed._changing.open([key for key, _ in alice.view._known.items()])
    fresh = crowd.join(ALICE)
    await fresh.view.refresh(0)
    assert shown(alice.view) == shown(fresh.view)
