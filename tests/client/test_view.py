"""The view against a running service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from smfs import errors
from smfs.client.client import Client
from smfs.client.view import View

pytestmark = pytest.mark.anyio

Make = Callable[..., Client]


@pytest.fixture
def twins_view(make_client: Make) -> View:
    """Alice's view on another machine."""
    return View(make_client(secret_key_hex="a1" * 32))


async def test_nothing_is_known_before_the_first_refresh(alices_view: View, wire: Any) -> None:
    """Nothing is known before the first refresh."""
    assert dict(alices_view.own()) == {}
    assert dict(alices_view.sent()) == {}
    assert dict(alices_view.senders()) == {}
    assert alices_view.state()["connection"] == "unknown"
    assert wire.seen == []


async def test_a_refresh_shows_what_is_there(alices_view: View, twins_view: View) -> None:
    """A refresh shows what is there."""
    written = await twins_view.write_own("a/b", b"text")
    await alices_view.refresh()
    version = alices_view.own()["a/b"]
    assert version.token == written.token
    assert version.size == 4
    assert version.sender == alices_view.node_id
    assert version.signed_at == written.signed_at
    assert version.changed_at * 1000 == version.signed_at
    assert version.problem is None


async def test_a_listing_is_current_for_its_time_to_live(
    alices_view: View, twins_view: View, wire: Any
) -> None:
    """A listing is current for its time to live."""
    await alices_view.refresh()
    await twins_view.write_own("id", b"text")
    await alices_view.refresh()
    assert dict(alices_view.own()) == {}
    assert wire.count("/getSecretSpace") == 2  # the first one opened the space
    await alices_view.refresh(max_age=0)
    assert list(alices_view.own()) == ["id"]


async def test_callers_at_the_same_time_share_a_request(alices_view: View, wire: Any) -> None:
    """Callers at the same time share a request."""
    await alices_view.refresh()
    before = wire.count("/getSecretSpace")
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(alices_view.refresh, 0)
    assert wire.count("/getSecretSpace") - before <= 2


async def test_a_write_is_known_at_once_and_the_next_listing_says_the_same(
    alices_view: View,
) -> None:
    """A write is known at once and the next listing says the same."""
    await alices_view.refresh()
    written = await alices_view.write_own("id", b"text")
    assert alices_view.own()["id"] == written
    before = alices_view.generation
    await alices_view.refresh(0)
    assert alices_view.own()["id"].token == written.token
    assert alices_view.generation == before


async def test_the_generation_grows_with_every_change(alices_view: View, twins_view: View) -> None:
    """The generation grows with every change."""
    await alices_view.refresh()
    seen = [alices_view.generation]

    async def step(change: Any) -> None:
        await change
        seen.append(alices_view.generation)

    await step(alices_view.write_own("id", b"1"))
    await step(alices_view.write_own("id", b"2"))
    await step(alices_view.delete_own("id"))
    await twins_view.write_own("id", b"3")
    await step(alices_view.refresh(0))
    await twins_view.write_own("id", b"4")
    await step(alices_view.read_own("id"))
    await step(alices_view.accept("b1" * 32, None))
    await step(alices_view.deny("b1" * 32))
    assert seen == sorted(set(seen))
    await alices_view.refresh(0)
    await alices_view.read_own("id")
    assert alices_view.generation == seen[-1]


async def test_the_maps_show_the_newest_state(alices_view: View) -> None:
    """And nobody who has them can change them."""
    await alices_view.write_own("a", b"1")
    own = alices_view.own()
    await alices_view.write_own("b", b"2")
    await alices_view.delete_own("a")
    assert list(own) == ["b"]
    with pytest.raises(TypeError):
        own["c"] = own["b"]  # type: ignore[index]


async def test_reading_gives_the_content_and_the_listed_version(alices_view: View) -> None:
    """Reading gives the content and the listed version."""
    written = await alices_view.write_own("id", b"\xff\0")
    reading = await alices_view.read_own("id")
    assert reading.content == b"\xff\0"
    assert reading.version.token == written.token
    assert alices_view.own()["id"] == reading.version
    assert "\\xff" not in repr(reading)


async def test_reading_finds_changes_made_elsewhere(alices_view: View, twins_view: View) -> None:
    """Reading finds changes made elsewhere."""
    await alices_view.write_own("id", b"old")
    await twins_view.write_own("id", b"new")
    assert (await alices_view.read_own("id")).content == b"new"
    await twins_view.delete_own("id")
    with pytest.raises(errors.SecretNotFound):
        await alices_view.read_own("id")
    assert dict(alices_view.own()) == {}


async def test_a_check_tells_the_version_or_that_there_is_none(alices_view: View) -> None:
    """A check tells the version or that there is none."""
    assert await alices_view.check_own("id") is None
    written = await alices_view.write_own("id", b"text")
    checked = await alices_view.check_own("id")
    assert checked is not None
    assert checked.token == written.token


