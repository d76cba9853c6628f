"""A standby that does not confirm: nothing is acknowledged that it might not have."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from smfs.protocol import requests
from smfs.service import ServiceOptions, create_service
from smfs.service.store import postgres_database
from tests.postgres import Cluster
from tests.service.nodes import Answer, Clock, Node
from tests.service.places import rows

pytestmark = pytest.mark.anyio

PATIENCE_S = 60.0
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'smfs'"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby."""
    with Cluster(fsync=False) as primary, primary.standby() as standby:
        yield primary, standby


@pytest.fixture
def url(pair: tuple[Cluster, Cluster]) -> str:
    """A database of theirs."""
    made = pair[0].create_database()
    postgres_database.migrate(made)
    return made


async def end_the_wait(primary: Cluster, how: str, but: tuple[int, ...] = ()) -> int:
    """Once a commit waits for the standby, ends that; returns which process it was."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            found = await anyio.to_thread.run_sync(primary.execute, WAITING)
            pids = [pid for (pid,) in found if pid not in but]
            if pids:
                break
            await anyio.sleep(0.01)
    if how:
        await anyio.to_thread.run_sync(primary.execute, f"SELECT {how}(%s)", pids[0])
    return int(pids[0])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_wait_is_no_success(
    pair: tuple[Cluster, Cluster], url: str, options: ServiceOptions, clock: Clock
) -> None:
    """PostgreSQL commits then, and only warns."""
    primary, standby = pair
    answers: list[Answer] = []
    async with create_service(url, options=options, now=clock) as service:
        alice = await Node(service, clock).open_space()
        request = alice.signed(requests.SetSecret, secret_id="x", secret="y")

        async def set_it() -> None:
            answers.append(await alice.send(request))

        await anyio.to_thread.run_sync(standby.stop)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(set_it)
            await end_the_wait(primary, "pg_cancel_backend")
        await anyio.to_thread.run_sync(standby.start)
        assert [(each.status, each.headers.get("retry-after")) for each in answers] == [(503, None)]
        await alice.set("x", "z")
        assert await alice.get("x") == "z"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_ended_wait_is_waited_for_once_more(
    pair: tuple[Cluster, Cluster], url: str, options: ServiceOptions, clock: Clock
) -> None:
    """The commit is found to be there; that the standby has it, is not known yet."""
    primary, standby = pair
    answers: list[Answer] = []
    async with create_service(url, options=options, now=clock) as service:
        alice = await Node(service, clock).open_space()

        async def set_it() -> None:
            answers.append(await alice.set("x", "y"))

        await anyio.to_thread.run_sync(standby.stop)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(set_it)
            first = await end_the_wait(primary, "pg_terminate_backend")
            await end_the_wait(primary, "", but=(first,))
            assert answers == []
            await anyio.to_thread.run_sync(standby.start)
        assert [each.status for each in answers] == [200]
        there = standby.dsn(url.rpartition("/")[2])
        assert rows(there, "SELECT count(*) FROM secrets") == [(1,)]
