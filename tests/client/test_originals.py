"""How the original service is recognized, and what is not sent there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smfs import errors
from smfs.client import connection
from smfs.client.client import Client
from smfs.protocol import limits
from tests.client.conftest import Passing

pytestmark = pytest.mark.anyio


async def test_who_has_no_discovery_is_an_original(alice: Client, wire: Any) -> None:
    """Who has no discovery is an original."""
    wire.is_original = True
    assert await alice.discover() is None
    assert await alice.discover() is None
    assert wire.count("/.well-known/smfs") == 1


@pytest.mark.parametrize("body", [b"<html>hello", b"{}", b"[]", b'{"smfs":2}'])
async def test_a_page_at_that_address_is_no_discovery(
    alice: Client, wire: Any, faults: Any, body: bytes
) -> None:
    """A page at that address is no discovery."""
    wire.always("/.well-known/smfs", faults.answers(200, body))
    assert await alice.discover() is None


async def test_who_seems_an_original_is_asked_again_after_a_minute(
    alice: Client, wire: Any, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been the page of a network that wants a password first."""
    wire.always("/.well-known/smfs", faults.answers(200, b"<html>Welcome"))
    assert await alice.discover() is None
    wire.mend()
    assert await alice.discover() is None
    monkeypatch.setattr(connection, "_ORIGINAL_S", 0)
    assert await alice.discover() is not None


async def test_a_service_that_is_away_is_not_taken_for_an_original(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A service that is away is not taken for an original."""
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.discover()
    wire.mend()
    assert await alice.discover() is not None


async def test_ids_that_break_an_original_are_not_sent_there(alice: Client, wire: Any) -> None:
    """Ids that break an original are not sent there."""
    wire.is_original = True
    for call in (
        alice.set_secret("constructor", "text"),
        alice.get_secret("__proto__"),
        alice.delete_secret("toString"),
        alice.share_secret_to("b1" * 32, "valueOf", "text"),
    ):
        with pytest.raises(errors.UnsafeSecretId):
            await call
    assert set(wire.seen) == {"/.well-known/smfs"}


async def test_an_id_that_is_too_long_is_not_sent_to_ours(alice: Client, wire: Any) -> None:
    """Nobody knows what an original takes."""
    longest = "x" * limits.LONGEST_ID_BYTES
    await alice.set_secret(longest, "text")
    wire.seen.clear()
    with pytest.raises(errors.IdTooLong):
        await alice.set_secret(longest + "x", "text")
    assert not set(wire.seen) - {"/.well-known/smfs"}


async def test_an_original_is_not_asked_to_un_share(alice: Client, bob: Client, wire: Any) -> None:
    """An original is not asked to un-share."""
    wire.is_original = True
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "text")
    with pytest.raises(errors.UnsupportedByService):
        await bob.delete_shared_secret(alice, "id")
    assert "/deleteSharedSecret" not in wire.seen
    await bob.delete_shared_secret(alice, "id", force=True)
    assert "/deleteSharedSecret" in wire.seen


@pytest.mark.parametrize("content", [b"a" * 49_001, b"\xff" * 36_001])
async def test_content_too_large_for_an_original_is_not_sent(
    alice: Client, wire: Any, content: bytes
) -> None:
    """Content too large for an original is not sent."""
    wire.is_original = True
    with pytest.raises(errors.TooLarge):
        await alice.set_secret("id", content)
    assert "/setSecret" not in wire.seen


@pytest.mark.parametrize("content", [b"a" * 49_000, b"\xff" * 36_000])
async def test_content_of_the_limit_fits_into_an_original(
    alice: Client, wire: Any, content: bytes
) -> None:
    """Content of the limit fits into an original."""
    wire.is_original = True
    lengths = []

    async def measure(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        lengths.append(len(request.content))
        return await pass_on(request)

    wire.always("/setSecret", measure)
    await alice.set_secret("i" * 250, content)
    assert max(lengths) <= 102_400
