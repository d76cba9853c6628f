"""What is refused changes nothing: the tables before and after, for every way to be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from smfs.protocol import limits, requests
from smfs.protocol.requests import SignedRequest
from smfs.service import Service, ServiceOptions
from smfs.service.domain import FUNCTIONS, READING
from tests.service.nodes import Answer, Clock, Node
from tests.service.places import Place, dump

pytestmark = pytest.mark.anyio

SET, SHARE = requests.SetSecret, requests.ShareSecretTo
NOBODY: Final = "5" * 64


@dataclass(frozen=True)
class World:
    """Alice accepts bob, and has what can be asked for; eve has no space."""

    service: Service
    alice: Node
    bob: Node
    eve: Node
    code: str
    hook_id: str


@pytest.fixture
def options() -> ServiceOptions:
    """Room for little."""
    return ServiceOptions(allow_private_hooks=True, max_secrets=4, max_space_bytes=2000)


@pytest.fixture
async def world(service: Service, node: Callable[..., Node], listener: Any, clock: Clock) -> World:
    """Everybody and everything."""
    alice, bob = await node().open_space(clock.now_ms + 10**9), await node().open_space()
    await alice.accept(bob)
    await alice.accept(service.node_id)
    await alice.set("x", "y")
    await bob.share(alice, "shared", "y")
    await bob.share(alice, "once", "y", once=True)
    await alice.do(requests.CreateAuthCode, action="openSecretSpace")
    code = await alice.do(
        requests.GetSecretFrom, from_id=service.node_id, secret_id="openSecretSpaceAuthCode"
    )
    hook = await alice.do(
        requests.AddNotificationHook,
        type="event onDelete",
        target_id="secrets.x",
        notify_url=listener.url,
    )
    return World(service, alice, bob, node(), code.opened(alice.identity), hook.json["id"])


def refusals(world: World, now: int) -> list[tuple[Node, type[SignedRequest], dict[str, Any]]]:
    """Who asks, what, and with what fields."""
    alice, bob, eve = world.alice, world.bob, world.eve
    url = "http://localhost/"
    shared = {"is_one_time_secret": False, "secret": "y"}
    code = {"auth_code": world.code}
    public = {"auth_code": requests.AUTH_CODE_OPEN_SPACE}
    large = {"secret": "z" * 3000}
    changes = {"feed": "", "since": 0, "listing": False, "contents": False, "wait": 0}
    hook = {"type": "log", "notify_url": url}
    return [
        (eve, requests.CreateAuthCode, {"action": "openSecretSpace"}),
        (bob, requests.CreateAuthCode, {"action": "openSecretSpace"}),
        (eve, requests.OpenSecretSpace, {**public, "closure_date": now}),
        (eve, requests.OpenSecretSpace, {**code, "closure_date": now - 1}),
        (alice, requests.OpenSecretSpace, {**public, "closure_date": now + 1}),
        (alice, requests.OpenSecretSpace, {**code, "closure_date": now + 1}),
        (eve, requests.GetSecretSpace, {}),
        (eve, SET, {"secret_id": "x", "secret": "y"}),
        (alice, SET, {"secret_id": "", "secret": "y"}),
        (alice, SET, {"secret_id": "new", **large}),
        (alice, SET, {"secret_id": "x", **large}),
        (alice, requests.GetSecret, {"secret_id": "missing"}),
        (alice, requests.GetSecret, {"secret_id": ""}),
        (eve, requests.DeleteSecret, {"secret_id": "x"}),
        (alice, requests.DeleteSecret, {"secret_id": "missing"}),
        (alice, requests.DeleteSecret, {"secret_id": ""}),
        (eve, requests.OpenSubSpace, {"from_id": bob.node_id, "closure_date": None}),
        (alice, requests.OpenSubSpace, {"from_id": eve.node_id, "closure_date": now}),
        (alice, requests.GetSubSpace, {"from_id": eve.node_id}),
        (eve, requests.DeleteSubSpace, {"from_id": bob.node_id}),
        (alice, requests.DeleteSubSpace, {"from_id": eve.node_id}),
        (bob, SHARE, {"share_to_id": eve.node_id, "secret_id": "x", **shared}),
        (eve, SHARE, {"share_to_id": alice.node_id, "secret_id": "x", **shared}),
        (bob, SHARE, {"share_to_id": alice.node_id, "secret_id": "", **shared}),
        (bob, SHARE, {"share_to_id": alice.node_id, "secret_id": "shared", **shared, **large}),
        (bob, SHARE, {"share_to_id": NOBODY, "secret_id": "x", **shared}),
        (
            bob,
            requests.CheckShare,
            {"share_to_id": eve.node_id, "secret_id": "x", "size": 1},
        ),
        (
            bob,
            requests.CheckShare,
            {
                "share_to_id": alice.node_id,
                "secret_id": "x",
                "size": limits.DEFAULT_CONTENT_BYTES + 1,
            },
        ),
        (eve, requests.GetChanges, changes),
        (alice, requests.GetSecretFrom, {"from_id": bob.node_id, "secret_id": "missing"}),
        (alice, requests.GetSecretFrom, {"from_id": eve.node_id, "secret_id": "once"}),
        (alice, requests.GetSecretFrom, {"from_id": bob.node_id, "secret_id": ""}),
        (eve, requests.GetSecretFrom, {"from_id": bob.node_id, "secret_id": "once"}),
        (
            alice,
            requests.RepeatSecretFrom,
            {"from_id": bob.node_id, "secret_id": "once", "first": "00" * 64},
        ),
        (
            eve,
            requests.DeleteSharedSecret,
            {"shared_to_id": alice.node_id, "secret_id": "shared"},
        ),
        (
            bob,
            requests.DeleteSharedSecret,
            {"shared_to_id": alice.node_id, "secret_id": "missing"},
        ),
        (bob, requests.DeleteSharedSecret, {"shared_to_id": eve.node_id, "secret_id": "x"}),
        (eve, requests.AddNotificationHook, {"target_id": "this", **hook}),
        (alice, requests.AddNotificationHook, {"target_id": "that", **hook}),
        (alice, requests.AddNotificationHook, {"target_id": "secrets.missing", **hook}),
        (
            alice,
            requests.AddNotificationHook,
            {"target_id": "this", "type": "log", "notify_url": url + "x" * 2048},
        ),
        (eve, requests.GetNotificationHooks, {"target_id": "this"}),
        (alice, requests.GetNotificationHooks, {"target_id": "secrets.missing"}),
        (
            bob,
            requests.DeleteNotificationHook,
            {"notification_hook_id": world.hook_id},
        ),
        (
            eve,
            requests.DeleteNotificationHook,
            {"notification_hook_id": world.hook_id},
        ),
    ]


async def refused(node: Node, kind: type[SignedRequest], fields: dict[str, Any]) -> Answer:
    """The answer to a request, which is a refusal."""
    answer = await node.ask(kind, **fields)
    assert answer.status == 200, answer
    assert answer.error is not None, (kind, fields)
    return answer


async def test_a_refused_request_changes_nothing(world: World, place: Place, clock: Clock) -> None:
    """But that its signature is used; there is no savepoint that would undo anything."""
    before = dump(place, without=("used_signatures",))
    asked = refusals(world, clock.now_ms)
    for node, kind, fields in asked:
        await refused(node, kind, fields)
        assert dump(place, without=("used_signatures",)) == before, (kind, fields)
    always_fine = {requests.GetNodeId, requests.DeleteSecretSpace}
    assert {kind for _, kind, _ in asked} == set(FUNCTIONS) - always_fine


async def test_a_full_space_takes_no_more_secrets(world: World, place: Place) -> None:
    """Of nobody, and not a byte changes; what is there can be replaced."""
    await world.alice.set("fourth", "y")
    before = dump(place, without=("used_signatures",))
    alice = world.alice
    await refused(alice, SET, {"secret_id": "fifth", "secret": "y"})
    await refused(
        world.bob,
        SHARE,
        {
            "share_to_id": alice.node_id,
            "secret_id": "fifth",
            "secret": "y",
            "is_one_time_secret": False,
        },
    )
    await refused(alice, requests.CreateAuthCode, {"action": "openSecretSpace"})
    assert dump(place, without=("used_signatures",)) == before
    await alice.set("fourth", "z")


async def test_who_is_not_let_in_leaves_nothing_at_all(
    world: World, place: Place, clock: Clock
) -> None:
    """On no route; not even his signature is remembered in the database."""
    before = dump(place)
    for node, kind, fields in refusals(world, clock.now_ms):
        request = node.signed(kind, **fields)
        for forged in (
            request.with_signature("00" * 64),
            request.with_signature(request.signature[:-2] + "ff"),
        ):
            answer = await node.send(forged)
            assert answer.status == 401, (kind, answer)
    assert dump(place) == before


async def test_what_only_reads_changes_nothing(world: World, place: Place) -> None:
    """Nor do its signatures lie among those that must survive."""
    before = dump(place)
    alice, bob = world.alice, world.bob
    asked: list[tuple[Node, type[SignedRequest], dict[str, Any]]] = [
        (alice, requests.GetSecretSpace, {}),
        (alice, requests.GetSecret, {"secret_id": "x"}),
        (alice, requests.GetSubSpace, {"from_id": bob.node_id}),
        (alice, requests.GetNotificationHooks, {"target_id": "secrets.x"}),
        (
            bob,
            requests.CheckShare,
            {"share_to_id": alice.node_id, "secret_id": "x", "size": 1},
        ),
        (
            alice,
            requests.GetChanges,
            {"feed": "", "since": 0, "listing": False, "contents": True, "wait": 0},
        ),
    ]
    for node, kind, fields in asked:
        await node.do(kind, **fields)
    assert dump(place) == before
    assert {kind for _, kind, _ in asked} == READING - {requests.RepeatSecretFrom}
