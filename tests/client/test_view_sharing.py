"""What a view knows of senders, recipients and what is shared, for one time or for longer."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from smfs import errors
from smfs.client.view import View

pytestmark = pytest.mark.anyio


# --- sharing --------------------------------------------------------------------------------------


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


# --- one-time secrets -----------------------------------------------------------------------------


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
