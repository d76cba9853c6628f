"""A service that hangs: who asks right after a deadline does not wait for another one."""

from __future__ import annotations

import httpx
import pytest
import trio
import trio.testing

from smfs.client.client import create_client
from smfs.crypto.identity import Identity
from smfs.errors import DeadlineExceeded

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
