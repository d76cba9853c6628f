"""The change feed: what it tells, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smfs.crypto.box import box_from_json
from smfs.protocol import discovery, requests
from smfs.protocol.changes import (
    RECIPIENT,
    SENDER,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)
from smfs.service import Service

pytestmark = pytest.mark.anyio

Follow = Callable[..., Any]


def revision_of(answer: Any) -> int:
    """The revision that a write was given."""
    return int(answer.headers[discovery.REVISION_HEADER])


# --- what is told ---------------------------------------------------------------------------------


async def test_a_listing_has_all_that_stands(alice: Any, bob: Any, follow: Follow) -> None:
    """Own secrets, senders, what they shared, and who accepts the asker."""
    await alice.set("x", "1")
    await alice.accept(bob, 4e12)
    await bob.share(alice, "once", "2", once=True)
    await bob.accept(alice)
    [page] = await follow(alice).catch_up()
    assert (page.since, page.more) == (0, False)
    own, sender, shared, recipient = page.changes
    assert own == SecretChanged(own.revision, "", "x")
    assert sender == NodeChanged(sender.revision, SENDER, bob.node_id, 4e12)
    assert shared == SecretChanged(shared.revision, bob.node_id, "once", one_time=True)
    assert recipient == NodeChanged(recipient.revision, RECIPIENT, bob.node_id, None)
    assert page.revision == recipient.revision


async def test_each_change_is_told_once(alice: Any, bob: Any, follow: Follow) -> None:
    """Whoever made it, and however a secret went."""
    follower, told = follow(alice), []

    async def told_after(answer: Any) -> list[Any]:
        assert answer is None or answer.status == 200
        return list((await follower.step()).changes)

    [first] = await follower.catch_up()
    assert first.changes == ()
    told += await told_after(await alice.set("x", "1"))
    told += await told_after(await alice.delete("x"))
    told += await told_after(await alice.accept(bob))
    told += await told_after(await bob.share(alice, "y", "2"))
    told += await told_after(await bob.unshare(alice, "y"))
    told += await told_after(await bob.share(alice, "once", "3", once=True))
    told += await told_after(await alice.take(bob, "once"))
    told += await told_after(await alice.deny(bob))
    told += await told_after(await bob.accept(alice))
    told += await told_after(await bob.deny(alice))
    revisions = [change.revision for change in told]
    assert revisions == sorted(set(revisions))
    at, name = iter(revisions), bob.node_id
    assert told == [
        SecretChanged(next(at), "", "x"),
        SecretGone(next(at), "", "x"),
        NodeChanged(next(at), SENDER, name),
        SecretChanged(next(at), name, "y"),
        SecretGone(next(at), name, "y"),
        SecretChanged(next(at), name, "once", one_time=True),
        SecretGone(next(at), name, "once"),
        NodeGone(next(at), SENDER, name),
        NodeChanged(next(at), RECIPIENT, name),
        NodeGone(next(at), RECIPIENT, name),
    ]
    assert (await follower.step()).changes == ()


async def test_a_write_is_told_under_the_revision_of_its_answer(
    alice: Any, bob: Any, follow: Follow
) -> None:
    """So that its writer knows it when the feed brings it."""
    follower = follow(alice)
    await follower.catch_up()
    written = [
        await alice.set("x", "1"),
        await alice.set("x", "2"),
        await alice.do(requests.OpenSubSpace, from_id=bob.node_id, closure_date=None),
    ]
    page = await follower.step()
    assert [change.revision for change in page.changes] == [
        revision_of(answer) for answer in written[1:]
    ]


async def test_contents_are_told_to_who_asks_for_them(alice: Any, bob: Any, follow: Follow) -> None:
    """The boxes are those that getSecret and the listing show."""
    await alice.set("x", "mine")
    await alice.accept(bob)
    await bob.share(alice, "x", "his")
    space = await alice.space()
    boxes = {
        ("", "x"): box_from_json(space["secrets"]["x"]["secret"]),
        (bob.node_id, "x"): box_from_json(
            space["subSpaces"][bob.node_id]["secrets"]["x"]["secret"]
        ),
    }
    follower = follow(alice)
    await follower.catch_up(contents=True)
    assert {key: each.box for key, each in follower.secrets.items()} == boxes
    follower = follow(alice)
    await follower.catch_up()
    assert {key: each.box for key, each in follower.secrets.items()} == dict.fromkeys(boxes)


async def test_what_shows_nowhere_moves_the_revision_on(
    alice: Any, listener: Any, follow: Follow
) -> None:
    """An empty page says up to where nothing is to be told."""
    follower = follow(alice)
    await follower.catch_up()
    answer = await alice.do(
        requests.AddNotificationHook, type="log", target_id="this", notify_url=listener.url
    )
    page = await follower.step()
    assert (page.changes, page.revision) == ((), revision_of(answer))


async def test_nobody_is_told_that_somebody_follows(
    alice: Any, bob: Any, listener: Any, follow: Follow, is_silent: Callable[..., Any]
) -> None:
    """No hook hears of it, and its answer has no revision of its own."""
    await alice.do(
        requests.AddNotificationHook, type="log", target_id="this", notify_url=listener.url
    )
    listener.take(1)
    answer = await alice.send(follow(alice).request())
    assert discovery.REVISION_HEADER not in answer.headers
    assert await is_silent(bob)


async def test_a_page_is_asked_for_once(alice: Any, bob: Any, follow: Follow) -> None:
    """Signed, and protected from replay; readable to the asker only."""
    request = follow(alice).request()
    assert (await alice.send(request)).status == 200
    assert (await alice.send(request)).status == 401
    unsigned = follow(alice).request().with_signature("00" * 64)
    assert (await bob.send(unsigned)).status == 401


async def test_without_a_space_there_is_no_feed(node: Callable[..., Any], follow: Follow) -> None:
    """In the words of every other request."""
    stranger = node()
    answer = await stranger.send(follow(stranger).request())
    assert answer.error == f'SecretSpace for "{stranger.node_id}" did not exist!'


async def test_who_accepts_himself_is_both(alice: Any, follow: Follow) -> None:
    """A sender and a recipient, under two revisions."""
    follower = follow(alice)
    await alice.accept(alice)
    await follower.catch_up()
    assert set(follower.nodes) == {(SENDER, alice.node_id), (RECIPIENT, alice.node_id)}
    await alice.deny(alice)
    await follower.catch_up()
    assert follower.nodes == {}


# --- who accepts the asker ------------------------------------------------------------------------


async def test_who_was_accepted_before_he_had_a_space_knows_it(
    alice: Any, node: Callable[..., Any], follow: Follow
) -> None:
    """What the others have opened for him does not wait for his own space."""
    newcomer = node()
    await alice.accept(newcomer)
    await (await node().open_space()).accept(newcomer)
    await newcomer.open_space()
    follower = follow(newcomer)
    await follower.catch_up()
    assert len(follower.nodes) == 2
    assert (RECIPIENT, alice.node_id) in follower.nodes


async def test_who_opens_his_space_anew_is_still_accepted(
    alice: Any, bob: Any, follow: Follow
) -> None:
    """At the same moment of the clock, too; what was his own is gone, in a feed of its own."""
    await alice.set("x", "1")
    await bob.accept(alice)
    follower = follow(alice)
    await follower.catch_up()
    before = follower.feed
    await alice.do(requests.DeleteSecretSpace)
    await alice.open_space()
    [page] = await follower.catch_up()
    assert page.since == 0
    assert page.feed != before
    assert follower.secrets == {}
    assert follower.nodes == {(RECIPIENT, bob.node_id): None}
    await bob.deny(alice)
    await follower.catch_up()
    assert follower.nodes == {}


async def test_a_deleted_space_accepts_nobody(alice: Any, bob: Any, follow: Follow) -> None:
    """Its senders are told, and nothing of it is left when it is opened anew."""
    await alice.accept(bob)
    follower = follow(bob)
    await follower.catch_up()
    await alice.do(requests.DeleteSecretSpace)
    [page] = await follower.catch_up()
    assert page.changes == (NodeGone(page.revision, RECIPIENT, alice.node_id),)
    await alice.open_space()
    [page] = await follower.catch_up()
    assert page.changes == ()


@pytest.mark.parametrize(
    ("of_space", "of_sub_space", "earlier"),
    [(None, None, None), (2000, None, 2000), (None, 1000, 1000), (2000, 1000, 1000), (5, 9, 5)],
)
async def test_the_earlier_date_ends_an_acceptance(
    node: Callable[..., Any],
    bob: Any,
    clock: Any,
    follow: Follow,
    of_space: int | None,
    of_sub_space: int | None,
    earlier: int | None,
) -> None:
    """That of the sub space, or that of its space."""
    dates = [each and clock.now_ms + each for each in (of_space, of_sub_space, earlier)]
    recipient = await node().open_space(dates[0])
    await recipient.accept(bob, dates[1])
    follower = follow(bob)
    await follower.catch_up()
    assert follower.nodes == {(RECIPIENT, recipient.node_id): dates[2]}


async def test_what_has_closed_is_not_there(
    service: Service, alice: Any, bob: Any, clock: Any, follow: Follow
) -> None:
    """Before it is swept it is told to nobody; afterwards it is told to be gone."""
    await alice.accept(bob, clock.now_ms + 1000)
    await bob.share(alice, "x", "1")
    early, late = [follow(alice), follow(bob)], [follow(alice), follow(bob)]
    for follower in early:
        await follower.catch_up()
        assert len(follower.nodes) == 1
    clock.now_ms += 1000
    for follower in late:
        [page] = await follower.catch_up()
        assert page.changes == ()
    for follower in early:
        assert (await follower.step()).changes == ()
    await service.sweep()
    for follower in early + late:
        [page] = await follower.catch_up()
        [change] = page.changes
        assert isinstance(change, NodeGone)
        assert (follower.secrets, follower.nodes) == ({}, {})
