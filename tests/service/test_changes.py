"""The change feed: what it tells, in which order, and what it tells to who missed something."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.crypto.box import Box, box_from_json
from smfs.protocol import discovery, requests
from smfs.protocol.changes import (
    RECIPIENT,
    SENDER,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)
from smfs.service import Service, feed_rows
from smfs.service.store.sqlite import SqliteStore
from tests.service.places import Place, rows

pytestmark = pytest.mark.anyio

Follow = Callable[..., Any]
DAY_MS = 24 * 3600 * 1000


async def delete(node: Any, secret_id: str) -> Any:
    """Deletes an own secret."""
    return await node.do(requests.DeleteSecret, secret_id=secret_id)


async def deny(node: Any, sender: Any) -> Any:
    """Stops accepting somebody."""
    return await node.do(requests.DeleteSubSpace, from_id=sender.node_id)


async def unshare(sender: Any, recipient: Any, secret_id: str) -> Any:
    """Takes back what was shared."""
    named = {"shared_to_id": recipient.node_id, "secret_id": secret_id}
    return await sender.do(requests.DeleteSharedSecret, **named)


async def take(node: Any, sender: Any, secret_id: str) -> Any:
    """Gets what was shared."""
    return await node.do(requests.GetSecretFrom, from_id=sender.node_id, secret_id=secret_id)


def revision_of(answer: Any) -> int:
    """The revision that a write was given."""
    return int(answer.headers[discovery.REVISION_HEADER])


# --- what is told -----------------------------------------------------------------------------


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
    told += await told_after(await delete(alice, "x"))
    told += await told_after(await alice.accept(bob))
    told += await told_after(await bob.share(alice, "y", "2"))
    told += await told_after(await unshare(bob, alice, "y"))
    told += await told_after(await bob.share(alice, "once", "3", once=True))
    told += await told_after(await take(alice, bob, "once"))
    told += await told_after(await deny(alice, bob))
    told += await told_after(await bob.accept(alice))
    told += await told_after(await deny(bob, alice))
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
    await deny(alice, alice)
    await follower.catch_up()
    assert follower.nodes == {}


# --- who accepts the asker --------------------------------------------------------------------


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
    await deny(bob, alice)
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


# --- full listings ----------------------------------------------------------------------------


async def test_what_is_no_place_in_the_feed_begins_a_listing(alice: Any, follow: Follow) -> None:
    """Another feed, and a revision that is none of this one."""
    await alice.set("x", "1")
    follower = follow(alice)
    await follower.catch_up()
    now = follower.since
    for fields in (
        {"feed": ""},
        {"feed": follower.feed.upper() + "0"},
        {"since": 0},
        {"since": 0, "listing": True},
        {"since": now + 1},
        {"since": now - 2},
        {"since": -1},
        {"since": now - 0.5},
        {"since": 1e308, "listing": True},
        {"feed": "other", "listing": True},
    ):
        page = await follower.ask(**fields)
        assert page.since == 0, fields
        assert [change.revision for change in page.changes] == [now]
    assert (await follower.ask(since=now - 1)).since == now - 1
    assert (await follower.ask(since=1, listing=True)).since == 1


async def test_a_feed_goes_on_after_a_restart(
    alice: Any, restarting: Callable[[], Any], follow: Follow
) -> None:
    """Nobody has to list everything because the service was away."""
    follower = follow(alice)
    await alice.set("x", "1")
    await follower.catch_up()
    async with restarting() as other:
        alice.app = other
        await alice.set("y", "2")
        page = await follower.step()
    assert page.since > 0
    assert set(follower.secrets) == {("", "x"), ("", "y")}


async def test_deletions_are_forgotten_after_a_week(
    service: Service, alice: Any, clock: Any, follow: Follow
) -> None:
    """Who has not asked since then gets a listing; who has, and who is listing, goes on."""
    early, late = follow(alice), follow(alice)
    await alice.set("x", "1")
    await alice.set("y", "1")
    await early.catch_up()
    await delete(alice, "x")
    await late.catch_up()
    clock.now_ms += 7 * DAY_MS
    await service.sweep()
    assert (await early.ask()).since == early.since
    clock.now_ms += 1
    await service.sweep()
    assert (await late.step()).since > 0
    assert (await early.ask(listing=True)).since == early.since
    assert (await early.step()).since == 0
    assert set(early.secrets) == set(late.secrets) == {("", "y")}


async def test_deletions_are_bounded_in_number(
    alice: Any, bob: Any, follow: Follow, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    """Of too many the oldest are forgotten, and who has not seen them gets a listing."""
    assert feed_rows._LEFT < feed_rows._MOST_REMEMBERED <= 10_000
    monkeypatch.setattr(feed_rows, "_MOST_REMEMBERED", 6)
    monkeypatch.setattr(feed_rows, "_LEFT", 4)
    followers = []
    for number in range(20):
        for secret_id in ("x", "y"):
            await (alice.set if number % 2 else bob.set)(secret_id, "1")
        followers.append(follow(alice))
        await followers[-1].catch_up()
        await delete(alice if number % 2 else bob, "x")
    counted = rows(place, "SELECT count(*) FROM gone GROUP BY node_id")
    kept = rows(place, "SELECT remembered FROM spaces ORDER BY node_id")
    assert all(4 <= count <= 6 for (count,) in counted)
    assert sorted(counted) == sorted(kept)
    anew = [(await follower.ask()).since == 0 for follower in followers]
    assert anew == sorted(anew, reverse=True)
    assert {True, False} == set(anew)
    for follower in followers:
        await follower.catch_up()
        assert set(follower.secrets) == {("", "y")}


async def test_a_listing_comes_in_pages(
    alice: Any, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so many changes each."""
    for number in range(7):
        await alice.set(f"{number}", "1")
    monkeypatch.setattr(feed_rows, "_PAGE", 3)
    monkeypatch.setattr(feed_rows, "_PAGE_WITH_CONTENTS", 2)
    pages = await follow(alice).catch_up()
    assert [len(page.changes) for page in pages] == [3, 3, 1]
    assert [page.more for page in pages] == [True, True, False]
    pages = await follow(alice).catch_up(contents=True)
    assert [len(page.changes) for page in pages] == [2, 2, 2, 1]


