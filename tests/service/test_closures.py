"""Closure dates: what is past one is gone at once, swept away later, and told of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest

from smfs.protocol import requests, signing
from smfs.service import Service
from tests.service.places import Place, count

pytestmark = pytest.mark.anyio


async def hook(node: Any, listener: Any, target: str, name: str, *, posts: int = 1) -> None:
    """Adds a hook of every event, and waits for so many posts: its check, and what others hear."""
    await node.do(
        requests.AddNotificationHook,
        type="log",
        target_id=target,
        notify_url=f"{listener.url}/{name}",
    )
    await anyio.to_thread.run_sync(listener.take, posts)


async def test_a_closed_space_is_gone_before_it_is_swept(
    node: Callable[..., Any], bob: Any, clock: Any, place: Place
) -> None:
    """For its owner and for those who share with him."""
    alice = await node().open_space(clock.now_ms + 1000)
    await alice.accept(bob)
    await alice.set("x", "y")
    clock.now_ms += 999
    assert await alice.get("x") == "y"
    clock.now_ms += 1
    missing = f'SecretSpace for "{alice.node_id}" did not exist!'
    assert (await alice.ask(requests.GetSecret, secret_id="x")).error == missing
    assert (await bob.share(alice, "x", "y")).error == missing
    assert count(place, "secrets") == 1


async def test_sweeping_removes_everything_of_it(
    service: Service, node: Callable[..., Any], bob: Any, clock: Any, place: Place
) -> None:
    """Secrets, sub spaces and hooks go; what has not closed stays."""
    alice = await node().open_space(clock.now_ms + 1000)
    await alice.accept(bob)
    await bob.share(alice, "x", "y")
    await alice.set("x", "y")
    await bob.set("x", "y")
    clock.now_ms += 1000
    await service.sweep()
    assert [count(place, table) for table in ("spaces", "sub_spaces", "secrets")] == [1, 0, 1]
    assert await bob.get("x") == "y"


async def test_a_closed_sub_space_is_told_of(
    service: Service, alice: Any, bob: Any, clock: Any, listener: Any
) -> None:
    """The hooks on it and on its space hear of the closure, which names nothing else."""
    await alice.accept(bob, clock.now_ms + 1000)
    await hook(alice, listener, "this", "space")
    await hook(alice, listener, f"subSpaces.{bob.node_id}", "sub", posts=2)
    clock.now_ms += 1000
    await service.sweep()
    posts = await anyio.to_thread.run_sync(listener.take, 2)
    meta = {"source": "closuredatemodule.close"}
    expected = {"type": "log", "event": "event onDelete", "meta": meta}
    assert sorted(posts, key=lambda post: post[0]) == [("/space", expected), ("/sub", expected)]


async def test_a_closure_that_is_met_is_told_of_once(
    service: Service, alice: Any, bob: Any, clock: Any, listener: Any
) -> None:
    """Accepting the sender anew comes across it before the sweep does."""
    await alice.accept(bob, clock.now_ms + 1000)
    await hook(alice, listener, "this", "space")
    clock.now_ms += 1000
    await alice.accept(bob)
    await service.sweep()
    posts = await anyio.to_thread.run_sync(listener.take, 2)
    assert sorted(body["event"] for _, body in posts) == ["event onDelete", "event onWrite"]


async def test_opening_anew_tells_of_the_closure(
    node: Callable[..., Any], clock: Any, listener: Any
) -> None:
    """The hooks of the old space hear of its end, and of nothing after that."""
    alice = await node().open_space(clock.now_ms + 1000)
    await hook(alice, listener, "this", "space")
    clock.now_ms += 1000
    await alice.open_space()
    await alice.set("x", "y")
    [(path, body)] = await anyio.to_thread.run_sync(listener.take, 1)
    assert (path, body["event"]) == ("/space", "event onDelete")
    answer = await alice.do(requests.GetNotificationHooks, target_id="this")
    assert answer.json == {"notificationHooks": []}


async def test_a_refused_opening_changes_nothing(
    service: Service, alice: Any, bob: Any, clock: Any, listener: Any
) -> None:
    """What it came across is still there to be swept, and to be told of."""
    await alice.accept(bob, clock.now_ms + 1000)
    await hook(alice, listener, "this", "space")
    clock.now_ms += 1000
    refused = await alice.ask(requests.OpenSubSpace, from_id=bob.node_id, closure_date=1)
    assert refused.error == "ClosureDate has already passed!"
    await service.sweep()
    posts = await anyio.to_thread.run_sync(listener.take, 2)
    assert sorted(body["event"] for _, body in posts) == ["event onDelete", "event onError"]


async def test_what_was_opened_anew_has_forgotten_the_old_date(
    service: Service, node: Callable[..., Any], bob: Any, clock: Any
) -> None:
    """After the closure it begins empty, and stays."""
    alice = await node().open_space(clock.now_ms + 1000)
    await alice.set("x", "y")
    clock.now_ms += 1000
    await alice.open_space()
    space = await alice.space()
    assert (space["secrets"], space["meta"]["closureDate"]) == ({}, None)
    clock.now_ms += signing.FRAME_MS
    await service.sweep()
    assert (await alice.space())["secrets"] == {}


@pytest.mark.parametrize("date", [0, -1, 1, 1_800_000_123_456, 1_800_000_123_455.9])
async def test_a_date_must_lie_in_the_future(node: Callable[..., Any], date: float) -> None:
    """Now is not the future."""
    answer = await node().ask(
        requests.OpenSecretSpace, auth_code=requests.AUTH_CODE_OPEN_SPACE, closure_date=date
    )
    assert answer.error == "ClosureDate has already passed!"


@pytest.mark.parametrize("date", [1_800_000_123_456.5, 1e300, 2**63, 1_800_000_123_457])
async def test_fractions_and_any_size_are_taken(node: Callable[..., Any], date: float) -> None:
    """And shown as they were given; giving the same once more is no change."""
    alice = await node().open_space(date)
    assert (await alice.space())["meta"]["closureDate"] == date
    await alice.open_space(date)
    changed = await alice.ask(
        requests.OpenSecretSpace,
        auth_code=requests.AUTH_CODE_OPEN_SPACE,
        closure_date=date * 2,
    )
    assert changed.error == "Updating the closureDate is not allowed!"
