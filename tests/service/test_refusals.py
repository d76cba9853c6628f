"""What is refused changes nothing: the tables before and after, for every way to be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pytest

from smfs.protocol import limits, requests
from smfs.protocol.requests import SignedRequest
from smfs.service import Service, ServiceOptions
from smfs.service.domain import FUNCTIONS, READING
from tests.service.nodes import Answer, Clock, Node
from tests.service.places import Place, dump, rows

pytestmark = pytest.mark.anyio

Case: TypeAlias = tuple[Node, type[SignedRequest], dict[str, Any]]

SET, SHARE = requests.SetSecret, requests.ShareSecretTo
TAKE_BACK = requests.DeleteSharedSecret
LARGE: Final = "z" * 3000
TOO_LONG: Final = "z" * (limits.LONGEST_ID_BYTES + 1)
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


def refusals(world: World, now: int) -> list[Case]:
    """Who asks, what, and with what fields."""
    return [
        *of_spaces(world, now),
        *of_own_secrets(world),
        *of_sharing(world),
        *of_shared_secrets(world),
        *of_hooks(world),
    ]


def of_spaces(world: World, now: int) -> list[Case]:
    """Codes, spaces, sub spaces and feeds."""
    alice, bob, eve = world.alice, world.bob, world.eve
    code = {"auth_code": world.code}
    public = {"auth_code": requests.AUTH_CODE_OPEN_SPACE}
    changes = {"feed": "", "since": 0, "listing": False, "contents": False, "wait": 0}
    return [
        (eve, requests.CreateAuthCode, {"action": "openSecretSpace"}),
        (bob, requests.CreateAuthCode, {"action": "openSecretSpace"}),
        (eve, requests.OpenSecretSpace, {**public, "closure_date": now}),
        (eve, requests.OpenSecretSpace, {**code, "closure_date": now - 1}),
        (alice, requests.OpenSecretSpace, {**public, "closure_date": now + 1}),
        (alice, requests.OpenSecretSpace, {**code, "closure_date": now + 1}),
        (eve, requests.GetSecretSpace, {}),
        (eve, requests.OpenSubSpace, {"from_id": bob.node_id, "closure_date": None}),
        (alice, requests.OpenSubSpace, {"from_id": eve.node_id, "closure_date": now}),
        (alice, requests.GetSubSpace, {"from_id": eve.node_id}),
        (eve, requests.DeleteSubSpace, {"from_id": bob.node_id}),
        (alice, requests.DeleteSubSpace, {"from_id": eve.node_id}),
        (eve, requests.GetChanges, changes),
    ]


def of_own_secrets(world: World) -> list[Case]:
    """Of nobody, without an id, too large, and missing."""
    alice, eve = world.alice, world.eve
    return [
        (eve, SET, {"secret_id": "x", "secret": "y"}),
        (alice, SET, {"secret_id": "", "secret": "y"}),
        (alice, SET, {"secret_id": "new", "secret": LARGE}),
        (alice, SET, {"secret_id": "x", "secret": LARGE}),
        (alice, SET, {"secret_id": TOO_LONG, "secret": "y"}),
        (alice, requests.GetSecret, {"secret_id": TOO_LONG}),
        (alice, requests.GetSecret, {"secret_id": "missing"}),
        (alice, requests.GetSecret, {"secret_id": ""}),
        (eve, requests.DeleteSecret, {"secret_id": "x"}),
        (alice, requests.DeleteSecret, {"secret_id": "missing"}),
        (alice, requests.DeleteSecret, {"secret_id": ""}),
    ]


def of_sharing(world: World) -> list[Case]:
    """With who has no space, does not accept, or has no room."""
    alice, bob, eve = world.alice, world.bob, world.eve
    fine = {"secret_id": "x", "secret": "y", "is_one_time_secret": False}
    too_much = {"secret_id": "x", "size": limits.DEFAULT_CONTENT_BYTES + 1}
    return [
        (bob, SHARE, {"share_to_id": eve.node_id, **fine}),
        (eve, SHARE, {"share_to_id": alice.node_id, **fine}),
        (bob, SHARE, {"share_to_id": NOBODY, **fine}),
        (bob, SHARE, {"share_to_id": alice.node_id, **fine, "secret_id": ""}),
        (bob, SHARE, {"share_to_id": alice.node_id, **fine, "secret": LARGE}),
        (bob, requests.CheckShare, {"share_to_id": eve.node_id, "secret_id": "x", "size": 1}),
        (bob, requests.CheckShare, {"share_to_id": alice.node_id, **too_much}),
    ]


def of_shared_secrets(world: World) -> list[Case]:
    """Missing ones, those of others, and what was never handed out."""
    alice, bob, eve = world.alice, world.bob, world.eve
    never = {"from_id": bob.node_id, "secret_id": "once", "first": "00" * 64}
    return [
        (alice, requests.GetSecretFrom, {"from_id": bob.node_id, "secret_id": "missing"}),
        (alice, requests.GetSecretFrom, {"from_id": eve.node_id, "secret_id": "once"}),
        (alice, requests.GetSecretFrom, {"from_id": bob.node_id, "secret_id": ""}),
        (eve, requests.GetSecretFrom, {"from_id": bob.node_id, "secret_id": "once"}),
        (alice, requests.RepeatSecretFrom, never),
        (eve, TAKE_BACK, {"shared_to_id": alice.node_id, "secret_id": "shared"}),
        (bob, TAKE_BACK, {"shared_to_id": alice.node_id, "secret_id": "missing"}),
        (bob, TAKE_BACK, {"shared_to_id": eve.node_id, "secret_id": "x"}),
    ]


def of_hooks(world: World) -> list[Case]:
    """On what there is not, with endless URLs, and those of others."""
    alice, bob, eve = world.alice, world.bob, world.eve
    hook = {"type": "log", "notify_url": "http://localhost/"}
    endless = {"target_id": "this", "type": "log", "notify_url": "http://localhost/" + "x" * 2048}
    its_id = {"notification_hook_id": world.hook_id}
    return [
        (eve, requests.AddNotificationHook, {"target_id": "this", **hook}),
        (alice, requests.AddNotificationHook, {"target_id": "that", **hook}),
        (alice, requests.AddNotificationHook, {"target_id": "secrets.missing", **hook}),
        (alice, requests.AddNotificationHook, endless),
        (eve, requests.GetNotificationHooks, {"target_id": "this"}),
        (alice, requests.GetNotificationHooks, {"target_id": "secrets.missing"}),
        (bob, requests.DeleteNotificationHook, its_id),
        (eve, requests.DeleteNotificationHook, its_id),
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


async def test_ids_take_of_the_room_of_a_space(bob: Node, place: Place) -> None:
    """To the byte; what is there can be replaced by what is no larger."""
    await bob.set("i" * 980, "y")
    [(taken,)] = rows(place, "SELECT bytes FROM spaces")
    fits = 2000 - taken - (taken - 980)
    await refused(bob, SET, {"secret_id": "j" * (fits + 1), "secret": "y"})
    await bob.set("j" * fits, "y")
    assert rows(place, "SELECT bytes FROM spaces") == [(2000,)]
    await bob.set("i" * 980, "z")
    await refused(bob, SET, {"secret_id": "i" * 980, "secret": "z" * 100})
    assert rows(place, "SELECT bytes FROM spaces") == [(2000,)]


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
    asked: list[Case] = [
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
