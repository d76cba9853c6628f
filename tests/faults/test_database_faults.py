"""The database goes and comes back under load: nothing hangs, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import pytest
import trio

from smfs.protocol import requests
from smfs.service.store.postgres_database import migrate
from tests.faults.load import Client, Met, unexpected, until_ready
from tests.faults.users import users
from tests.postgres import Cluster
from tests.replicas.replicas import Replica
from tests.service.followers import Follower

pytestmark = pytest.mark.trio

ACKNOWLEDGED: Final = 20
_FEW: Final = 20  # lines of a log
_OURS: Final = "SELECT pid FROM pg_stat_activity WHERE application_name = 'smfs'"
_PASSWORD: Final = "not-to-be-told"


@contextmanager
def served(directory: Path, cluster: Cluster, count: int) -> Iterator[list[Replica]]:
    """Replicas on one database, none of which dies or tells a secret."""
    made = cluster.create_database()
    migrate(made)
    url = made.replace("smfs@", f"smfs:{_PASSWORD}@", 1)
    with ExitStack() as ends:
        replicas = []
        for number in range(count):
            replicas.append(Replica(url, directory, number, ()))
            ends.callback(replicas[-1].kill)
        yield replicas
        for replica in replicas:
            assert replica.process.poll() is None
            said = replica.log.read_text()
            assert "Traceback" not in said
            assert _PASSWORD not in said


async def test_a_server_that_stands_still_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    """It answers nothing and closes nothing: more requests than there are threads end in time."""
    with Cluster() as cluster, served(tmp_path, cluster, 1) as [replica]:
        met = Met()
        alice = await Client(met, [replica.url]).open_space()
        await _at_once(alice, requests.GetSecretSpace, {})  # all connections are there
        with cluster.standing_still():
            await until_ready(replica.url, 503)
            writes = await _at_once(alice, requests.SetSecret, {"secret_id": "a", "secret": "b"})
            reads = await _at_once(alice, requests.GetSecretSpace, {})
            assert {answer.status for answer in (*writes, *reads)} == {503}
        await until_ready(replica.url, 200)
        await alice.set("a", "b")
        assert await alice.get("a") == "b"
        assert not met.complaints
        assert replica.log.read_text().count("connecting") < _FEW
        await alice.aclose()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restarted_server_is_found_again(
    tmp_path: Path, mode: Literal["fast", "immediate"]
) -> None:
    """All users go on, those who wait for changes, too."""
    with Cluster() as cluster, served(tmp_path, cluster, 2) as replicas:
        urls = [replica.url for replica in replicas]
        async with users(urls) as met:
            for _ in range(2):
                await trio.to_thread.run_sync(cluster.stop, mode)
                for url in urls:
                    await until_ready(url, 503)
                await trio.to_thread.run_sync(cluster.start)
                await met.more_from(urls, ACKNOWLEDGED)
                for url in urls:
                    await until_ready(url, 200)
        assert not met.complaints
        assert not unexpected(met, 401)


async def test_connections_that_are_ended_one_by_one_are_replaced(tmp_path: Path) -> None:
    """Each of them, those that listen included, in the midst of what they do."""
    with Cluster() as cluster, served(tmp_path, cluster, 2) as replicas:
        urls = [replica.url for replica in replicas]
        async with users(urls) as met:
            ended = 0
            while ended < 3 * ACKNOWLEDGED:
                for (pid,) in await trio.to_thread.run_sync(cluster.execute, _OURS):
                    cluster.execute("SELECT pg_terminate_backend(%s)", pid)
                    ended += 1
                await met.more_from(urls, 1)
            await met.more_from(urls, ACKNOWLEDGED)
        assert not met.complaints
        assert not unexpected(met, 401)


async def test_when_others_take_all_connections_requests_are_told_to_come_back(
    tmp_path: Path,
) -> None:
    """They are answered in time, also those who have waited for changes; then all is well again."""
    settings = {"max_connections": "20"}
    with Cluster(settings=settings) as cluster, served(tmp_path, cluster, 1) as [replica]:
        met = Met()
        alice = await Client(met, [replica.url]).open_space()
        follower = Follower(alice)
        await follower.catch_up()
        told: list[Any] = []

        async def wait_for_changes() -> None:
            told.append(await alice.attempt(follower.request(wait=2000)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_changes)
            with ExitStack() as taken:
                await trio.to_thread.run_sync(_take_all, cluster, taken)
                await until_ready(replica.url, 503)
                for kind in (requests.SetSecret, requests.GetSecretSpace):
                    fields = {"secret_id": "a", "secret": "b"} if kind is requests.SetSecret else {}
                    answers = await _at_once(alice, kind, fields)
                    assert {answer.status for answer in answers} == {503}
                    assert all("retry-after" in answer.headers for answer in answers)
        assert [answer.status for answer in told] in ([200], [503])
        await until_ready(replica.url, 200)
        await alice.set("a", "b")
        assert not met.complaints
        await alice.aclose()


async def _at_once(client: Client, kind: Any, fields: dict[str, str]) -> list[Any]:
    """What more requests are answered than there are threads."""
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await client.ask(kind, **fields))

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(ask)
    return answers


def _take_all(cluster: Cluster, taken: ExitStack) -> None:
    """Takes every connection that an ordinary user may have, those of the service included."""
    url = cluster.dsn("postgres") + "?application_name=taker"
    while True:
        try:
            taken.enter_context(psycopg.connect(url))
        except psycopg.OperationalError:
            ours = cluster.execute(_OURS)
            if not ours:
                return
            for (pid,) in ours:
                cluster.execute("SELECT pg_terminate_backend(%s)", pid)
