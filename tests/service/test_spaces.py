"""Spaces as they are listed, and what a request costs in them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from smfs.crypto import identity
from smfs.protocol import canonical, requests, spaces
from smfs.service import Service
from smfs.service.domain import SHORT
from smfs.service.store.sqlite import SqliteStore
from tests.service.places import SQLITE

pytestmark = pytest.mark.anyio


@contextmanager
def counting_steps(service: Service) -> Iterator[list[int]]:
    """Counts the steps of SQLite's machine, one number in a list."""
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    assert isinstance(service._store, SqliteStore)
    store = service._store
    assert store._writer is not None
    assert store._in_place is not None
    connections = [*store._readers, store._in_place[0], store._writer.connection]
    assert len(connections) == 3
    for connection in connections:
        connection.set_progress_handler(count, 1)
    yield steps
    for connection in connections:
        connection.set_progress_handler(None, 0)


async def test_the_listing_has_the_order_of_the_original(alice: Any, bob: Any) -> None:
    """Of insertion, with canonical integers first; a change keeps the place, a new setting not."""
    for secret_id in ("b", "10", "a", "2", "01", "c"):
        await alice.set(secret_id, "1")
    await alice.set("b", "2")
    await alice.do(requests.DeleteSecret, secret_id="a")
    await alice.set("a", "2")
    await alice.accept("ff" * 32)
    await alice.accept(bob)
    space = await alice.space()
    assert list(space["secrets"]) == ["2", "10", "b", "01", "c", "a"]
    assert list(space["subSpaces"]) == ["ff" * 32, bob.node_id]
    assert list(space) == ["meta", "secrets", "subSpaces"]
    assert list(space["meta"]) == ["id", "closureDate", "communication", "serverPub", "serverSig"]


async def test_the_listing_is_signed_by_the_service(service: Service, alice: Any, bob: Any) -> None:
    """Over the JSON of the whole, with an empty signature in its place."""
    await alice.set("\ud800", "y")
    await alice.accept(bob)
    await bob.share(alice, "x", "y", once=True)
    space = await alice.space()
    signature = bytes.fromhex(space["meta"]["serverSig"])
    space["meta"]["serverSig"] = ""
    digest = hashlib.sha256(canonical.encode(space).encode()).digest()
    assert identity.verify(service.node_id, digest, signature)
    parsed = spaces.parse_space(space)
    assert parsed.to_wire() == space
    assert parsed.sub_spaces[bob.node_id].secrets["x"].is_one_time


async def test_get_gives_the_same_bytes_each_time(alice: Any) -> None:
    """The service's layer is made once, when the secret is stored."""
    await alice.set("x", "y")
    first = await alice.do(requests.GetSecret, secret_id="x")
    again = await alice.do(requests.GetSecret, secret_id="x")
    assert first.body == again.body
    listed = (await alice.space())["secrets"]["x"]["secret"]
    assert listed == first.json


async def test_a_lone_surrogate_in_content_becomes_the_replacement_character(alice: Any) -> None:
    """Content is UTF-8 in the box, which has no form for it; a pair is one character."""
    await alice.set("x", "a\ud800b\udfffc\ud83d\udd10")
    assert await alice.get("x") == "a\ufffdb\ufffdc\U0001f510"


async def test_sharing_again_keeps_the_flag_of_a_one_time_secret(alice: Any, bob: Any) -> None:
    """As the original does; listing consumes nothing."""
    await alice.accept(bob)
    await bob.share(alice, "x", "1", once=True)
    await bob.share(alice, "x", "2")
    for _ in range(2):
        listed = (await alice.space())["subSpaces"][bob.node_id]["secrets"]["x"]
        assert listed["isOneTime"] is True
    read = await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id="x")
    assert read.opened(alice.identity) == "2"
    gone = await alice.ask(requests.GetSecretFrom, from_id=bob.node_id, secret_id="x")
    assert gone.error == 'Secret with secretId "x" did not exist!'


async def test_deleting_the_space_takes_everything(
    alice: Any, bob: Any, listener: Any, is_silent: Callable[[Any], Awaitable[bool]]
) -> None:
    """Secrets, senders and hooks; opened again it is empty."""
    await alice.accept(bob)
    await alice.set("x", "y")
    await bob.share(alice, "x", "y")
    await alice.do(
        requests.AddNotificationHook, type="log", target_id="this", notify_url=listener.url
    )
    listener.take(1)
    await alice.do(requests.DeleteSecretSpace)
    await alice.do(requests.DeleteSecretSpace)
    await alice.open_space()
    space = await alice.space()
    assert (space["secrets"], space["subSpaces"]) == ({}, {})
    assert "notificationHooks" not in space["meta"]
    assert await is_silent(bob)


@pytest.mark.parametrize(
    ("engine", "anyio_backend"), [(SQLITE, "asyncio")], indirect=True, scope="module"
)
async def test_a_request_costs_the_same_in_a_large_space(
    service: Service, alice: Any, bob: Any
) -> None:
    """No request but the listings looks at more rows because there are more."""
    await alice.accept(bob)

    asked: set[type[requests.Request]] = {requests.GetNodeId}  # which knows of no space

    async def do(node: Any, kind: type[requests.SignedRequest], **fields: Any) -> str:
        asked.add(kind)
        request = node.signed(kind, secret_id="one", **fields)
        answer = await node.send(request)
        assert (answer.status, answer.error) == (200, None)
        return str(request.signature)

    async def cost() -> int:
        to_alice = {"share_to_id": alice.node_id, "secret": "y"}
        with counting_steps(service) as steps:
            await do(alice, requests.SetSecret, secret="y")
            await do(alice, requests.GetSecret)
            await do(alice, requests.DeleteSecret)
            await do(bob, requests.ShareSecretTo, **to_alice, is_one_time_secret=True)
            first = await do(alice, requests.GetSecretFrom, from_id=bob.node_id)
            await do(alice, requests.RepeatSecretFrom, from_id=bob.node_id, first=first)
            await do(bob, requests.CheckShare, share_to_id=alice.node_id, size=1)
            await do(bob, requests.ShareSecretTo, **to_alice, is_one_time_secret=False)
            await do(bob, requests.DeleteSharedSecret, shared_to_id=alice.node_id)
        return steps[0]

    small = await cost()
    for number in range(200):
        await alice.set(f"s{number}", "y")
        await bob.share(alice, f"s{number}", "y")
    assert small > 100
    assert await cost() <= small * 1.1
    assert asked >= SHORT  # nothing else may be carried out in place


async def test_numbers_that_are_too_large_for_a_double(
    service: Service, node: Callable[..., Any], ask: Callable[..., Awaitable[Any]]
) -> None:
    """JavaScript reads them as infinity and signs them as null; they are no end of anything."""
    alice = node()
    signed = alice.signed(
        requests.OpenSecretSpace,
        auth_code=requests.AUTH_CODE_OPEN_SPACE,
        closure_date=None,
    )
    body = canonical.encode(signed.to_wire()).replace('"closureDate":null', '"closureDate":1e400')
    answer = await ask(service, signed.path(), body)
    assert answer.error is None
    assert (await alice.space())["meta"]["closureDate"] is None
