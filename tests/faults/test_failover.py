"""The primary dies under load, and the standby takes its place: nobody is restarted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from smfs.protocol import requests
from smfs.protocol.requests import Request, SignedRequest
from smfs.service.store.postgres_database import migrate
from tests.faults.load import LONGEST_S, Client, Met, leaves_doubt, unexpected, until_ready
from tests.faults.users import users
from tests.postgres import ADMINISTRATOR, Cluster, dsn_of
from tests.replicas.replicas import Replica

pytestmark = pytest.mark.trio

_PAUSE_S: Final = 0.05
_MOST: Final = 18  # connections of a replica: those of its threads, and two for signals
_SECRET: Final = {"secret_id": "a", "secret": "b"}
_MANY: Final = 25  # more than the threads of a replica

ACKNOWLEDGED: Final = 30
"""Changes of each replica before the primary dies, and after it."""


class Pair:
    """A primary, its standby, and replicas of the service that know both.

    Attributes:
        primary: it acknowledges nothing that the standby does not have.
        standby: can be promoted.
        name: of the database.
        replicas: of the service.
    """

    def __init__(self, primary: Cluster, standby: Cluster, directory: Path, count: int) -> None:
        self.primary, self.standby = primary, standby
        made = primary.create_database()
        migrate(made)
        self.name = str(conninfo_to_dict(made)["dbname"])
        url = dsn_of([primary, standby], self.name)
        self.replicas = [Replica(url, directory, number, ()) for number in range(count)]
        self.urls = [replica.url for replica in self.replicas]
        self.pids = [replica.process.pid for replica in self.replicas]

    def logs(self) -> str:
        """All that the replicas have said."""
        return "".join(replica.log.read_text() for replica in self.replicas)

    async def until(self, status: int) -> None:
        """Waits until each replica answers so when asked whether it is ready."""
        for url in self.urls:
            await until_ready(url, status)

    async def connections(self, count: int) -> None:
        """Waits until the replicas have so many."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'smfs'"
        with trio.fail_after(LONGEST_S):
            while True:
                [(found,)] = await trio.to_thread.run_sync(self.primary.execute, sql)
                if found >= count:
                    return
                await trio.sleep(_PAUSE_S)

    async def waiting_commits(self, count: int) -> list[int]:
        """Waits until so many commits wait for the standby; the processes that do."""
        sql = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        with trio.fail_after(LONGEST_S):
            while True:
                found = await trio.to_thread.run_sync(self.primary.execute, sql)
                if len(found) >= count:
                    return [pid for (pid,) in found]
                await trio.sleep(_PAUSE_S)


@contextmanager
def pair_of(directory: Path, *, count: int) -> Iterator[Pair]:
    """Both servers, and so many replicas."""
    with Cluster() as primary, primary.standby() as standby, ExitStack() as ends:
        made = Pair(primary, standby, directory, count)
        for replica in made.replicas:
            ends.callback(replica.kill)
        yield made
        assert [replica.process.pid for replica in made.replicas] == made.pids
        assert all(replica.process.poll() is None for replica in made.replicas)
        assert "Traceback" not in made.logs()


