"""A service that hangs: who asks right after a deadline does not wait for another one."""

from __future__ import annotations

import httpx
import pytest
import trio
import trio.testing

from smfs.client.client import create_client
from smfs.crypto.identity import Identity
from smfs.errors import DeadlineExceeded, SmfsError

pytestmark = pytest.mark.trio


class Hanging(httpx.AsyncBaseTransport):
    """Takes every request and answers none."""

    def __init__(self) -> None:
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        self.requests += 1
        await trio.sleep_forever()
        raise AssertionError


async def test_a_deadline_is_waited_for_once(autojump_clock: trio.testing.MockClock) -> None:
    """The kernel looks names up one after the other: ten of them would wait ten deadlines."""
    transport = Hanging()
    key = Identity.generate().secret_key_hex
    async with create_client("http://hanging", key, transport=transport, deadline=10) as client:
        started = trio.current_time()
        for _ in range(10):
            with pytest.raises(DeadlineExceeded):
                await client.get_secret("a")
        assert trio.current_time() - started == pytest.approx(10)
        asked = transport.requests

        await trio.sleep(1.1)
        with pytest.raises(DeadlineExceeded):
            await client.get_secret("a")
        assert transport.requests > asked


class Slow(httpx.AsyncBaseTransport):
    """Answers all but what is slow."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        if b'"slow"' in request.content:
            await trio.sleep_forever()
        return httpx.Response(200, json={"error": "The secret doesn't exist!"}, request=request)


async def test_one_slow_answer_makes_no_service_silent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Who is answered before and after that hears nothing of it."""
    key = Identity.generate().secret_key_hex
    heard: list[type[Exception]] = []

    async def ask(secret_id: str) -> None:
        try:
            await client.get_secret(secret_id)
        except SmfsError as error:
            heard.append(type(error))

    async with (
        create_client("http://slow", key, transport=Slow(), deadline=2) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, "slow")
        for _ in range(40):
            await trio.sleep(0.1)
            await ask("fast")
    assert heard.count(DeadlineExceeded) == 1
    assert len(set(heard)) == 2


async def test_a_silence_ends_with_the_loop_that_has_seen_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each has a clock of its own, and the next one's may show less."""
    key = Identity.generate().secret_key_hex
    async with create_client("http://slow", key, transport=Slow(), deadline=2) as client:
        client.connection._silent_since = trio.current_time() + 1000
        with pytest.raises(SmfsError) as found:
            await client.get_secret("fast")
    assert not isinstance(found.value, DeadlineExceeded)
