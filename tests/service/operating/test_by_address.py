"""Limits by client address: what one may ask at once and in time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from smfs.errors import InvalidInput
from smfs.protocol import requests
from smfs.service.operating import Operating
from tests.service.operating.backed import Samples, figure

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Figures = Callable[[Operating], Awaitable[Samples]]
Operate = Callable[..., Operating]
NODE_ID = json.dumps({"authCode": requests.AUTH_CODE_NODE_ID})


async def test_who_asks_too_often_is_told_when_to_come_back(
    operate: Operate, ask: Ask, ticks: Any, figures: Figures, coming_from: Any
) -> None:
    """In whole seconds, after which it works."""
    app = operate(address_rate=0.4, address_burst=2)
    far = coming_from(app, "192.0.2.7")
    answers = [await ask(far, "/getNodeId", NODE_ID) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].json == {"error": "Too many requests!"}
    assert answers[2].headers["content-type"] == "application/json; charset=utf-8"
    assert answers[2].headers["retry-after"] == "3"
    ticks.seconds += 3
    assert (await ask(far, "/getNodeId", NODE_ID)).status == 200
    samples = await figures(app)
    assert figure(samples, "smfs_limited_total", reason="address_rate") == 1
    assert figure(samples, "smfs_requests_total", route="getNodeId", status="429") == 1
    # What was refused at once would make the service look fast.
    assert figure(samples, "smfs_request_seconds_count", route="getNodeId") == 3


async def test_a_short_wait_is_a_second(operate: Operate, ask: Ask) -> None:
    """No `Retry-After` of 0, which would be as good as none."""
    app = operate(address_rate=50)
    answers = [await ask(app, "/getNodeId", NODE_ID) for _ in range(51)]
    assert [answer.status for answer in answers] == [200] * 50 + [429]
    assert answers[50].headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8::1", "2001:db8::ffff:1:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("unix", "x" * 70_000, True),
    ],
)
async def test_who_counts_as_one_client(
    operate: Operate, ask: Ask, coming_from: Any, one: str, other: str, are_one: Any
) -> None:
    """An IPv4 address, or the /64 of one IPv6 customer; and all that are no address at all."""
    app = operate(address_rate=0.01, address_burst=1)
    assert (await ask(coming_from(app, one), "/getNodeId", NODE_ID)).status == 200
    answer = await ask(coming_from(app, other), "/getNodeId", NODE_ID)
    assert answer.status == (429 if are_one else 200)


async def test_a_client_without_an_address_is_not_limited(
    operate: Operate, ask: Ask, coming_from: Any
) -> None:
    """Behind a socket that is a file all would be one."""
    app = coming_from(operate(address_rate=0.01, address_burst=1, address_open=1), "")
    statuses = [(await ask(app, "/getNodeId", NODE_ID)).status for _ in range(3)]
    assert statuses == [200] * 3


async def test_so_many_requests_of_an_address_are_open_at_once(
    operate: Operate, ask: Ask, coming_from: Any, waiting: Any, figures: Figures
) -> None:
    """One that waits keeps a place, and gives it back when it is answered."""
    app = operate(address_open=1)
    same, other = coming_from(app, "192.0.2.7"), coming_from(app, "192.0.2.8")
    async with waiting(app):
        refused = await ask(same, "/getNodeId", NODE_ID)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert (await ask(other, "/getNodeId", NODE_ID)).status == 200
    assert (await ask(same, "/getNodeId", NODE_ID)).status == 200
    samples = await figures(app)
    assert figure(samples, "smfs_limited_total", reason="address_open") == 1


async def test_a_cancelled_request_gives_its_place_back(
    operate: Operate, ask: Ask, alice: Any, follow: Any, call: Any, figures: Figures
) -> None:
    """A server cancels those whose client is gone, or that take too long at the end."""
    app = operate(address_open=1)
    follower = follow(alice)
    await follower.catch_up()
    for _ in range(3):
        one = call()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.run, app, follower.request(wait=600_000))
            with anyio.fail_after(20):
                await one.waits.wait()
            assert app.open_requests == 1
            tasks.cancel_scope.cancel()
        assert app.open_requests == 0
    samples = await figures(app)
    assert figure(samples, "smfs_waiting_feeds") == 0
    assert figure(samples, "smfs_limited_total", reason="address_open") == 0
    assert figure(samples, "smfs_requests_total", route="getChanges", status="499") == 3


async def test_many_addresses_take_bounded_memory(
    operate: Operate, ask: Ask, coming_from: Any
) -> None:
    """Those that asked last are remembered."""
    app = operate(address_rate=0.01, address_burst=1, most_addresses=10)
    for number in range(100):
        answer = await ask(coming_from(app, f"192.0.2.{number}"), "/x")
        assert answer.status == 404
    assert app._limits._buckets is not None
    assert len(app._limits._buckets) == 10
    assert (await ask(coming_from(app, "192.0.2.99"), "/x")).status == 429


@pytest.mark.parametrize("limits", [{"address_rate": 0}, {"address_open": 0}])
async def test_limits_that_let_nothing_through_are_refused(operate: Operate, limits: Any) -> None:
    """At the start."""
    with pytest.raises(InvalidInput):
        operate(**limits)
