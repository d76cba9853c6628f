"""HTTP as the original speaks it: statuses, pages, encodings and limits."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn

from smfs.protocol import canonical, limits, requests
from smfs.service import Service, ServiceOptions, create_service
from tests.service.places import POSTGRES, SQLITE, Place

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
NODE_ID = json.dumps({"authCode": requests.AUTH_CODE_NODE_ID})


async def test_an_answer_is_json_of_a_known_length(service: Service, ask: Ask) -> None:
    """Content type and length as the original gives them, and no CORS header ever."""
    answer = await ask(service, "/getNodeId", NODE_ID)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.json["serverNodeId"] == service.node_id


@pytest.mark.parametrize("pieces", [1, 2, 7, 50])
async def test_a_body_may_come_in_pieces(service: Service, ask: Ask, pieces: int) -> None:
    """However the network cuts it."""
    assert (await ask(service, "/getNodeId", NODE_ID, pieces=pieces)).status == 200


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)],
)
async def test_a_body_may_be_compressed(
    service: Service, ask: Ask, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    """As the original reads it."""
    body = compress(NODE_ID.encode())
    headers = {"content-encoding": coding}
    assert (await ask(service, "/getNodeId", body, headers=headers)).status == 200
    cut = await ask(service, "/getNodeId", body[:-9], headers=headers)
    assert cut.status == 400


async def test_what_inflates_too_far_is_refused(service: Service, ask: Ask) -> None:
    """A few kilobytes that stand for gigabytes are not unpacked."""
    body = gzip.compress(b" " * 50_000_000)
    answer = await ask(service, "/getNodeId", body, headers={"content-encoding": "gzip"})
    assert answer.status == 413


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "UTF-8", "utf-32"])
async def test_any_utf_will_do(service: Service, ask: Ask, charset: str) -> None:
    """A byte order mark is tolerated as well."""
    headers = {"content-type": f"application/json; charset={charset}"}
    text = "\ufeff" + NODE_ID if charset == "UTF-8" else NODE_ID
    assert (await ask(service, "/getNodeId", text.encode(charset), headers=headers)).status == 200


@pytest.mark.parametrize("path", ["/", "", "/getNodeId/", "/GETNODEID", "//getNodeId", "/a<b>"])
async def test_paths_are_matched_exactly(service: Service, ask: Ask, path: str) -> None:
    """Anything else is a small page that repeats it harmlessly."""
    answer = await ask(service, path, NODE_ID)
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<pre>Cannot POST {path.replace('<', '&lt;').replace('>', '&gt;')}</pre>" in answer.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_only_post_is_a_request(service: Service, ask: Ask, method: str) -> None:
    """Every other method gets 404, as from the original."""
    assert (await ask(service, "/getNodeId", method=method)).status == 404


async def test_options_names_the_method(service: Service, ask: Ask) -> None:
    """On a route; elsewhere there is nothing to name."""
    answer = await ask(service, "/getNodeId", method="OPTIONS")
    assert (answer.status, answer.headers["allow"], answer.body) == (200, "POST", b"POST")
    assert (await ask(service, "/unknown", method="OPTIONS")).status == 404


async def test_the_largest_body_is_taken_and_one_byte_more_is_not(
    place: Place, clock: Any, ask: Ask
) -> None:
    """Whether its length was announced or not."""
    options = ServiceOptions(body_bytes=1000)
    async with create_service(place, options=options, now=clock) as service:
        fits = NODE_ID.ljust(1000)
        assert (await ask(service, "/getNodeId", fits, pieces=3)).status == 200
        assert (await ask(service, "/getNodeId", fits + " ", pieces=3)).status == 413
        announced = {"content-length": "1001"}
        assert (await ask(service, "/getNodeId", b"", headers=announced)).status == 413


async def test_the_largest_content_fits(service: Service, alice: Any) -> None:
    """An envelope of 1 MiB that is no text goes in and out again."""
    characters = limits.DEFAULT_CONTENT_BYTES * 8 // 3
    await alice.set("large", "e" * characters)
    assert await alice.get("large") == "e" * characters


async def test_who_goes_away_early_leaves_nothing(service: Service, alice: Any) -> None:
    """A request whose body never came is no request."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/setSecret", "headers": []}
    await service(scope, receive, send)
    assert sent == []
    assert await alice.set("x", "y")


async def test_a_server_starts_and_stops_it(place: Place) -> None:
    """The lifespan protocol, as a server speaks it that knows nothing else of the service."""
    service = create_service(place)
    to_service, received = anyio.create_memory_object_stream[dict[str, Any]](2)
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async with to_service, received:
        await to_service.send({"type": "lifespan.startup"})
        await to_service.send({"type": "lifespan.shutdown"})
        await service({"type": "lifespan"}, received.receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_server_learns_that_it_cannot_start(tmp_path: Path) -> None:
    """In one line, which names what is wrong."""
    (tmp_path / "file").write_text("no directory")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await create_service(tmp_path / "file" / "service.db")({"type": "lifespan"}, receive, send)
    [message] = sent
    assert message["type"] == "lifespan.startup.failed"
    assert "cannot use the database" in message["message"]


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    """The service behind a real socket; yields its URL."""
    config = uvicorn.Config(service, port=0, log_config=None, lifespan="off", http="httptools")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    [listener] = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.shutdown()


@pytest.mark.parametrize(
    ("engine", "anyio_backend"),
    [(SQLITE, "asyncio"), (POSTGRES, "asyncio")],
    indirect=True,
    scope="module",
)
class TestRealSockets:
    """Over TCP, through the server that `smfs serve` uses, which runs on asyncio only."""

    @pytest.fixture
    async def http(self, service: Service) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the service."""
        async with (
            serving(service) as url,
            httpx.AsyncClient(base_url=url, trust_env=False) as client,
        ):
            yield client

    async def test_many_requests_share_a_connection(
        self, http: httpx.AsyncClient, node: Callable[..., Any]
    ) -> None:
        """Kept alive, refusals in between."""
        for _ in range(20):
            assert (await http.post("/getNodeId", content=NODE_ID)).status_code == 400
            headers = {"content-type": "application/json"}
            answer = await http.post("/getNodeId", content=NODE_ID, headers=headers)
            assert answer.status_code == 200
            assert (await http.get("/unknown")).status_code == 404

    async def test_a_body_far_over_the_limit_is_refused(self, http: httpx.AsyncClient) -> None:
        """The sender hears 413, and the service lives on."""
        refused = await http.post("/setSecret", content=b"x" * 20_000_000)
        assert refused.status_code == 413
        assert (await http.get("/.well-known/smfs")).status_code == 200

    async def test_many_at_once(self, http: httpx.AsyncClient, alice: Any) -> None:
        """Every request of many gets its own answer, and everything is stored."""
        answers: list[httpx.Response] = []

        async def one(number: int) -> None:
            request = alice.signed(requests.SetSecret, secret_id=f"s{number}", secret=f"{number}")
            body = canonical.encode(request.to_wire())
            headers = {"content-type": "application/json"}
            answers.append(await http.post("/setSecret", content=body, headers=headers))

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(one, number)
        assert [answer.text for answer in answers] == ['{"ok":true}'] * 100
        assert len({answer.headers["smfs-revision"] for answer in answers}) == 100
        assert len((await alice.space())["secrets"]) == 100