async def test_replicas_find_the_new_primary(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, nothing is done twice, and feeds go on where they were."""
    with pair_of(tmp_path, count=3) as pair:
        async with users(pair.urls) as met:
            await met.more_from(pair.urls, ACKNOWLEDGED)
            await trio.to_thread.run_sync(pair.primary.kill)
            await pair.until(503)
            await trio.to_thread.run_sync(pair.standby.promote)
            await met.more_from(pair.urls, ACKNOWLEDGED)
            await pair.until(200)
        assert not met.complaints
        assert not unexpected(met, 401)


async def test_a_primary_that_stands_still_is_left(tmp_path: Path) -> None:
    """Its connections stay open and silent: once there is another one, they are given up."""
    with pair_of(tmp_path, count=1) as pair:
        met = Met()
        nodes = [await Client(met, pair.urls).open_space() for _ in range(_MANY)]
        with psycopg.connect(pair.primary.dsn(pair.name, user=ADMINISTRATOR)) as locking:
            locking.execute("LOCK used_signatures, seen_signatures")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_use_all, nodes, None)
                await pair.connections(_MOST)
                locking.rollback()
        with pair.primary.standing_still():
            await _use_all(nodes, 503)
            await trio.to_thread.run_sync(pair.standby.promote)
            for node in nodes:
                await node.change("set", node.signed(requests.SetSecret, **_SECRET))
                assert await node.get("a") == "b"
                await node.aclose()
            await trio.to_thread.run_sync(pair.primary.kill)
        assert not met.complaints


async def _use_all(nodes: list[Client], status: int | None) -> None:
    """Writes and reads by many at once; all of them are answered so, if a status is given."""
    answers: list[int] = []

    async def ask(node: Client, kind: type[SignedRequest], **fields: str) -> None:
        answers.append((await node.ask(kind, **fields)).status)

    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(partial(ask, node, requests.SetSecret, **_SECRET))
            nursery.start_soon(ask, node, requests.GetSecretSpace)
    assert status is None or set(answers) == {status}


async def test_a_commit_that_the_standby_does_not_have_is_not_acknowledged(tmp_path: Path) -> None:
    """It waits as long as a request may; in the end the new primary does not have it."""
    with pair_of(tmp_path, count=1) as pair:
        met = Met()
        alice = await Client(met, pair.urls).open_space()
        await alice.set("a", "before")
        pair.standby.kill()
        request = alice.signed(requests.SetSecret, secret_id="a", secret="after")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_not_acknowledged, alice, request)
            await pair.waiting_commits(1)
            # Reads wait for no standby.
            assert await alice.get("a") == "before"
            await trio.to_thread.run_sync(pair.primary.kill)
        await trio.to_thread.run_sync(pair.standby.start)
        await trio.to_thread.run_sync(pair.standby.promote)
        await pair.until(200)
        assert await alice.get("a") == "before"
        answer = await alice.settle(request)
        assert answer is not None, "it was lost with the primary"
        assert answer.error is None
        assert await alice.get("a") == "after"
        await alice.aclose()
        assert not met.complaints


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_wait_for_the_standby_that_is_ended_acknowledges_nothing(
    tmp_path: Path, how: str
) -> None:
    """PostgreSQL calls that a success, with a warning; to us it is one once the standby has it."""
    with pair_of(tmp_path, count=1) as pair:
        met = Met()
        alice = await Client(met, pair.urls).open_space()
        pair.standby.kill()
        request = alice.signed(requests.SetSecret, secret_id="a", secret="b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_not_acknowledged, alice, request)
            for waiting in await pair.waiting_commits(1):
                pair.primary.execute(f"SELECT {how}(%s)", waiting)
        # The primary has it; but who is told so must be able to rely on that.
        await _not_acknowledged(alice, request)
        pair.standby.start()
        assert await alice.settle(request) is None
        assert await alice.get("a") == "b"
        await trio.to_thread.run_sync(pair.primary.kill)
        await trio.to_thread.run_sync(pair.standby.promote)
        await pair.until(200)
        assert await alice.get("a") == "b"
        await alice.aclose()


async def test_writes_that_wait_for_the_standby_hold_nobody_up(tmp_path: Path) -> None:
    """More of them than there are threads: each is answered in time, reads are, too."""
    with pair_of(tmp_path, count=1) as pair:
        met = Met()
        alice = await Client(met, pair.urls).open_space()
        nodes = [await Client(met, pair.urls).open_space() for _ in range(_MANY)]
        await alice.set("a", "b")
        pair.standby.kill()
        wishes = [each.signed(requests.SetSecret, secret_id="a", secret="c") for each in nodes]
        doubts: dict[Request, bool] = {}

        async def ask(node: Client, wish: Request) -> None:
            doubts[wish] = await _not_acknowledged(node, wish)

        async with trio.open_nursery() as nursery:
            for node, wish in zip(nodes, wishes, strict=True):
                nursery.start_soon(ask, node, wish)
            await pair.waiting_commits(2)
            assert await alice.get("a") == "b"
        assert await alice.get("a") == "b"
        pair.standby.start()
        for node, wish in zip(nodes, wishes, strict=True):
            await node.settle(wish, is_in_doubt=doubts[wish])
            assert await node.get("a") == "c"
            await node.aclose()
        await alice.aclose()
        assert not met.complaints
        assert pair.replicas[0].terminate() == 0
        pair.replicas[0].start()
        pair.pids = [pair.replicas[0].process.pid]


async def test_a_service_ends_though_its_commits_wait(tmp_path: Path) -> None:
    """An operator who stops it does not wait for the standby."""
    with pair_of(tmp_path, count=1) as pair:
        alice = await Client(Met(), pair.urls).open_space()
        pair.standby.kill()
        request = alice.signed(requests.SetSecret, secret_id="a", secret="b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_not_acknowledged, alice, request)
            await pair.waiting_commits(1)
            assert await trio.to_thread.run_sync(pair.replicas[0].terminate) == 0
        await alice.aclose()
        pair.standby.start()
        pair.replicas[0].start()
        pair.pids = [pair.replicas[0].process.pid]


async def _not_acknowledged(client: Client, request: Request) -> bool:
    answer = await client.attempt(request)
    assert answer is None or answer.status == 503, answer
    return leaves_doubt(answer)
