"""A PostgreSQL server that goes away under load and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import anyio
import anyio.to_thread
import pytest

from smfs.protocol import requests
from smfs.service import ServiceOptions, create_service
from smfs.service.store import postgres_database
from tests.postgres import Cluster
from tests.service.nodes import Clock, Node
from tests.service.store.patience import until

pytestmark = pytest.mark.anyio

WRITERS = 8


@pytest.fixture(scope="module")
def durable() -> Iterator[Cluster]:
    """A server of this module's own, which keeps what it has acknowledged."""
    with Cluster() as made:
        yield made


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_loses_nothing(
    durable: Cluster, options: ServiceOptions, clock: Clock, mode: Literal["fast", "immediate"]
) -> None:
    """What was answered is there; what is asked while it is away is carried out, or 503."""
    url = durable.create_database()
    postgres_database.migrate(url)
    stored: set[str] = set()
    statuses: set[int] = set()
    is_over = False

    async def write(alice: Node, writer: int) -> None:
        number = 0
        while not is_over:
            number += 1
            request = alice.signed(requests.SetSecret, secret_id=f"{writer}.{number}", secret="y")
            answer = await alice.send(request)
            statuses.add(answer.status)
            if answer.status == 200:
                assert answer.error is None
                stored.add(f"{writer}.{number}")

    async def until_stored(more: int) -> None:
        wanted = len(stored) + more
        await until(lambda: len(stored) >= wanted)

    async with create_service(url, options=options, now=clock) as service:
        alice = await Node(service, clock).open_space()
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for writer in range(WRITERS):
                    tasks.start_soon(write, alice, writer)
                for _ in range(2):
                    await until_stored(20)
                    await anyio.to_thread.run_sync(durable.restart, mode)
                await until_stored(20)
                is_over = True
        found = set((await alice.space())["secrets"])
        assert stored <= found
        assert len(found - stored) <= 2 * WRITERS
        assert statuses <= {200, 503}
        revisions = (await alice.set("last", "y")).headers["smfs-revision"]
        assert int(revisions) > len(found)
