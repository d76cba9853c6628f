"""Listings: what comes in many pages, and when all is listed anew."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from smfs import errors
from smfs.client import feed
from smfs.client.embedded import embedded_transport
from smfs.client.feed import State
from smfs.client.known import Key
from smfs.service import Service, ServiceOptions, create_service
from tests.client.conftest import Clock, Faults
from tests.client.following import ALICE, Crowd, Party, fill, held

pytestmark = pytest.mark.anyio


# --- many secrets, in pages -----------------------------------------------------------------------


async def filling(crowd: Crowd, party: Party) -> None:
    """Lets a party follow until it knows the names, and holds up the contents from then on."""

    def pages() -> int:
        return party.wire.count("/getChanges")

    async def hold(request: Any, pass_on: Any) -> Any:
        if b'"contents":true' in request.content and pages() > 2:
            await party.asking.passed()
        return await pass_on(request)

    party.wire.always("/getChanges", hold)
    await party.follow(until=State.FILLING)


async def test_names_come_first_then_contents(
    small_pages: None, crowd: Crowd, twin: Party, bob: Party
) -> None:
    """Names are listed without a request while contents are on their way; each read is one."""
    await fill(twin)
    alice = crowd.join(ALICE)
    async with alice.asking.closed():
        await filling(crowd, alice)
        with alice.asks():
            await alice.view.refresh(0)
        assert set(alice.view.own()) == {f"s{number}" for number in range(12)}
        with alice.asks("/getSecret"):
            assert (await alice.view.read_own("s9")).content == b"9"
    await alice.is_in(State.LIVE)
    with alice.asks():
        for number in range(12):
            assert (await alice.view.read_own(f"s{number}")).content == f"{number}".encode()


async def test_what_changes_while_contents_come_is_known_at_the_end(
    small_pages: None, crowd: Crowd, twin: Party
) -> None:
    """Set anew, deleted, and new secrets; also what an answer from before says otherwise."""
    await fill(twin)
    alice = crowd.join(ALICE)
    async with alice.asking.closed():
        await filling(crowd, alice)
        await twin.view.write_own("s1", b"new")
        await twin.view.delete_own("s2")
        await twin.view.write_own("t", b"new")
    await alice.is_in(State.LIVE)
    assert (await alice.view.read_own("s1")).content == b"new"
    assert (await alice.view.read_own("t")).content == b"new"
    assert "s2" not in alice.view.own()
    assert len(alice.view.own()) == 12


@pytest.mark.parametrize("is_there", [True, False])
async def test_an_answer_from_before_says_nothing_of_what_the_feed_told_since(
    small_pages: None, crowd: Crowd, twin: Party, *, is_there: bool
) -> None:
    """A read that was asked before a change, and answered after the feed told of it."""
    await fill(twin)
    if not is_there:
        await twin.view.delete_own("s9")
        await twin.view.write_own("s9", b"9")
    alice = crowd.join(ALICE)
    read: list[bytes] = []

    async def look() -> None:
        with contextlib.suppress(errors.SecretNotFound):
            read.append((await alice.view.read_own("s9")).content)

    async with anyio.create_task_group() as tasks, held("/getSecret", alice) as answered:
        async with alice.asking.closed():
            await filling(crowd, alice)
            if not is_there:
                await twin.view.delete_own("s9")
            tasks.start_soon(look)
            await answered.wait()
            await twin.view.write_own("s9", b"new")
        await alice.is_in(State.LIVE)
    assert (await alice.view.read_own("s9")).content == b"new"
    await alice.has("s9", b"new")


async def test_what_may_be_old_is_not_taken_for_current_while_contents_come(
    small_pages: None, crowd: Crowd, twin: Party
) -> None:
    """A listing anew: what was known before is not read until its content has come."""
    await fill(twin)
    alice = crowd.join(ALICE)
    await alice.follow()
    assert (await alice.view.read_own("s1")).content == b"1"
    await alice.stop()
    await twin.view.write_own("s1", b"new")
    alice.view._feed.cursor = ("another", 1)
    alice.wire.seen.clear()
    async with alice.asking.closed():
        await filling(crowd, alice)
        assert alice.view.peek(Key("own", "", "s1")) is None
        assert (await alice.view.read_own("s1")).content == b"new"
    await alice.is_in(State.LIVE)
    assert (await alice.view.read_own("s1")).content == b"new"


async def test_a_content_that_did_not_come_is_asked_for_once_the_service_is_back(
    small_pages: None, crowd: Crowd, twin: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing anew broke off; who reads does not wait until somebody looks again."""
    await fill(twin)
    alice = crowd.join(ALICE)
    await alice.follow()
    await alice.stop()
    alice.view._feed.cursor = ("another", 1)
    await twin.view.write_own("t", b"new")
    monkeypatch.setattr(feed, "_FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr(feed, "_LONGEST_PAUSE_S", 600.0)
    async with alice.asking.closed():
        alice.wire.seen.clear()
        await filling(crowd, alice)
        alice.wire.always("*", Faults.never_sent)
        alice.wire.always("/getChanges", Faults.never_sent)
        alice.view._feed.doubt()
        await alice.is_in(State.AWAY)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.read_own("t")
    alice.wire.mend()
    assert (await alice.view.read_own("t")).content == b"new"


# --- full listings --------------------------------------------------------------------------------


async def test_what_the_service_has_forgotten_is_listed_anew(
    service: Service, small_pages: None, crowd: Crowd, twin: Party, clock: Clock
) -> None:
    """Deletions that are forgotten are found by what is not listed any more."""
    await fill(twin)
    alice = crowd.join(ALICE)
    await alice.follow()
    await alice.stop()
    await twin.view.delete_own("s1")
    await twin.view.write_own("s2", b"new")
    since = alice.view.generation
    alice.view._feed.cursor = (alice.view._feed.cursor[0], 1)
    await alice.follow()
    await alice.sees(lambda: "s1" not in alice.view.own())
    await alice.has("s2", b"new")
    keys = {line.key for line in alice.lines(since)}
    assert keys == {Key("own", "", "s1"), Key("own", "", "s2")}


async def test_a_space_that_was_deleted_and_opened_again_is_listed_anew(
    alice: Party, twin: Party, bob: Party
) -> None:
    """What was in the old one is gone, senders and recipients included."""
    await bob.view.accept(alice.id, None)
    await twin.view.accept(bob.id, None)
    await twin.view.write_own("old", b"old")
    await alice.has("old", b"old")
    await alice.sees(lambda: bob.id in alice.view.senders())
    await twin.view.client.erase_from_server()
    await alice.sees(lambda: not alice.view.own() and not alice.view.senders())
    await alice.view.write_own("new", b"new")
    assert list(alice.view.own()) == ["new"]


async def test_another_database_is_listed_anew(
    alice: Party, twin: Party, tmp_path: Path, clock: Clock
) -> None:
    """Its revisions may be smaller than those that were known."""
    await twin.view.write_own("old", b"old")
    await twin.view.write_own("both", b"old")
    await alice.has("both", b"old")
    clock.now_ms -= 60_000
    async with create_service(tmp_path / "other.db", options=ServiceOptions(), now=clock) as other:
        alice.wire.inner = twin.wire.inner = embedded_transport(other)
        await twin.view.write_own("both", b"new")
        await twin.view.write_own("wake", b"")
        alice.wire.next("/getChanges", Faults.never_sent)
        await alice.stop()
        await alice.follow()
        await alice.has("both", b"new")
        assert set(alice.view.own()) == {"both", "wake"}
        await twin.view.write_own("both", b"newer")
        await alice.has("both", b"newer")
        await alice.stop()


async def test_a_database_that_was_restored_is_listed_anew(
    alice: Party, twin: Party, tmp_path: Path, clock: Clock
) -> None:
    """It goes on with revisions that were known already, for other secrets."""
    await twin.view.write_own("a", b"one")
    copy = tmp_path / "copy.db"
    path = tmp_path / "db" / "service.db"
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    copy.chmod(0o600)
    for number in range(5):
        await twin.view.write_own("b", b"%d" % number)
        await twin.view.write_own("c", b"%d" % number)
    await alice.has("c", b"4")
    await alice.stop()
    async with create_service(copy, options=ServiceOptions(), now=clock) as other:
        alice.wire.inner = twin.wire.inner = embedded_transport(other)
        await alice.follow()
        assert list(alice.view.own()) == ["a"]
        await twin.view.write_own("b", b"new")
        await alice.has("b", b"new")
        await alice.stop()


@pytest.mark.parametrize("was_accepted", [False, True])
async def test_who_is_accepted_while_all_is_listed_stays(
    small_pages: None, crowd: Crowd, twin: Party, bob: Party, *, was_accepted: bool
) -> None:
    """A last page from before is no reason to take him away; it is asked for again.

    Neither if it does not name him, nor if it tells that he was refused, which he was in between.
    """
    await bob.view.refresh()
    if was_accepted:
        await twin.view.accept(bob.id, None)
    for secret_id in ("a", "b", "c"):
        await twin.view.write_own(secret_id, b"")
    alice = crowd.join(ALICE)
    last = 4 if was_accepted else 3

    async def hold(request: Any, pass_on: Any) -> Any:
        number = alice.wire.count("/getChanges")
        if was_accepted and number == last - 1:
            await alice.view.deny(bob.id)
        answer = await pass_on(request)
        if number == last:
            await alice.asking.passed()
        return answer

    alice.wire.always("/getChanges", hold)
    async with alice.asking.closed() as answered:
        await alice.follow(until=State.FILLING)
        await answered.wait()
        await alice.view.accept(bob.id, None)
        since = alice.view.generation
    await alice.is_in(State.LIVE)
    assert bob.id in alice.view.senders()
    assert all(line.node_id != bob.id for line in alice.lines(since))


async def test_a_service_that_becomes_an_original_and_back(alice: Party, twin: Party) -> None:
    """Without a feed each reading asks; what changed by then is known when there is one again."""
    await twin.view.write_own("a", b"one")
    await twin.view.write_own("b", b"one")
    await twin.view.write_own("c", b"one")
    await alice.has("c", b"one")
    alice.wire.is_original = twin.wire.is_original = True
    await twin.view.write_own("wake", b"")
    await alice.is_in(State.OFF)
    assert not alice.view.is_told
    await twin.view.write_own("a", b"two")
    assert (await alice.view.read_own("a")).content == b"two"
    await twin.view.delete_own("b")
    await alice.view.refresh(0)
    assert "b" not in alice.view.own()
    alice.view._known.drop(Key("own", "", "c"))  # as if it had other secrets
    alice.wire.is_original = twin.wire.is_original = False
    alice.view._feed._hurry.set()
    await alice.is_in(State.LIVE)
    assert set(alice.view.own()) == {"a", "c", "wake"}
    await twin.view.write_own("a", b"three")
    await alice.has("a", b"three")


async def test_a_feed_that_is_promised_but_not_there_is_not_asked_without_end(
    crowd: Crowd, twin: Party
) -> None:
    """The view then does without; and uses it once it is there."""
    await twin.view.write_own("a", b"one")
    alice = crowd.join(ALICE)
    alice.wire.always("/getChanges", Faults.answers(404))
    await alice.follow(until=State.OFF)
    assert (await alice.view.read_own("a")).content == b"one"
    alice.wire.mend()
    await alice.is_in(State.LIVE)
