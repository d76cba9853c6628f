"""A view whose client moves to another service, or loses its space, or is not the only one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from smfs import errors
from smfs.client.embedded import embedded_transport
from smfs.client.feed import State
from smfs.client.view import View
from smfs.service import Service, create_service
from tests.client.conftest import Clock, Faults
from tests.client.following import ALICE, Crowd, Party

pytestmark = pytest.mark.anyio

OTHER = "http://other.test"


@dataclass
class ByHost(httpx.AsyncBaseTransport):
    """The way to two services."""

    one: httpx.AsyncBaseTransport
    other: httpx.AsyncBaseTransport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """To that of the request's host."""
        way = self.other if request.url.host == "other.test" else self.one
        return await way.handle_async_request(request)


@pytest.fixture
async def other(tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    """Another service."""
    async with create_service(tmp_path / "other" / "service.db", now=clock) as service:
        yield service


async def test_who_moves_follows_the_other_service(alice: Party, other: Service) -> None:
    """At once: what the old one had is read no more."""
    alice.wire.inner = ByHost(alice.wire.inner, embedded_transport(other))
    await alice.view.write_own("a", b"old")
    await alice.has("a", b"old")
    await alice.view.client.update_server_url(OTHER)
    with pytest.raises(errors.SecretNotFound):
        await alice.view.read_own("a")
    await alice.view.write_own("a", b"new")
    await alice.is_in(State.LIVE)
    assert (await alice.view.read_own("a")).content == b"new"
    assert alice.view.source == "live"


async def test_who_moves_away_from_a_dead_service_waits_for_nothing(
    alice: Party, other: Service
) -> None:
    """The pause after a failure was the old one's."""
    alice.wire.inner = ByHost(alice.wire.inner, embedded_transport(other))
    alice.wire.always("/getChanges", Faults.never_sent)
    alice.view._feed.doubt()
    await alice.is_in(State.AWAY)
    alice.wire.mend()
    await alice.view.client.update_server_url(OTHER)
    await alice.is_in(State.LIVE)


async def test_what_the_old_service_had_stands_for_nothing_at_a_dead_one(
    alice: Party, other: Service
) -> None:
    """Which took the space, and was not heard of since."""
    alice.wire.inner = ByHost(alice.wire.inner, embedded_transport(other))
    await alice.view.write_own("a", b"old")
    await alice.has("a", b"old")
    alice.wire.always("/getChanges", Faults.never_sent)
    await alice.view.client.update_server_url(OTHER)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.read_own("a")
    assert alice.view.age() is None


async def test_a_page_that_comes_after_the_move_says_nothing(
    crowd: Crowd, twin: Party, other: Service
) -> None:
    """It is the old service's, and was asked for before anything was known."""
    await twin.view.write_own("a", b"old")
    alice = crowd.join(ALICE)
    alice.wire.inner = ByHost(alice.wire.inner, embedded_transport(other))
    async with alice.answered.closed() as answered:
        await alice.follow(until=State.STARTING)
        await answered.wait()
        await alice.view.client.update_server_url(OTHER)
        generation = alice.view.generation
    await alice.is_in(State.LIVE)
    assert alice.lines(generation) == []
    assert alice.view.own() == {}


async def test_a_space_that_was_erased_is_read_no_more(alice: Party) -> None:
    """The service was reached, and has said that there is none."""
    await alice.view.write_own("a", b"text")
    await alice.has("a", b"text")
    await alice.view.client.erase_from_server()
    await alice.is_in(State.AWAY)
    with pytest.raises(errors.SpaceNotFound):
        await alice.view.read_own("a")
    with pytest.raises(errors.SpaceNotFound):
        await alice.view.refresh()


async def test_every_view_of_a_client_doubts_a_silent_service(alice: Party, crowd: Crowd) -> None:
    """Not only the last one that was made; and none that follows no more."""
    other = Party(View(alice.view.client), alice.wire, crowd.start)
    await other.follow()
    alice.wire.always("*", Faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.client.get_secret("a")
    assert (alice.view.is_live, other.view.is_live) == (False, False)
    await other.stop()
    assert alice.view._feed in alice.view._envelopes.session.followers
    assert other.view._feed not in alice.view._envelopes.session.followers
