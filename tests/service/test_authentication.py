"""Who is let in, once, and what is remembered of it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smfs.protocol import canonical, requests, signing
from smfs.service import Service
from smfs.service.authentication import Evidence, Refused
from tests.service.places import Place, count

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
REPLAY = "Error on authenticateRequest! Multiple use of signature detected!"
LATE = "Error on authenticateRequest! Invalid Timestamp!"
MISFIT = "Error on authenticateRequest! Invalid Signature!"
NO_CODE = "Error on authenticateRequest! Invalid AuthCode!"


@pytest.fixture
async def code(alice: Any, service: Service) -> str:
    """A code that opens one space."""
    await alice.accept(service.node_id)
    await alice.do(requests.CreateAuthCode, action="openSecretSpace")
    answer = await alice.do(
        requests.GetSecretFrom, from_id=service.node_id, secret_id="openSecretSpaceAuthCode"
    )
    text: str = answer.opened(alice.identity)
    return text


@pytest.mark.parametrize(
    ("later", "refusal"),
    [(0, REPLAY), (2 * signing.FRAME_MS - 1, REPLAY), (signing.REPLAY_WINDOW_MS, LATE)],
)
async def test_every_request_counts_once(
    alice: Any, service: Service, clock: Any, later: int, refusal: str
) -> None:
    """While its timestamp is good it is refused as a replay; once it is forgotten, as too late."""
    clock.now_ms = signing.frame(clock.now_ms)
    request = alice.signed(requests.SetSecret, secret_id="x", secret="y")
    assert (await alice.send(request)).error is None
    clock.now_ms += later
    await service.sweep()
    assert (await alice.send(request)).error == refusal


async def test_the_clock_is_looked_at_once(
    alice: Any, service: Service, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came too early by it is told so, and not that his signature is wrong, though it moves."""
    request = alice.signed(requests.GetSecretSpace)
    earlier = itertools.chain([clock.now_ms - 2 * signing.FRAME_MS], itertools.repeat(clock.now_ms))
    monkeypatch.setattr(service._worker, "_now", lambda: next(earlier))
    assert (await alice.send(request)).error == LATE


@pytest.mark.parametrize("frames", [-2, -1, 0, 1, 2])
async def test_the_frames_around_now_are_good(alice: Any, clock: Any, frames: int) -> None:
    """One before and one after, and nothing in between two."""
    stamp = signing.frame(clock.now_ms) + frames * signing.FRAME_MS
    good = await alice.ask(requests.GetSecretSpace, timestamp=stamp)
    assert good.error == (None if abs(frames) <= 1 else LATE)
    between = await alice.ask(requests.GetSecretSpace, timestamp=stamp + 1)
    assert between.error == LATE


async def test_a_refused_operation_has_used_its_signature(alice: Any) -> None:
    """What failed is not tried again by a replay, when it could succeed."""
    request = alice.signed(requests.GetSecret, secret_id="x")
    assert "did not exist" in (await alice.send(request)).error
    await alice.set("x", "y")
    assert (await alice.send(request)).error == REPLAY


async def test_a_refused_signature_is_refused_again(alice: Any) -> None:
    """As the original does; and it leaves no trace in the database, which strangers could fill."""
    request = alice.signed(requests.GetSecret, secret_id="x")
    changed = dataclasses.replace(request, secret_id="y")
    assert (await alice.send(changed)).error == MISFIT
    assert (await alice.send(changed)).error == REPLAY


async def test_strangers_cannot_fill_the_database(alice: Any, place: Place) -> None:
    """A request that is not let in is not stored, and only so many are kept in memory."""
    before = count(place, "used_signatures")
    for number in range(20):
        request = alice.signed(requests.GetSecret, secret_id="x")
        await alice.send(dataclasses.replace(request, secret_id=f"{number}"))
    assert count(place, "used_signatures") == before
    refused = Refused()
    for number in range(20_000):
        refused.add(Evidence(number.to_bytes(64, "big"), is_timely=True, fits=False))
    assert (0).to_bytes(64, "big") not in refused
    assert (19_999).to_bytes(64, "big") in refused
    assert len(refused._seen) == 10_000


async def test_old_signatures_are_swept_away(
    alice: Any, service: Service, clock: Any, place: Place
) -> None:
    """Once their timestamps would be refused anyway."""
    for _ in range(5):
        await alice.set("x", "y")
    clock.now_ms = signing.frame(clock.now_ms) + signing.REPLAY_WINDOW_MS - 1
    await service.sweep()
    assert count(place, "used_signatures") >= 5
    clock.now_ms += 1
    await service.sweep()
    assert count(place, "used_signatures") == 0


async def test_one_node_cannot_speak_for_another(alice: Any, bob: Any) -> None:
    """A request under a foreign key is refused, whoever signs it."""
    request = bob.signed(requests.DeleteSecretSpace, public_key=alice.node_id)
    assert (await bob.send(request)).error == MISFIT
    assert (await alice.space())["meta"]["id"] == alice.node_id


async def test_a_code_survives_every_request_that_fails(
    code: str, node: Callable[..., Any], clock: Any
) -> None:
    """A bad time, a bad signature and a date that has passed leave it to be used."""
    named = {"auth_code": code, "closure_date": None}
    late = node().signed(requests.OpenSecretSpace, **named, timestamp=180_000)
    assert (await node().send(late)).error == LATE
    misfit = dataclasses.replace(late, timestamp=signing.frame(clock.now_ms))
    misfit = dataclasses.replace(misfit, signature="00" * 64)
    assert (await node().send(misfit)).error == MISFIT
    passed = await node().ask(requests.OpenSecretSpace, **{**named, "closure_date": 1})
    assert passed.error == "ClosureDate has already passed!"
    carol = node()
    assert (await carol.ask(requests.OpenSecretSpace, **named)).error is None
    assert "owner" in (await carol.space())["meta"]
    assert (await node().ask(requests.OpenSecretSpace, **named)).error == NO_CODE


async def test_a_code_is_good_for_its_action_only(
    code: str, service: Service, ask: Ask, node: Callable[..., Any]
) -> None:
    """Presented elsewhere it is refused and lives on; in capitals it is another text."""
    wire = canonical.encode({"authCode": code})
    assert (await ask(service, "/getNodeId", wire)).error == NO_CODE
    capitals = await node().ask(requests.OpenSecretSpace, auth_code=code.upper(), closure_date=None)
    assert capitals.error == (NO_CODE if code != code.upper() else None)
    good = await node().ask(requests.OpenSecretSpace, auth_code=code, closure_date=None)
    assert good.error is None