async def test_a_check_fails_while_the_service_is_away(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """A check fails while the service is away."""
    await alices_view.refresh()
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alices_view.check_own("id")
    assert alices_view.state()["connection"] == "unreachable"
    assert "ServiceUnavailable" in alices_view.state()["lastError"]
    wire.mend()
    await alices_view.check_own("id")
    assert alices_view.state()["connection"] == "connected"


async def test_a_delete_of_what_is_missing_is_told(alices_view: View, twins_view: View) -> None:
    """A delete of what is missing is told."""
    await alices_view.write_own("id", b"text")
    await twins_view.delete_own("id")
    with pytest.raises(errors.SecretNotFound):
        await alices_view.delete_own("id")
    assert dict(alices_view.own()) == {}


async def test_a_write_is_not_undone_by_an_older_listing(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """A write is not undone by an older listing."""
    await alices_view.write_own("kept", b"old")
    await alices_view.write_own("gone", b"old")
    written = []

    async def change() -> None:
        written.append(await alices_view.write_own("kept", b"new"))
        written.append(await alices_view.write_own("made", b"new"))
        await alices_view.delete_own("gone")

    wire.next("/getSecretSpace", faults.after(change))
    await alices_view.refresh(0)
    assert {key: one.token for key, one in alices_view.own().items()} == {
        "kept": written[0].token,
        "made": written[1].token,
    }
    assert alices_view.own()["kept"].problem is None


async def test_writes_of_one_secret_at_once_leave_what_is_stored(
    alices_view: View, twins_view: View
) -> None:
    """Writes of one secret at once leave what is stored."""
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(alices_view.write_own, "id", b"%d" % number)
    known = alices_view.own()["id"]
    assert (await alices_view.read_own("id")).version.token == known.token
    assert (await twins_view.read_own("id")).version.token == known.token


async def test_a_lost_answer_to_a_write_changes_no_token(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """A lost answer to a write changes no token."""
    wire.next("/setSecret", faults.answer_lost)
    written = await alices_view.write_own("id", b"text")
    await alices_view.refresh(0)
    assert alices_view.own()["id"].token == written.token


# --- sharing ----------------------------------------------------------------------------------


async def test_sharing_keeps_a_copy(alices_view: View, bobs_view: View) -> None:
    """Sharing keeps a copy."""
    alice, bob = alices_view.node_id, bobs_view.node_id
    await alices_view.accept(bob, None)
    shared = await bobs_view.share(alice, "a/b", b"text")
    assert bobs_view.sent()[alice]["a/b"].token == shared.token
    assert dict(bobs_view.own()) == {}
    await bobs_view.refresh(0)
    assert bobs_view.sent()[alice]["a/b"].token == shared.token
    assert (await bobs_view.read_sent(alice, "a/b")).content == b"text"
    reading = await alices_view.read_from(bob, "a/b")
    assert reading.content == b"text"
    assert reading.version.sender == bob
    assert alices_view.senders()[bob].secrets["a/b"].token == reading.version.token


async def test_un_sharing_deletes_the_copy_too(alices_view: View, bobs_view: View) -> None:
    """Un-sharing deletes the copy too."""
    alice, bob = alices_view.node_id, bobs_view.node_id
    await alices_view.accept(bob, None)
    await bobs_view.share(alice, "id", b"text")
    await bobs_view.unshare(alice, "id")
    assert dict(bobs_view.sent()) == {}
    for call in (
        bobs_view.read_sent(alice, "id"),
        bobs_view.unshare(alice, "id"),
        alices_view.read_from(bob, "id"),
    ):
        with pytest.raises(errors.SecretNotFound) as caught:
            await call
        assert caught.value.subject == "id"


async def test_un_sharing_what_the_recipient_threw_away_deletes_the_copy(
    alices_view: View, bobs_view: View
) -> None:
    """Un-sharing what the recipient threw away deletes the copy."""
    alice, bob = alices_view.node_id, bobs_view.node_id
    await alices_view.accept(bob, None)
    await bobs_view.share(alice, "id", b"text")
    await alices_view.deny(bob)
    await bobs_view.unshare(alice, "id")
    assert dict(bobs_view.sent()) == {}


async def test_a_copy_that_fails_is_logged_and_no_error(
    alices_view: View, bobs_view: View, wire: Any, faults: Any, caplog: Any
) -> None:
    """A copy that fails is logged and no error."""
    alice, bob = alices_view.node_id, bobs_view.node_id
    await alices_view.accept(bob, None)
    wire.always("/setSecret", faults.never_sent)
    await bobs_view.share(alice, "id", b"canary-1185")
    assert (await alices_view.read_from(bob, "id")).content == b"canary-1185"
    assert "ServiceUnavailable" in caplog.text
    assert "canary-1185" not in caplog.text


async def test_a_refused_share_leaves_no_copy(alices_view: View, bobs_view: View) -> None:
    """A refused share leaves no copy."""
    await alices_view.refresh()
    with pytest.raises(errors.NotAccepted):
        await bobs_view.share(alices_view.node_id, "id", b"text")
    await bobs_view.refresh(0)
    assert dict(bobs_view.sent()) == {}


async def test_accepting_is_asked_back(alices_view: View, bobs_view: View, clock: Any) -> None:
    """Accepting is asked back."""
    bob = bobs_view.node_id
    until = clock.now_ms + 1_000_000
    await alices_view.accept(bob, until)
    assert alices_view.senders()[bob].closure_date == until
    await alices_view.accept(bob, until)
    with pytest.raises(errors.ClosureDateFixed):
        await alices_view.accept(bob, None)
    assert alices_view.senders()[bob].closure_date == until


async def test_denying_who_is_not_accepted_is_told(alices_view: View) -> None:
    """Denying who is not accepted is told."""
    with pytest.raises(errors.NotAccepted):
        await alices_view.deny("b1" * 32)


async def test_a_sender_who_is_gone_is_forgotten(
    alices_view: View, twins_view: View, bobs_view: View
) -> None:
    """A sender who is gone is forgotten."""
    bob = bobs_view.node_id
    await alices_view.accept(bob, None)
    await twins_view.deny(bob)
    with pytest.raises(errors.NotAccepted):
        await alices_view.read_from(bob, "id")
    assert dict(alices_view.senders()) == {}


async def test_an_acceptance_is_not_undone_by_an_older_listing(
    alices_view: View, bobs_view: View, wire: Any, faults: Any
) -> None:
    """An acceptance is not undone by an older listing."""
    await alices_view.accept("c1" * 32, None)

    async def change() -> None:
        await alices_view.accept(bobs_view.node_id, None)
        await alices_view.deny("c1" * 32)

    wire.next("/getSecretSpace", faults.after(change))
    await alices_view.refresh(0)
    assert list(alices_view.senders()) == [bobs_view.node_id]


async def test_a_check_says_what_sharing_would_say(
    alices_view: View, bobs_view: View, wire: Any
) -> None:
    """A check says what sharing would say."""
    alice = alices_view.node_id
    with pytest.raises(errors.SpaceNotFound):
        await bobs_view.check_share(alice, "id")
    await alices_view.refresh()
    with pytest.raises(errors.NotAccepted):
        await bobs_view.check_share(alice, "id")
    await alices_view.accept(bobs_view.node_id, None)
    await bobs_view.check_share(alice, "id", 1000)
    with pytest.raises(errors.TooLarge):
        await bobs_view.check_share(alice, "id", bobs_view.content_limit() + 1)
    assert "/shareSecretTo" not in wire.seen


async def test_towards_an_original_the_last_refusal_counts_for_a_while(
    alices_view: View, bobs_view: View, wire: Any, faults: Any
) -> None:
    """Towards an original the last refusal counts for a while."""
    wire.is_original = True
    alice = alices_view.node_id
    await alices_view.refresh()
    await bobs_view.check_share(alice, "id")
    with pytest.raises(errors.NotAccepted):
        await bobs_view.share(alice, "id", b"text")
    with pytest.raises(errors.NotAccepted):
        await bobs_view.check_share(alice, "id")
    await alices_view.accept(bobs_view.node_id, None)
    await bobs_view.share(alice, "id", b"text")
    await bobs_view.check_share(alice, "id")
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await bobs_view.check_share(alice, "id")


async def test_an_original_keeps_what_it_cannot_un_share(
    alices_view: View, bobs_view: View, wire: Any
) -> None:
    """An original keeps what it cannot un-share."""
    wire.is_original = True
    alice = alices_view.node_id
    await alices_view.accept(bobs_view.node_id, None)
    await bobs_view.share(alice, "id", b"text")
    with pytest.raises(errors.UnsupportedByService):
        await bobs_view.unshare(alice, "id")
    assert (await bobs_view.read_sent(alice, "id")).content == b"text"


# --- one-time secrets -------------------------------------------------------------------------


@pytest.fixture
async def once(alices_view: View, bobs_view: View) -> tuple[str, str]:
    """A one-time secret from Bob, as sender and id."""
    await alices_view.accept(bobs_view.node_id, None)
    await bobs_view.share(alices_view.node_id, "id", b"once", one_time=True)
    return bobs_view.node_id, "id"


async def test_a_one_time_secret_shows_and_leaves_no_copy(
    alices_view: View, bobs_view: View, once: tuple[str, str]
) -> None:
    """A one-time secret shows and leaves no copy."""
    await alices_view.refresh(0)
    version = alices_view.senders()[once[0]].secrets["id"]
    assert (version.one_time, version.size) == (True, 4)
    await bobs_view.refresh(0)
    assert dict(bobs_view.sent()) == {}


async def test_a_one_time_secret_replaces_the_copy_of_an_ordinary_one(
    alices_view: View, bobs_view: View
) -> None:
    """A one-time secret replaces the copy of an ordinary one."""
    await alices_view.accept(bobs_view.node_id, None)
    await bobs_view.share(alices_view.node_id, "id", b"text")
    await bobs_view.share(alices_view.node_id, "id", b"once", one_time=True)
    await bobs_view.refresh(0)
    assert dict(bobs_view.sent()) == {}


async def test_a_one_time_secret_is_consumed_once(alices_view: View, once: tuple[str, str]) -> None:
    """A one-time secret is consumed once."""
    assert (await alices_view.consume(*once)).content == b"once"
    assert dict(alices_view.senders()[once[0]].secrets) == {}
    with pytest.raises(errors.SecretNotFound):
        await alices_view.consume(*once)


async def test_of_many_who_consume_one_gets_it(
    alices_view: View, twins_view: View, once: tuple[str, str]
) -> None:
    """Of many who consume one gets it."""
    got: list[bytes | None] = []

    async def consume(view: View) -> None:
        try:
            got.append((await view.consume(*once)).content)
        except errors.SecretNotFound:
            got.append(None)

    async with anyio.create_task_group() as tasks:
        for view in (alices_view, twins_view) * 3:
            tasks.start_soon(consume, view)
    assert sorted(got, key=str) == [None] * 5 + [b"once"]


async def test_a_lost_answer_loses_no_one_time_secret(
    alices_view: View, once: tuple[str, str], wire: Any, faults: Any
) -> None:
    """A lost answer loses no one-time secret."""
    wire.next("/getSecretFrom", faults.answer_lost)
    assert (await alices_view.consume(*once)).content == b"once"


async def test_a_service_that_falls_silent_loses_no_one_time_secret(
    alices_view: View, once: tuple[str, str], wire: Any, faults: Any
) -> None:
    """A service that falls silent loses no one-time secret."""
    wire.next("/getSecretFrom", faults.answer_lost)
    wire.always("/getSecretFrom", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alices_view.consume(*once)
    wire.mend()
    assert (await alices_view.consume(*once)).content == b"once"
    with pytest.raises(errors.SecretNotFound):
        await alices_view.consume(*once)


async def test_a_cancelled_consumption_loses_nothing(
    alices_view: View, once: tuple[str, str], wire: Any
) -> None:
    """A cancelled consumption loses nothing."""
    with anyio.CancelScope() as scope:

        async def cancelled(request: Any, pass_on: Any) -> Any:
            response = await pass_on(request)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            return response

        wire.next("/getSecretFrom", cancelled)
        await alices_view.consume(*once)
    assert scope.cancelled_caught
    assert (await alices_view.consume(*once)).content == b"once"


async def test_a_secret_taken_by_another_is_not_handed_out_twice(
    alices_view: View, twins_view: View, once: tuple[str, str], wire: Any, faults: Any
) -> None:
    """A secret taken by another is not handed out twice."""
    wire.next("/getSecretFrom", *[faults.never_sent] * 4)
    with pytest.raises(errors.ServiceUnavailable):
        await alices_view.consume(*once)
    assert (await twins_view.consume(*once)).content == b"once"
    with pytest.raises(errors.SecretNotFound):
        await alices_view.consume(*once)


# --- limits and state -------------------------------------------------------------------------


async def test_the_limits_are_those_of_the_service(alices_view: View, wire: Any) -> None:
    """The limits are those of the service."""
    await alices_view.refresh()
    limit = alices_view.content_limit()
    assert limit == 1024 * 1024
    alices_view.check_size(b"\xff" * limit)
    with pytest.raises(errors.TooLarge):
        alices_view.check_size(b"a" * (limit + 1))


async def test_the_limits_of_an_original_are_lower(alices_view: View, wire: Any) -> None:
    """The limits of an original are lower."""
    wire.is_original = True
    await alices_view.refresh()
    assert alices_view.content_limit() == 49_000
    alices_view.check_size(b"a" * 49_000)
    for content in (b"a" * 49_001, b"\xff" * 36_001):
        with pytest.raises(errors.TooLarge):
            alices_view.check_size(content)


async def test_the_state_tells_no_secret(alices_view: View) -> None:
    """The state tells no secret."""
    await alices_view.write_own("name-7731", b"canary-7731")
    state = alices_view.state()
    assert state["service"] == "http://service.test"
    assert state["connection"] == "connected"
    assert state["lastError"] is None
    assert state["secrets"] == 1
    assert state["counters"]["requests"] > 0
    assert "7731" not in str(state)
    assert "canary" not in repr(alices_view.own())
