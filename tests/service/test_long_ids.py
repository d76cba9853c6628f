"""Secret ids that are longer than an index takes go through everything that ids go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smfs.crypto.box import open_box
from smfs.protocol import requests
from smfs.protocol.changes import SecretChanged, SecretGone
from smfs.service.store import keys
from tests.service.nodes import Node
from tests.service.places import Place, rows

pytestmark = pytest.mark.anyio

# Of two of a length the beginnings are the same; one ends in a lone surrogate, one is not long yet.
IDS = [
    "x" * keys.LONGEST,
    "x" * (keys.LONGEST + 1),
    "x" * keys.LONGEST + "y",
    "\u20ac" * 400 + "\ud800",
    "z" * 20_000,
]


async def test_own_ones(alice: Node, follow: Callable[[Node], Any], place: Place) -> None:
    """Set, set again, read, listed, followed with and without contents, and deleted."""
    plain, full = follow(alice), follow(alice)
    await plain.catch_up()
    for number, secret_id in enumerate(IDS):
        await alice.set(secret_id, "old")
        await alice.set(secret_id, f"{number}")
    for number, secret_id in enumerate(IDS):
        assert await alice.get(secret_id) == f"{number}"
    assert list((await alice.space())["secrets"]) == IDS
    for follower, contents in ((plain, False), (full, True)):
        await follower.catch_up(contents=contents)
        assert set(follower.secrets) == {("", secret_id) for secret_id in IDS}
    for number, secret_id in enumerate(IDS):
        told = full.secrets["", secret_id]
        assert isinstance(told, SecretChanged)
        assert told.box is not None
        assert open_box(alice.identity, told.box).decode() == f"{number}"
    assert rows(place, "SELECT secrets FROM spaces") == [(len(IDS),)]
    for secret_id in IDS:
        await alice.do(requests.DeleteSecret, secret_id=secret_id)
        missing = await alice.ask(requests.GetSecret, secret_id=secret_id)
        assert missing.error == f'Secret with secretId "{secret_id}" did not exist!'
    page = await plain.step()
    assert [
        (type(each), each.secret_id) for each in page.changes if isinstance(each, SecretGone)
    ] == [(SecretGone, secret_id) for secret_id in IDS]
    assert rows(place, "SELECT secrets, bytes FROM spaces") == [(0, 0)]


async def test_shared_ones(alice: Node, bob: Node, follow: Callable[[Node], Any]) -> None:
    """Shared, listed, read, taken back; followed by the recipient."""
    await alice.accept(bob)
    follower = follow(alice)
    for secret_id in IDS:
        assert (await bob.share(alice, secret_id, secret_id[:9])).error is None
    await follower.catch_up(contents=True)
    assert set(follower.secrets) == {(bob.node_id, secret_id) for secret_id in IDS}
    for secret_id in IDS:
        answer = await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id=secret_id)
        assert answer.opened(alice.identity) == secret_id[:9]
    for secret_id in IDS:
        await bob.do(requests.DeleteSharedSecret, shared_to_id=alice.node_id, secret_id=secret_id)
    await follower.catch_up()
    assert follower.secrets == {}


@pytest.mark.parametrize("secret_id", IDS, ids=range(len(IDS)))
async def test_one_time_ones(
    alice: Node, bob: Node, follow: Callable[[Node], Any], secret_id: str
) -> None:
    """Read once, and repeated when the answer was lost."""
    await alice.accept(bob)
    follower = follow(alice)
    await bob.share(alice, secret_id, "y", once=True)
    await follower.catch_up()
    first = alice.signed(requests.GetSecretFrom, from_id=bob.node_id, secret_id=secret_id)
    answer = await alice.send(first)
    assert answer.opened(alice.identity) == "y"
    gone = await alice.ask(requests.GetSecretFrom, from_id=bob.node_id, secret_id=secret_id)
    assert gone.error == f'Secret with secretId "{secret_id}" did not exist!'
    again = await alice.do(
        requests.RepeatSecretFrom,
        from_id=bob.node_id,
        secret_id=secret_id,
        first=first.signature,
    )
    assert again.body == answer.body
    await follower.catch_up()
    assert follower.secrets == {}
