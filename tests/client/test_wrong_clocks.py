"""A client whose clock is wrong learns the service's time."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smfs import errors
from tests.client.conftest import Make, Passing

pytestmark = pytest.mark.anyio
_A_DAY_MS = 86_400_000


@pytest.mark.parametrize("off", [_A_DAY_MS, -_A_DAY_MS])
async def test_a_wrong_clock_is_learnt_from_discovery(
    make_client: Make, wire: Any, clock: Any, off: int
) -> None:
    """A wrong clock is learnt from discovery."""
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + off)
    await client.set_secret("id", "text")
    assert await client.get_secret("id") == "text"
    assert wire.count("/.well-known/smfs") == 1
    assert wire.count("/getSecret") == 1


async def test_a_wrong_clock_is_learnt_from_the_date_of_the_refusal(
    make_client: Make, wire: Any, clock: Any
) -> None:
    """A wrong clock is learnt from the date of the refusal."""
    wire.is_original = True
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + _A_DAY_MS)

    async def dated(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        response = await pass_on(request)
        response.headers["date"] = "Mon, 24 Nov 2025 00:00:00 GMT"
        return response

    clock.now_ms = 1_763_942_400_000
    wire.always("/setSecret", dated)
    await client.set_secret("id", "text")
    assert await client.get_secret("id") == "text"


async def test_a_service_that_tells_no_time_keeps_its_refusal(
    make_client: Make, wire: Any, clock: Any
) -> None:
    """A service that tells no time keeps its refusal."""
    wire.is_original = True
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + _A_DAY_MS)
    with pytest.raises(errors.TimestampRefused):
        await client.get_secret("id")


async def test_what_was_learnt_does_not_change_what_is_signed(
    make_client: Make, clock: Any
) -> None:
    """What was learnt does not change what is signed."""
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + _A_DAY_MS)
    await client.set_secret("id", "text")
    stored = await client.envelopes.own("id")
    assert stored.signed_at == clock() + _A_DAY_MS
