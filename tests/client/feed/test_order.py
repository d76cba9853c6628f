"""What is done here and what the feed tells agree, in whatever order they arrive."""

from __future__ import annotations

import anyio
import pytest

from smfs import errors
from smfs.client.known import Changed, Key
from tests.client.following import Crowd, Party, deaf, held

pytestmark = pytest.mark.anyio


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


async def test_a_page_from_before_our_acceptance_takes_no_sender_away(
    alice: Party, twin: Party, bob: Party
) -> None:
    """Who is refused and accepted again is there, however late the refusal is told."""
    await bob.view.refresh()
    await alice.view.accept(bob.id, None)
    async with deaf(alice, twin) as told:
        await alice.view.deny(bob.id)
        await told.wait()
        await alice.view.accept(bob.id, None)
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
