"""Processes of the service that are killed, or asked to end, under load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from smfs.protocol.changes import LONGEST_WAIT_MS
from tests.faults.load import LONGEST_S, Client, Met, unexpected
from tests.faults.users import users
from tests.replicas.databases import made_database
from tests.replicas.replicas import Replica
from tests.service.followers import Follower
from tests.service.nodes import Answer
from tests.service.operating.backed import figure, parsed

pytestmark = pytest.mark.trio

ACKNOWLEDGED: Final = 20


@pytest.fixture(params=["sqlite", "postgres"])
def replicas(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Replica]]:
    """Three on one database."""
    with ExitStack() as ends:
        is_postgres = request.param == "postgres"
        database = ends.enter_context(made_database(tmp_path, postgres=is_postgres))
        made = []
        for number in range(3):
            made.append(Replica(database, tmp_path, number, ()))
            ends.callback(made[-1].kill)
        yield made
        assert not any("Traceback" in each.log.read_text() for each in made)


async def test_what_was_acknowledged_is_there_after_a_kill(replicas: list[Replica]) -> None:
    """Every time; and what was not is there as a whole or not at all."""
    alone = replicas[0]
    async with users([alone.url]) as met:
        for _ in range(4):
            await met.more_from([alone.url], ACKNOWLEDGED)
            await trio.to_thread.run_sync(alone.kill)
            await trio.to_thread.run_sync(alone.start)
        await met.more_from([alone.url], ACKNOWLEDGED)
    assert not met.complaints
    assert not unexpected(met, 401)


async def test_one_of_three_is_killed(replicas: list[Replica]) -> None:
    """Its users go to the others, and all that they have to do is to ask again."""
    urls = [replica.url for replica in replicas]
    async with users(urls, roams=True) as met:
        await trio.to_thread.run_sync(replicas[0].kill)
        await met.more_from(urls[1:], ACKNOWLEDGED)
        await trio.to_thread.run_sync(replicas[0].start)
        await trio.to_thread.run_sync(replicas[1].kill)
        await met.more_from(urls[2:], ACKNOWLEDGED)
        await trio.to_thread.run_sync(replicas[1].start)
    assert not met.complaints
    assert not unexpected(met, 401)


async def test_one_of_three_drains(replicas: list[Replica]) -> None:
    """What it carries out it answers, and those who wait for changes, too."""
    urls = [replica.url for replica in replicas]
    alice = await Client(Met(), urls).open_space()
    follower = Follower(alice)
    await follower.catch_up()
    told: list[Answer | None] = []

    async def wait_for_changes() -> None:
        told.append(await alice.attempt(follower.request(wait=LONGEST_WAIT_MS)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_changes)
        await _until_one_waits(replicas[0])
        async with users(urls, roams=True) as met:
            await met.more_from(urls, 1)
            assert await trio.to_thread.run_sync(replicas[0].terminate) == 0
            await met.more_from(urls[1:], ACKNOWLEDGED)
            await trio.to_thread.run_sync(replicas[0].start)
    assert not met.complaints
    assert not met.lost
    assert not unexpected(met, 401)
    [answer] = told
    assert answer is not None
    assert not follower.read(answer).changes
    await alice.aclose()


async def _until_one_waits(replica: Replica) -> None:
    """What comes while idle connections are closed is lost on its way, and nobody's fault."""
    async with httpx.AsyncClient(base_url=replica.url, trust_env=False) as http:
        with trio.fail_after(LONGEST_S):
            while True:
                samples = parsed((await http.get("/metrics")).text)
                if figure(samples, "smfs_waiting_feeds"):
                    return
