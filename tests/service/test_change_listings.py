"""The change feed: what it tells to who missed something, in pages, and how it reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smfs.crypto.box import Box
from smfs.service import Service, feed_rows
from smfs.service.store.sqlite import SqliteStore
from tests.service.places import Place, rows

pytestmark = pytest.mark.anyio

Follow = Callable[..., Any]
DAY_MS = 24 * 3600 * 1000


# --- full listings --------------------------------------------------------------------------------


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
    await alice.delete("x")
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
        await (alice if number % 2 else bob).delete("x")
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
    await alice.delete("0")
    await alice.set("1", "2")
    await alice.set("0", "2")
    await alice.delete("3")
    await follower.step()
    await alice.deny(bob)
    await alice.delete("0")
    await follower.catch_up()
    assert set(follower.secrets) == {("", "1"), ("", "2")}
    assert follower.nodes == {}


# --- cost -----------------------------------------------------------------------------------------


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
