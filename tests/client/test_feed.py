"""Following the change feed: what is known is what the service has, whatever happens on the way."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from smfs import errors
from smfs.client import feed
from smfs.client.embedded import embedded_transport
from smfs.client.feed import State
from smfs.client.known import Changed, Key
from smfs.service import Service, ServiceOptions, create_service, feed_rows
from tests.client.conftest import Clock, Fault, Faults
from tests.client.following import (
    ALICE,
    BOB,
    Crowd,
    Party,
    altered,
    deaf,
    gathered,
    held,
    with_change,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses after a failure are there, but short."""
    monkeypatch.setattr(feed, "_FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(feed, "_LONGEST_PAUSE_S", 0.02)


@pytest.fixture
async def crowd(service: Service, clock: Clock) -> AsyncIterator[Crowd]:
    """Whoever comes to the service."""
    async with gathered(service, clock) as crowd:
        yield crowd


@pytest.fixture
async def alice(crowd: Crowd) -> Party:
    """Alice, who follows."""
    party = crowd.join(ALICE)
    await party.follow()
    return party


@pytest.fixture
def twin(crowd: Crowd) -> Party:
    """Alice on another machine, where she does not follow."""
    return crowd.join(ALICE)


@pytest.fixture
def bob(crowd: Crowd) -> Party:
    """Bob, who does not follow."""
    return crowd.join(BOB)


# --- what another client does ---------------------------------------------------------------------


async def test_sets_and_deletions_are_seen(alice: Party, twin: Party) -> None:
    """What another client sets and deletes is known without asking."""
    await twin.view.write_own("a", b"one")
    await alice.has("a", b"one")
    await twin.view.write_own("a", b"two")
    await alice.has("a", b"two")
    await twin.view.delete_own("a")
    await alice.sees(lambda: not alice.view.own())


async def test_shares_are_seen(alice: Party, twin: Party, bob: Party) -> None:
    """So are a sender who is accepted, what he shares and takes back, and that he is refused."""
    await bob.view.refresh()
    await twin.view.accept(bob.id, None)
    await alice.sees(lambda: bob.id in alice.view.senders())
    await bob.view.share(alice.id, "a", b"text")
    await alice.sees(lambda: "a" in alice.view.senders()[bob.id].secrets)
    assert (await alice.view.read_from(bob.id, "a")).content == b"text"
    await bob.view.unshare(alice.id, "a")
    await alice.sees(lambda: not alice.view.senders()[bob.id].secrets)
    await bob.view.share(alice.id, "b", b"text", one_time=True)
    await alice.sees(lambda: "b" in alice.view.senders()[bob.id].secrets)
    assert alice.view.senders()[bob.id].secrets["b"].one_time
    await twin.view.deny(bob.id)
    await alice.sees(lambda: not alice.view.senders())
    with pytest.raises(errors.NotAccepted):
        await alice.view.read_from(bob.id, "b")


async def test_copies_and_petnames_are_seen(alice: Party, twin: Party, bob: Party) -> None:
    """So are the copies of what was shared, and petnames."""
    await bob.view.accept(alice.id, None)
    await twin.view.share(bob.id, "a", b"text")
    await alice.sees(lambda: "a" in alice.view.sent().get(bob.id, {}))
    assert (await alice.view.read_sent(bob.id, "a")).content == b"text"
    await twin.view.petnames.set("bob", bob.id)
    await alice.sees(lambda: "bob" in alice.view._known.names())
    assert await alice.view.petnames.node_of("bob") == bob.id


async def test_recipients_are_seen(alice: Party, bob: Party) -> None:
    """Who accepts us is known: a share that he would refuse is refused here, asking nobody."""
    await bob.view.refresh()
    with alice.asks(), pytest.raises(errors.NotAccepted):
        await alice.view.check_share(bob.id, "a")
    with alice.asks(), pytest.raises(errors.InvalidPoint):
        await alice.view.check_share("ff" * 32, "a")
    await bob.view.accept(alice.id, None)
    await alice.sees(lambda: bob.id in (alice.view._known.recipients or {}))
    with alice.asks():
        await alice.view.check_share(bob.id, "a")
    with alice.asks(), pytest.raises(errors.TooLarge):
        await alice.view.check_share(bob.id, "a", 2**30)
    await bob.view.deny(alice.id)
    await alice.sees(lambda: not alice.view._known.recipients)
    with alice.asks(), pytest.raises(errors.NotAccepted):
        await alice.view.check_share(bob.id, "a")


async def test_a_recipient_whose_date_has_passed_is_asked(
    alice: Party, bob: Party, clock: Clock
) -> None:
    """The service decides about a recipient whose closure date is there."""
    await bob.view.accept(alice.id, clock.now_ms + 60_000)
    await alice.sees(lambda: bob.id in (alice.view._known.recipients or {}))
    clock.now_ms += 60_001
    with alice.asks("/checkShare"), pytest.raises(errors.NotAccepted):
        await alice.view.check_share(bob.id, "a")


async def test_nobody_is_asked_while_the_feed_is_alive(
    alice: Party, twin: Party, bob: Party
) -> None:
    """Reading, listing and checking take no request; writing, deleting and sharing one each."""
    await bob.view.accept(alice.id, None)
    await twin.view.accept(bob.id, None)
    await bob.view.share(alice.id, "b", b"text")
    await twin.view.write_own("a", b"text")
    await alice.sees(lambda: "a" in alice.view.own())
    view = alice.view
    with alice.asks():
        assert (await view.read_own("a")).content == b"text"
        assert (await view.read_from(bob.id, "b")).content == b"text"
        assert (await view.check_own("a")) is view.own()["a"]
        assert (await view.check_from(bob.id, "b")) is not None
        assert await view.check_own("none") is None
        await view.refresh(0)
        assert await view.look_again(anyio.current_time())
        with pytest.raises(errors.SecretNotFound):
            await view.read_own("none")
    with alice.asks("/setSecret"):
        await view.write_own("c", b"text")
        assert (await view.read_own("c")).content == b"text"
    with alice.asks("/deleteSecret"):
        await view.delete_own("c")
    with alice.asks("/shareSecretTo", "/setSecret"):
        await view.share(bob.id, "d", b"text")
        assert (await view.read_sent(bob.id, "d")).content == b"text"


# --- what we do ourselves -------------------------------------------------------------------------


def own_line(secret_id: str, *, here: bool) -> Changed:
    """The journal's line of an own secret."""
    return Changed(Key("own", "", secret_id), here)


async def test_what_was_done_here_is_noted_once(alice: Party, twin: Party) -> None:
    """The feed tells of what was written and deleted here, too: that changes nothing."""
    since = alice.view.generation
    written = await alice.view.write_own("a", b"text")
    await twin.view.write_own("b", b"text")
    await alice.sees(lambda: "b" in alice.view.own())
    assert alice.lines(since) == [own_line("a", here=True), own_line("b", here=False)]
    assert alice.view.own()["a"].token == written.token
    assert alice.view.own()["a"].box is not None
    since = alice.view.generation
    await alice.view.delete_own("a")
    await twin.view.delete_own("b")
    await alice.sees(lambda: "b" not in alice.view.own())
    assert alice.lines(since) == [own_line("a", here=True), own_line("b", here=False)]


async def test_the_feed_may_be_quicker_than_the_answer(alice: Party, crowd: Crowd) -> None:
    """A write and a deletion that the feed tells of before they are answered are noted once."""
    since = alice.view.generation
    async with held("/setSecret", alice) as answered:
        crowd.start(alice.view.write_own, "a", b"text")
        await answered.wait()
        await alice.sees(lambda: "a" in alice.view.own())
    token = alice.view.own()["a"].token
    assert (await alice.view.write_own("b", b"text")).token == alice.view.own()["b"].token
    assert alice.view.own()["a"].token == token
    assert alice.lines(since) == [own_line("a", here=True), own_line("b", here=True)]
    since = alice.view.generation
    async with held("/deleteSecret", alice) as answered:
        crowd.start(alice.view.delete_own, "a")
        await answered.wait()
        await alice.sees(lambda: "a" not in alice.view.own())
    await alice.view.delete_own("b")
    assert alice.lines(since) == [own_line("a", here=True), own_line("b", here=True)]


# --- in whatever order things arrive --------------------------------------------------------------


async def read_anew(party: Party, secret_id: str) -> bytes:
    """The content as the service gives it out, by the rules of what was seen before."""
    await party.stop()
    content = (await party.view.read_own(secret_id)).content
    await party.follow()
    return content


async def test_a_later_write_of_another_stays_when_our_answer_is_late(
    alice: Party, twin: Party, crowd: Crowd
) -> None:
    """What was written after our write is what is known, and is no rollback."""
    async with held("/setSecret", alice) as answered:
        crowd.start(alice.view.write_own, "a", b"ours")
        await answered.wait()
        await twin.view.write_own("a", b"theirs")
        await alice.has("a", b"theirs")
    await alice.view.write_own("b", b"later")
    assert (await alice.view.read_own("a")).content == b"theirs"
    assert await read_anew(alice, "a") == b"theirs"


async def test_a_later_write_that_came_alone_stays_when_our_answer_is_late(
    alice: Party, twin: Party, crowd: Crowd
) -> None:
    """So it is where the feed never told of our write, which was replaced already."""
    async with deaf(alice, twin, early=True), held("/setSecret", alice) as answered:
        crowd.start(alice.view.write_own, "a", b"ours")
        await answered.wait()
        await twin.view.write_own("a", b"theirs")
    await alice.has("a", b"theirs")
    await alice.view.write_own("b", b"later")
    assert (await alice.view.read_own("a")).content == b"theirs"
    assert await read_anew(alice, "a") == b"theirs"


async def test_our_later_write_replaces_what_the_feed_tells_late(alice: Party, twin: Party) -> None:
    """A page that is older than what we wrote changes nothing."""
    await twin.view.write_own("a", b"0")
    await alice.has("a", b"0")
    async with deaf(alice, twin) as told:
        await twin.view.write_own("a", b"theirs")
        await told.wait()
        await alice.view.write_own("a", b"ours")
        since = alice.view.generation
    await twin.view.write_own("b", b"")
    await alice.sees(lambda: "b" in alice.view.own())
    assert Key("own", "", "a") not in {line.key for line in alice.lines(since)}
    assert (await alice.view.read_own("a")).content == b"ours"


async def test_a_secret_set_after_our_deletion_stays(
    alice: Party, twin: Party, crowd: Crowd
) -> None:
    """The late answer to a deletion does not take away what was set since."""
    await alice.view.write_own("a", b"old")
    async with held("/deleteSecret", alice) as answered:
        crowd.start(alice.view.delete_own, "a")
        await answered.wait()
        await twin.view.write_own("a", b"new")
        await alice.has("a", b"new")
    await alice.view.write_own("b", b"later")
    assert (await alice.view.read_own("a")).content == b"new"
    assert await read_anew(alice, "a") == b"new"


async def test_a_deletion_that_came_too_late_takes_nothing_away(
    alice: Party, twin: Party, crowd: Crowd
) -> None:
    """Nor does the answer that there was nothing to delete."""
    await alice.view.write_own("a", b"old")
    await twin.view.delete_own("a")
    await alice.sees(lambda: "a" not in alice.view.own())

    async def delete() -> None:
        with pytest.raises(errors.SecretNotFound):
            await alice.view.delete_own("a")

    async with anyio.create_task_group() as tasks, held("/deleteSecret", alice) as answered:
        tasks.start_soon(delete)
        await answered.wait()
        await twin.view.write_own("a", b"new")
        await alice.has("a", b"new")
    assert (await alice.view.read_own("a")).content == b"new"


async def test_a_sender_accepted_after_our_refusal_stays(
    alice: Party, twin: Party, bob: Party, crowd: Crowd
) -> None:
    """The late answer to a refusal does not take away whom another client accepted since."""
    await bob.view.refresh()
    await alice.view.accept(bob.id, None)
    async with held("/deleteSubSpace", alice) as answered:
        crowd.start(alice.view.deny, bob.id)
        await answered.wait()
        await alice.sees(lambda: bob.id not in alice.view.senders())
        await twin.view.accept(bob.id, None)
        await bob.view.share(alice.id, "a", b"text")
        await alice.sees(lambda: bob.id in alice.view.senders())
        await alice.sees(lambda: "a" in alice.view.senders()[bob.id].secrets)
    await alice.view.write_own("later", b"")
    assert (await alice.view.read_from(bob.id, "a")).content == b"text"


async def test_a_page_from_before_our_refusal_brings_no_sender_back(
    alice: Party, twin: Party, bob: Party
) -> None:
    """What a sender shared before he was refused is not shown, however late it is told."""
    await bob.view.refresh()
    await alice.view.accept(bob.id, None)
    async with deaf(alice, twin) as told:
        await bob.view.share(alice.id, "a", b"text")
        await told.wait()
        await alice.view.deny(bob.id)
        since = alice.view.generation
    await twin.view.write_own("b", b"")
    await alice.sees(lambda: "b" in alice.view.own())
    assert alice.lines(since) == [own_line("b", here=False)]


async def test_what_is_shared_after_a_one_time_secret_was_taken_stays(
    alice: Party, bob: Party, crowd: Crowd
) -> None:
    """The late answer to the consuming does not take away what was shared since."""
    await bob.view.refresh()
    await alice.view.accept(bob.id, None)
    await bob.view.share(alice.id, "a", b"old", one_time=True)
    await alice.sees(lambda: "a" in alice.view.senders()[bob.id].secrets)
    shared = alice.view.senders()[bob.id].secrets
    old = shared["a"].revision
    async with held("/getSecretFrom", alice) as answered:
        crowd.start(alice.view.consume, bob.id, "a")
        await answered.wait()
        await bob.view.share(alice.id, "a", b"new", one_time=True)
        await alice.sees(lambda: "a" in shared and shared["a"].revision != old)
    await alice.view.write_own("later", b"")
    assert "a" in alice.view.senders()[bob.id].secrets
    assert (await alice.view.consume(bob.id, "a")).content == b"new"
    assert "a" not in alice.view.senders()[bob.id].secrets


# --- many secrets, in pages -----------------------------------------------------------------------


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has two changes with contents, or five without."""
    monkeypatch.setattr(feed_rows, "_PAGE_WITH_CONTENTS", 2)
    monkeypatch.setattr(feed_rows, "_PAGE", 5)


async def fill(twin: Party, count: int = 12) -> None:
    """Sets so many secrets."""
    for number in range(count):
        await twin.view.write_own(f"s{number}", f"{number}".encode())


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


# --- what goes wrong on the way -------------------------------------------------------------------

BROKEN = {
    "never sent": Faults.never_sent,
    "answer lost": Faults.answer_lost,
    "request lost": Faults.request_lost,
    "failure": Faults.answers(500),
    "busy": Faults.answers(503),
    "moved": Faults.answers(302),
    "no JSON": Faults.answers(200, b"<html>"),
    "no box": Faults.answers(200, b'{"ok":true}'),
    "twice": Faults.carried_out_twice,
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
async def test_nothing_is_lost_or_doubled_by_a_fault(
    fault: Fault, small_pages: None, crowd: Crowd, twin: Party
) -> None:
    """In a listing, in a page after it, and while it waits."""
    await fill(twin)
    alice = crowd.join(ALICE)
    alice.wire.next("/getChanges", fault, alice.wire._always["/getChanges"], fault)
    alice.wire.next("/getChanges", alice.wire._always["/getChanges"], fault, fault)
    await alice.follow()
    since = alice.view.generation
    assert len(alice.view.own()) == 12
    alice.wire.next("/getChanges", fault)
    await twin.view.write_own("s1", b"new")
    await alice.has("s1", b"new")
    await twin.view.delete_own("s2")
    await alice.sees(lambda: "s2" not in alice.view.own())
    await twin.view.write_own("t", b"new")
    await alice.has("t", b"new")
    assert [line.key and line.key.secret_id for line in alice.lines(since)] == ["s1", "s2", "t"]


async def test_a_lost_feed_is_known_at_once(alice: Party, twin: Party) -> None:
    """What is known is read on, writing fails at once, and a nudge brings it back."""
    await twin.view.write_own("a", b"one")
    await alice.has("a", b"one")
    gated = alice.wire._always["/getChanges"]
    alice.wire.always("*", Faults.never_sent)
    alice.wire.always("/getChanges", Faults.never_sent)
    await twin.view.write_own("wake", b"")
    await alice.is_in(State.AWAY)
    assert alice.view.source == "cache"
    assert (await alice.view.read_own("a")).content == b"one"
    before = alice.wire.count("/setSecret")
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.write_own("a", b"two")
    assert alice.wire.count("/setSecret") == before
    alice.wire.mend()
    alice.wire.always("/getChanges", gated)
    await alice.view.write_own("a", b"two")
    assert alice.state is State.LIVE
    assert alice.view.source == "live"


# --- a service that lies --------------------------------------------------------------------------

NODE = "5e" * 32
NONSENSE: dict[str, Callable[[Any], Any]] = {
    "no page": lambda page: [page],
    "null": lambda page: None,
    "no changes": lambda page: {**page, "changes": None},
    "no revision": lambda page: {**page, "revision": "1"},
    "back in time": lambda page: {**page, "since": 1, "revision": 1, "changes": []},
    "another feed": lambda page: {**page, "feed": "another", "since": page["since"] or 1},
    "no progress": lambda page: {**page, "more": True, "revision": page["since"], "changes": []},
    "beyond its end": lambda page: {
        **page,
        "changes": [*page["changes"], {"revision": 2**53 - 1, "secretId": "x"}],
    },
    "no node": with_change(sender="nobody"),
    "a date that is none": with_change(sender=NODE, closureDate="soon"),
    "deep": lambda page: {**page, "changes": [[[[[[[[[[]]]]]]]]]]},
}


@pytest.mark.parametrize("lie", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_no_page(lie: Callable[[Any], Any], alice: Party, twin: Party) -> None:
    """The service is then away, asked again now and then, and believed once it is sane."""
    await twin.view.write_own("a", b"one")
    await alice.has("a", b"one")
    gated = alice.wire._always["/getChanges"]
    await alice.stop()
    await twin.view.write_own("b", b"one")
    alice.wire.always("/getChanges", altered(alice, lie))
    await alice.follow(until=State.AWAY)
    assert (await alice.view.read_own("a")).content == b"one"
    alice.wire.always("/getChanges", gated)
    await alice.is_in(State.LIVE)
    assert set(alice.view.own()) == {"a", "b"}


HARMLESS: dict[str, Callable[[Any], Any]] = {
    "a later kind": with_change(kind="later"),
    "the software's own": with_change(secretId=".smfs/later"),
    "no box": with_change(secretId="x", secret={"no": "box"}),
    "an odd box": with_change(secretId="x", secret={"referencePoint": "00", "a": 1}),
    "a stranger's": with_change(**{"from": NODE}, secretId="x"),
    "a copy for nobody": with_change(secretId=".smfs/sent/nobody/x"),
    "an odd id": with_change(secretId="\ud800/../\u0000"),
    "gone before it came": with_change(secretId="x", gone=True),
    "a stranger gone": with_change(recipient=NODE, gone=True),
    "an endless date": with_change(sender=NODE, closureDate=1e300),
}


@pytest.mark.parametrize("lie", HARMLESS.values(), ids=HARMLESS)
async def test_what_is_odd_does_not_hide_the_rest(
    lie: Callable[[Any], Any], alice: Party, twin: Party
) -> None:
    """The other changes of the page are taken over, and what cannot be opened says so."""
    gated = alice.wire._always["/getChanges"]
    await alice.stop()
    alice.wire.next("/getChanges", altered(alice, lie))
    await twin.view.write_own("a", b"one")
    await alice.follow()
    await alice.has("a", b"one")
    if "x" in alice.view.own():
        with pytest.raises(errors.SmfsError):
            await alice.view.read_own("x")
    alice.wire.always("/getChanges", gated)
    await twin.view.write_own("c", b"one")
    await alice.has("c", b"one")


async def test_an_older_envelope_under_a_newer_revision_is_refused(
    alice: Party, twin: Party
) -> None:
    """The service cannot bring back what was replaced, nor what was deleted."""
    pages: list[Any] = []

    def keep(page: Any) -> Any:
        pages.append(page)
        return page

    await alice.stop()
    alice.wire.always("/getChanges", altered(alice, keep))
    await alice.follow()
    await twin.view.write_own("a", b"old")
    await alice.has("a", b"old")
    [old] = [each for page in pages for each in page["changes"] if each.get("secretId") == "a"]
    await twin.view.write_own("a", b"new")
    await alice.has("a", b"new")
    await alice.stop()
    again = with_change(secretId="a", secret=old["secret"])
    alice.wire.always("/getChanges", altered(alice, again))
    await alice.follow()
    with pytest.raises(errors.RolledBack):
        await alice.view.read_own("a")
