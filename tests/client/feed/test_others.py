"""What others do is known by the feed, and nobody is asked."""

from __future__ import annotations

import anyio
import pytest

from smfs import errors
from tests.client.conftest import Clock
from tests.client.following import Party

pytestmark = pytest.mark.anyio


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
    """Who accepts us is known; before anybody is refused, the service is asked."""
    await bob.view.refresh()
    with alice.asks("/checkShare"), pytest.raises(errors.NotAccepted):
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
    with alice.asks("/checkShare"), pytest.raises(errors.NotAccepted):
        await alice.view.check_share(bob.id, "a")


async def test_who_has_just_accepted_is_shared_with(alice: Party, bob: Party) -> None:
    """Though the feed has not told of that yet."""
    await bob.view.refresh()
    await bob.view.accept(alice.id, None)
    await alice.sees(lambda: bob.id in (alice.view._known.recipients or {}))
    alice.view._known.recipients = {}  # as if it had not
    with alice.asks("/checkShare"):
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
