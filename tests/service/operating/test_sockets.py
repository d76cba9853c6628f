"""The layer behind the server that `smfs serve` uses, over TCP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest

from smfs.protocol import canonical, requests
from smfs.service.operating import Operating
from tests.service.operating.backed import figure, parsed
from tests.service.test_http import serving

pytestmark = pytest.mark.anyio

NODE_ID = json.dumps({"authCode": requests.AUTH_CODE_NODE_ID})
JSON = {"content-type": "application/json"}


@pytest.fixture
def anyio_backend() -> str:
    """That server runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def app(operate: Callable[..., Operating]) -> Operating:
    """The layer around the service, which lets one address do two things at once."""
    return operate(address_open=2)


@pytest.fixture
async def http(app: Operating) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    async with (
        serving(app) as url,  # type: ignore[arg-type]
        httpx.AsyncClient(base_url=url, trust_env=False, headers=JSON, timeout=20) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_pages_are_read_as_a_whole_or_by_their_head(
    http: httpx.AsyncClient, path: str
) -> None:
    """On one connection, each answer ending where it says."""
    for _ in range(3):
        head, whole = await http.head(path), await http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert (whole.status_code, len(whole.content) > 0) == (200, True)


async def test_a_refused_upload_is_no_harm_to_the_next_request(
    http: httpx.AsyncClient, app: Operating
) -> None:
    """What was not read of it is not taken for a request."""
    body = b"x" * 1_000_000
    app.refuse()
    refused = await http.post("/setSecret", content=body)
    assert (refused.status_code, refused.headers["connection"]) == (503, "close")
    assert (await http.get("/healthz")).status_code == 200


async def test_who_hangs_up_gives_the_place_back(
    http: httpx.AsyncClient, app: Operating, alice: Any, follow: Callable[..., Any]
) -> None:
    """A waiting feed whose client is gone is open no more."""
    follower = follow(alice)
    await follower.catch_up()

    async def wait() -> None:
        request = follower.request(wait=600_000)
        await http.post("/getChanges", content=canonical.encode(request.to_wire()))

    async def until(count: int) -> None:
        while True:
            samples = parsed((await http.get("/metrics")).text)
            if figure(samples, "smfs_waiting_feeds") == count:
                return

    with anyio.fail_after(20):
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await until(1)
                tasks.cancel_scope.cancel()
            await until(0)
    assert (await http.post("/getNodeId", content=NODE_ID)).status_code == 200
    assert app.open_requests == 0


async def test_an_end_of_the_service_answers_all(
    http: httpx.AsyncClient, app: Operating, alice: Any, follow: Callable[..., Any], service: Any
) -> None:
    """First those who wait; and then nobody is left."""
    follower = follow(alice)
    await follower.catch_up()
    statuses: list[int] = []

    async def wait() -> None:
        request = follower.request(wait=600_000)
        answer = await http.post("/getChanges", content=canonical.encode(request.to_wire()))
        statuses.append(answer.status_code)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            while app.open_requests == 0:
                assert (await http.get("/healthz")).status_code == 200
            app.drain()
            service.end_waiting()
    assert (statuses, app.open_requests) == ([200], 0)