async def test_pages_with_contents_are_bounded_in_bytes(
    alice: Any, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the last one of each, which may be of any size."""
    for number, size in enumerate((100, 100, 5000, 100, 100)):
        await alice.set(f"{number}", "x" * size)
    monkeypatch.setattr(feed_rows, "_PAGE_BYTES", 300)
    follower = follow(alice)
    pages = await follower.catch_up(contents=True)
    assert [len(page.changes) for page in pages] == [3, 2]
    assert all(isinstance(each.box, Box) for each in follower.secrets.values())
    assert len(await follow(alice).catch_up()) == 1


async def test_a_listing_under_changes_ends_right(
    alice: Any, bob: Any, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is deleted and set anew between its pages is told by the later ones."""
    monkeypatch.setattr(feed_rows, "_PAGE", 2)
    await alice.accept(bob)
    for number in range(4):
        await alice.set(f"{number}", "1")
        await bob.share(alice, f"{number}", "1")
    follower = follow(alice)
    await follower.step()
    assert set(follower.secrets) == {("", "0")}
    await delete(alice, "0")
    await alice.set("1", "2")
    await alice.set("0", "2")
    await delete(alice, "3")
    await follower.step()
    await deny(alice, bob)
    await delete(alice, "0")
    await follower.catch_up()
    assert set(follower.secrets) == {("", "1"), ("", "2")}
    assert follower.nodes == {}


# --- all together -----------------------------------------------------------------------------

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


# --- cost -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("contents", [False, True])
@pytest.mark.parametrize("with_gone", [False, True])
async def test_a_page_is_read_by_indices(
    service: Service, *, contents: bool, with_gone: bool
) -> None:
    """In the order of revisions, with nothing sorted and nothing scanned."""
    assert isinstance(service._store, SqliteStore)
    assert service._store._writer is not None
    connection = service._store._writer.connection
    query = feed_rows.changes_query(content="content" if contents else None, with_gone=with_gone)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", (b"", 1, 1, 10)).fetchall()
    lines = [row[3] for row in plan]
    assert not [line for line in lines if "TEMP B-TREE" in line or line.startswith("SCAN")]
    assert "MERGE (UNION ALL)" in lines
    searches = [line for line in lines if line.startswith("SEARCH secrets")]
    how = "INDEX" if contents else "COVERING INDEX"
    assert searches == [
        f"SEARCH secrets USING {how} secrets_by_revision (node_id=? AND revision>?)"
    ]
