"""Requests that wait for a change, over the server of `smfs serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from smfs.cli import connections
from smfs.cli.serve_listener import listening
from smfs.cli.serve_options import Address, ServeSettings
from smfs.cli.serve_process import server_of
from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests, signing
from smfs.protocol.changes import LONGEST_WAIT_MS, Changes
from smfs.service import create_service
from smfs.service.app import system_now
from smfs.service.operating import PrometheusMeters
from smfs.service.waiting import Waiter
from tests.cli.serving import run_on_uvloop

if TYPE_CHECKING:
    from pathlib import Path

    import uvicorn

PATIENCE = 8.0  # less than the grace of the server and the longest wait


@dataclass
class Served:
    """A server with one node that has a space.

    Attributes:
        server: of `smfs serve`.
        running: its task.
        client: a connection to it.
        waits: set once a request waits.
        let_go: set once it waits no more.
    """

    server: uvicorn.Server
    running: asyncio.Task[None]
    client: httpx.AsyncClient
    waits: asyncio.Event
    let_go: asyncio.Event
    identity: Identity
    nonce: int = 0

    async def ask(self, kind: type[requests.SignedRequest], **fields: Any) -> Any:
        """The answer to a signed request."""
        self.nonce += 1
        who_and_when = {
            "public_key": self.identity.node_id,
            "timestamp": signing.frame(system_now()),
            "signature": signing.UNSIGNED,
            "nonce": self.nonce,
        }
        request = signing.sign(self.identity, kind(**fields, **who_and_when))
        answer = await self.client.post(
            request.path(),
            content=canonical.encode(request.to_wire()),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 200
        return answer.json()

    async def page(self, feed: str = "", since: int = 0, wait: int = 0) -> Changes:
        """A page of the feed."""
        asked = {"feed": feed, "since": since, "wait": wait, "listing": False, "contents": False}
        box = box_from_json(await self.ask(requests.GetChanges, **asked))
        return Changes.parse(canonical.decode(open_box(self.identity, box)))


@asynccontextmanager
async def served(database: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Runs a server as long as the block lasts."""
    waits, let_go = asyncio.Event(), asyncio.Event()
    changed = Waiter.changed

    async def note(self: Waiter) -> None:
        waits.set()
        try:
            await changed(self)
        finally:
            let_go.set()

    patch.setattr(Waiter, "changed", note)
    listener = listening(Address("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with create_service(database) as service, httpx.AsyncClient(base_url=url) as client:
        server = server_of(service, ServeSettings(), PrometheusMeters())
        running = asyncio.create_task(server.serve([listener]))
        one = Served(server, running, client, waits, let_go, Identity.generate())
        code = requests.AUTH_CODE_OPEN_SPACE
        await one.ask(requests.OpenSecretSpace, auth_code=code, closure_date=None)
        yield one
        server.should_exit = True
        await running


def run(
    database: Path, patch: pytest.MonkeyPatch, test: Callable[[Served], Awaitable[None]]
) -> None:
    """Runs a test with a server, on the loop that the server needs."""

    async def body() -> None:
        async with served(database, patch) as one:
            await asyncio.wait_for(test(one), PATIENCE)

    run_on_uvloop(body())


def test_a_waiting_request_keeps_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is silent for longer than one that brings no header may be."""
    monkeypatch.setattr(connections, "_SILENT_S", 0.05)

    async def test(one: Served) -> None:
        first = await one.page()
        last = await one.page(first.feed, first.revision, wait=200)
        assert (last.since, last.changes) == (first.revision, ())

    run(tmp_path / "service.db", monkeypatch, test)


def test_a_server_that_ends_answers_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and then it ends at once."""

    async def test(one: Served) -> None:
        first = await one.page()
        waiting = asyncio.create_task(one.page(first.feed, first.revision, wait=LONGEST_WAIT_MS))
        await one.waits.wait()
        one.server.should_exit = True
        assert (await waiting).changes == ()
        await one.running

    run(tmp_path / "service.db", monkeypatch, test)


def test_who_hangs_up_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the end of his wait."""

    async def test(one: Served) -> None:
        first = await one.page()
        waiting = asyncio.create_task(one.page(first.feed, first.revision, wait=LONGEST_WAIT_MS))
        await one.waits.wait()
        waiting.cancel()
        await one.let_go.wait()

    run(tmp_path / "service.db", monkeypatch, test)
