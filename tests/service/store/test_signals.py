"""Who waits at one replica is woken by a commit at another one, whatever is lost between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import anyio
import psycopg
import pytest

from smfs.protocol import canonical, requests
from smfs.service import Service, ServiceOptions
from smfs.service.store import signals
from smfs.service.store.postgres_database import complete
from smfs.service.store.servers import Servers
from smfs.service.store.signals import Signals
from tests.postgres import Cluster
from tests.service.nodes import Clock, Node
from tests.service.store.conftest import Replicas
from tests.service.store.patience import PATIENCE_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("postgres_url")]

NEVER_S = 3600.0
WAIT_MS = 600_000


async def wait(app: Service, request: requests.SignedRequest) -> int:
    """Asks and stays on the line; returns the status."""
    bodies = [canonical.encode(request.to_wire()).encode()]
    statuses: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        if bodies:
            return {"type": "http.request", "body": bodies.pop()}
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": request.path(), "headers": headers}
    await app(scope, receive, send)
    return statuses[0]


async def woken(app: Service, waiter: Any, writer: Node, times: int = 3) -> None:
    """A change by the writer is the answer to a request that waits at the service."""
    await waiter.catch_up()
    for number in range(times):
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, app, waiter.request(wait=WAIT_MS))
                await until(lambda: app.waiting_count == 1)
                await writer.set("x", f"{number}")
        await waiter.catch_up()


@pytest.mark.parametrize("way", ["by NOTIFY", "by the poll when NOTIFY is lost", "without NOTIFY"])
async def test_a_commit_wakes_who_waits_elsewhere(
    replicas: Replicas,
    clock: Clock,
    follow: Callable[[Node], Any],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """Each way alone is enough."""
    assert signals._POLL_S <= 2
    monkeypatch.setattr(signals, "_POLL_S", 0.05 if "lost" in way else NEVER_S)
    if "lost" in way:
        monkeypatch.setattr(Signals, "tell", lambda _self, _node_ids: None)
    options = ServiceOptions(notify="without" not in way)
    async with replicas(2, options) as (first, second):
        alice = await Node(first, clock).open_space()
        await woken(first, follow(alice), Node(second, clock, alice.identity, nonce=10**6))


async def test_the_ways_back_after_the_connections_were_cut(
    replicas: Replicas,
    clock: Clock,
    postgres: Cluster,
    follow: Callable[[Node], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who listens looks first of all, for nobody told him what happened in between."""
    monkeypatch.setattr(signals, "_PAUSE_S", 0.05)
    async with replicas(2) as (first, second):
        alice = await Node(first, clock).open_space()
        writer = Node(second, clock, alice.identity, nonce=10**6)
        for _ in range(2):
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'smfs'"
            )
            await woken(first, follow(alice), writer, times=1)


async def test_thousands_wait_without_a_thread_or_a_connection_each(
    replicas: Replicas,
    clock: Clock,
    postgres: Cluster,
    postgres_url: str,
    follow: Callable[[Node], Any],
) -> None:
    """Of one replica, of many nodes; one change answers those who wait for it, and no other."""
    count, spaces = 2000, 20
    name = postgres_url.rpartition("/")[2]
    threads = threading.active_count()
    statuses: list[int] = []
    async with replicas(1) as [app]:

        async def one(request: requests.SignedRequest) -> None:
            statuses.append(await wait(app, request))

        followers = [follow(await Node(app, clock).open_space()) for _ in range(spaces)]
        for each in followers:
            await each.catch_up()
        with anyio.fail_after(3 * PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                for number in range(count):
                    tasks.start_soon(one, followers[number % spaces].request(wait=WAIT_MS))
                    if number % 200 == 199:
                        await until(lambda number=number: app.waiting_count > number)  # type: ignore[misc]
                assert threading.active_count() - threads < 30
                [(connections,)] = postgres.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", name
                )
                assert connections < 30
                await followers[0].node.set("x", "y")
                await until(lambda: len(statuses) >= count // spaces)
                assert app.waiting_count == count - count // spaces
                app.end_waiting()
    assert statuses == [200] * count


def test_the_last_words_are_said(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that ends while it gathers what to say says it, and ends."""
    monkeypatch.setattr(signals, "_GATHER_S", 0.05)
    node_ids = [f"{number:064x}" for number in range(300)]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("LISTEN smfs")
        for pause in (0.0, 0.02, 0.06):
            conninfo = complete(postgres_url)
            speaker = Signals(conninfo, Servers(conninfo), notify=True)
            speaker.tell(["f" * 64])
            [first] = connection.notifies(timeout=PATIENCE_S, stop_after=1)
            assert first.payload == "f" * 64
            speaker.tell(node_ids)
            threading.Event().wait(pause)
            speaker.tell(["e" * 64])
            speaker.close()
            heard = "".join(each.payload for each in connection.notifies(timeout=0.1))
            told = {heard[at : at + 64] for at in range(0, len(heard), 64)}
            assert told == {*node_ids, "e" * 64}
