"""The pages of the change feed add up to the listing, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.crypto.box import box_from_json
from smfs.protocol import requests
from smfs.protocol.changes import RECIPIENT, SENDER
from smfs.service import Service, feed_rows

pytestmark = pytest.mark.anyio

Follow = Callable[..., Any]

KINDS = [
    *("set", "set", "share", "share", "once", "take", "unshare", "delete", "delete"),
    *("accept", "accept", "deny", "reopen", "wait"),
]


async def act(kind: str, node: Any, other: Any, secret_id: str, clock: Any) -> None:
    """One step of somebody, which may well be refused."""
    clock.now_ms += 1
    named = {"from_id": other.node_id, "secret_id": secret_id}
    match kind:
        case "set":
            await node.ask(requests.SetSecret, secret_id=secret_id, secret="1")
        case "share" | "once":
            await node.share(other, secret_id, "1", once=kind == "once")
        case "take":
            await node.ask(requests.GetSecretFrom, **named)
        case "unshare":
            named = {"shared_to_id": other.node_id, "secret_id": secret_id}
            await node.ask(requests.DeleteSharedSecret, **named)
        case "delete":
            await node.ask(requests.DeleteSecret, secret_id=secret_id)
        case "accept":
            date = clock.now_ms + 40 if secret_id == "x" else None
            await node.ask(requests.OpenSubSpace, from_id=other.node_id, closure_date=date)
        case "deny":
            await node.ask(requests.DeleteSubSpace, from_id=other.node_id)
        case "reopen":
            await node.do(requests.DeleteSecretSpace)
            await node.open_space(clock.now_ms + 60 if secret_id == "y" else None)
        case _:
            clock.now_ms += 10


async def open_if_closed(node: Any) -> None:
    """A space that has closed is opened anew."""
    if (await node.ask(requests.GetSecretSpace)).error is not None:
        await node.open_space()


async def expected(node: Any, others: list[Any]) -> tuple[Any, Any]:
    """What a follower of a node has to know, by the listings of all."""
    space = await node.space()
    subs = space["subSpaces"]
    shared = {"": space["secrets"], **{sender: sub["secrets"] for sender, sub in subs.items()}}
    secrets = {
        (sender, secret_id): (box_from_json(each["secret"]), each.get("isOneTime", False))
        for sender, listed in shared.items()
        for secret_id, each in listed.items()
    }
    nodes = {(SENDER, sender): sub["meta"]["closureDate"] for sender, sub in subs.items()}
    for other in others:
        space = await other.space()
        if sub := space["subSpaces"].get(node.node_id):
            dates = [space["meta"]["closureDate"], sub["meta"]["closureDate"]]
            known = [date for date in dates if date is not None]
            nodes[RECIPIENT, other.node_id] = min(known, default=None)
    return secrets, nodes


async def live(nodes: list[Any], followers: list[Any], clock: Any, chance: Random) -> None:
    """Sixty steps of anybody, during which each follower asks now and then."""
    for _ in range(60):
        if chance.random() < 0.4:
            follower = chance.choice(followers)
            answer = await follower.node.send(follower.request(contents=True))
            if answer.error is None:
                follower.apply(follower.read(answer))
        else:
            node, other = chance.choice(nodes), chance.choice(nodes)
            await act(chance.choice(KINDS), node, other, chance.choice("xy\ud800é"), clock)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# The pool of connections throws dice in a thread of its own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@given(seed=st.integers(0, 2**32))
async def test_the_pages_add_up_to_the_listing(
    service: Service, node: Callable[..., Any], clock: Any, follow: Follow, seed: int
) -> None:
    """Whatever happens, and however slowly somebody follows, in the end he knows all."""
    nodes = [await node().open_space() for _ in range(2)]
    followers = [follow(each) for each in nodes for _ in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_rows, "_PAGE_WITH_CONTENTS", 2)
        patch.setattr(feed_rows, "_MOST_REMEMBERED", 12)
        patch.setattr(feed_rows, "_LEFT", 10)
        await live(nodes, followers, clock, Random(seed))
        await service.sweep()
        for each in nodes:
            await open_if_closed(each)
        for follower in followers:
            await follower.catch_up(contents=True)
            told = {key: (one.box, one.one_time) for key, one in follower.secrets.items()}
            assert (told, follower.nodes) == await expected(follower.node, nodes)
