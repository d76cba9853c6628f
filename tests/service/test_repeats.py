"""One-time secrets whose answer was lost are answered once more, to whoever asked first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from smfs.protocol import discovery, requests, signing
from smfs.service import Service
from tests.service.places import Place, count

pytestmark = pytest.mark.anyio

GONE = 'Secret with secretId "once" did not exist!'


@dataclass(frozen=True)
class Exchange:
    """A request and its answer."""

    request: Any
    answer: Any


@pytest.fixture
async def first(alice: Any, bob: Any) -> Exchange:
    """The request that consumed bob's secret."""
    await alice.accept(bob)
    await bob.share(alice, "once", "y", once=True)
    request = alice.signed(requests.GetSecretFrom, from_id=bob.node_id, secret_id="once")
    return Exchange(request, await alice.send(request))


async def repeat(node: Any, lost: Exchange, **fields: Any) -> Any:
    """Asks for the answer to that request once more."""
    asked = lost.request
    named = {"from_id": asked.from_id, "secret_id": asked.secret_id, "first": asked.signature}
    return await node.ask(requests.RepeatSecretFrom, **{**named, **fields})


async def test_the_answer_is_given_again(alice: Any, first: Exchange) -> None:
    """The same bytes, as often as they get lost; the case of the signature's hex is no matter."""
    for signature in (first.request.signature, first.request.signature.upper()):
        again = await repeat(alice, first, first=signature)
        assert again.body == first.answer.body
        assert again.opened(alice.identity) == "y"
        assert discovery.REVISION_HEADER not in again.headers


async def test_nobody_else_gets_it(alice: Any, bob: Any, first: Exchange) -> None:
    """Nor does who names another secret, another sender, or another request."""
    wrong = [
        await repeat(bob, first),
        await repeat(alice, first, from_id=alice.node_id),
        await repeat(alice, first, first="00" * 64),
    ]
    assert {answer.error for answer in wrong} == {GONE}
    other = await repeat(alice, first, secret_id="other")
    assert other.error == 'Secret with secretId "other" did not exist!'
    assert (await repeat(alice, first, secret_id="")).error == "No secretId provided!"


async def test_only_what_was_consumed_is_kept(alice: Any, bob: Any) -> None:
    """An ordinary secret can be asked for as ever."""
    await alice.accept(bob)
    await bob.share(alice, "once", "y")
    request = alice.signed(requests.GetSecretFrom, from_id=bob.node_id, secret_id="once")
    exchange = Exchange(request, await alice.send(request))
    assert (await repeat(alice, exchange)).error == GONE


async def test_it_is_forgotten_after_the_replay_window(
    service: Service, alice: Any, first: Exchange, clock: Any, place: Place
) -> None:
    """At once, and from the database by the next sweep."""
    clock.now_ms += signing.REPLAY_WINDOW_MS - 1
    await service.sweep()
    assert (await repeat(alice, first)).error is None
    clock.now_ms += 1
    assert (await repeat(alice, first)).error == GONE
    await service.sweep()
    assert count(place, "handed_out") == 0


async def test_it_is_given_after_a_restart(
    alice: Any, first: Exchange, restarting: Callable[[], Any]
) -> None:
    """Which may be why the answer was lost; also when the sender is accepted no more."""
    await alice.do(requests.DeleteSubSpace, from_id=first.request.from_id)
    async with restarting() as other:
        alice.app = other
        assert (await repeat(alice, first)).body == first.answer.body


async def test_it_goes_with_the_space(alice: Any, first: Exchange) -> None:
    """Everything of the node goes."""
    await alice.do(requests.DeleteSecretSpace)
    answer = await repeat(alice, first)
    assert answer.error == f'SecretSpace for "{alice.node_id}" did not exist!'
    await alice.open_space()
    assert (await repeat(alice, first)).error == GONE


async def test_no_hook_hears_of_it(
    alice: Any, bob: Any, first: Exchange, listener: Any, is_silent: Callable[..., Any]
) -> None:
    """The reading itself was told already."""
    await alice.do(
        requests.AddNotificationHook, type="log", target_id="this", notify_url=listener.url
    )
    listener.take(1)
    assert (await repeat(alice, first)).error is None
    assert (await repeat(alice, first, first="00" * 64)).error == GONE
    assert await is_silent(bob)
