"""A service that is to end: it says so, then turns away, and finishes what it has begun."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smfs.protocol import requests
from smfs.service.operating import Operating
from tests.service.operating.backed import Samples, figure

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Figures = Callable[[Operating], Awaitable[Samples]]
Operate = Callable[..., Operating]
NODE_ID = json.dumps({"authCode": requests.AUTH_CODE_NODE_ID})


async def test_draining_only_tells_load_balancers(operate: Operate, ask: Ask) -> None:
    """What they send until they have noticed is answered."""
    app = operate()
    app.drain()
    ready = await ask(app, "/readyz", method="GET")
    assert (ready.status, ready.json) == (503, {"ready": False, "reason": "draining"})
    assert (await ask(app, "/healthz", method="GET")).status == 200
    assert (await ask(app, "/getNodeId", NODE_ID)).status == 200


async def test_what_comes_at_the_end_is_turned_away(
    operate: Operate, ask: Ask, figures: Figures
) -> None:
    """To another replica, on another connection; probes and figures go on."""
    app = operate()
    app.refuse()
    answer = await ask(app, "/getNodeId", NODE_ID)
    assert (answer.status, answer.json) == (503, {"error": "The service is stopping!"})
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
    assert (await ask(app, "/readyz", method="GET")).status == 503
    assert (await ask(app, "/healthz", method="GET")).status == 200
    assert figure(await figures(app), "smfs_limited_total", reason="draining") == 1


async def test_what_is_under_way_is_finished(
    operate: Operate, waiting: Any, ask: Ask, service: Any
) -> None:
    """And it can be seen when all is done."""
    app = operate()
    async with waiting(app) as call:
        app.refuse()
        assert app.open_requests == 1
        service.end_waiting()
    assert (call.status, app.open_requests) == (200, 0)


async def test_a_server_can_start_and_stop_the_service_through_it(operate: Operate) -> None:
    """What is no request goes through as it is."""
    seen: list[Any] = []

    class Inner:
        async def __call__(self, *arguments: Any) -> None:
            seen.append(arguments)

    app = operate()
    app._service = Inner()  # type: ignore[assignment]
    arguments = ({"type": "lifespan"}, object(), object())
    await app(*arguments)  # type: ignore[arg-type]
    assert seen == [arguments]
