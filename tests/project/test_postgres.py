"""The set-up that starts PostgreSQL for the other tests keeps what it promises."""

from __future__ import annotations

import os
import random
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.mount.homes import ACCOUNTS, NOBODY, Account
from tests.postgres import OWNER, PATIENCE, Cluster, ClusterFailed, dsn_of

ROOT = Path(__file__).parents[2]

# Starts a server, tells its process, its keeper's and its directory, and waits for an end.
_STARTED = """
import sys
from tests.postgres import Cluster
with Cluster() as cluster:
    cluster.drop(cluster.create_database())
    directory = cluster._directory
    print(cluster._server.pid, directory._keeper.pid, directory.path, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Started:
    """A program that has started a server.

    Attributes:
        program: its process.
        uid: who runs the server.
        ends: descriptors that can be read once the server and its keeper have ended.
        directory: the server's.
    """

    program: subprocess.Popen[bytes]
    uid: int
    ends: tuple[int, int]
    directory: Path

    def has_left_nothing(self) -> bool:
        """Waits for the ends, and tells whether the directory is gone then."""
        for end in self.ends:
            assert select.select([end], [], [], PATIENCE)[0]
            os.close(end)
        return not self.directory.exists()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server that the test may stop."""
    with Cluster() as made:
        yield made


@pytest.fixture(params=ACCOUNTS)
def started(request: pytest.FixtureRequest) -> Iterator[Started]:
    """A program of root and of an ordinary user where root runs the tests, else our own."""
    uid = NOBODY if request.param == "ordinary" else os.geteuid()
    prefix = Account(uid, NOBODY).prefix(may_reach_all=True)
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", _STARTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as program:
        assert program.stdout is not None
        server, keeper, directory = program.stdout.readline().decode().split()
        owner = Path(f"/proc/{server}").stat().st_uid
        ends = os.pidfd_open(int(server)), os.pidfd_open(int(keeper))
        yield Started(program, owner, ends, Path(directory))


def numbers_in(cluster: Cluster, database: str) -> list[int]:
    """What the table of numbers holds."""
    rows = cluster.execute("SELECT number FROM numbers ORDER BY number", database=database)
    return [number for (number,) in rows]


def shared_memory() -> set[str]:
    """The ids of all System V shared memory."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines}


def waits_for_the_standby(cluster: Cluster, commit: Future[list[tuple[object, ...]]]) -> bool:
    """Whether a commit comes to wait for the standby, rather than to an end."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    while not commit.done():
        if cluster.execute(sql):
            return not commit.done()
    return False


def write_numbers(dsn: str) -> list[int]:
    """Makes the table of numbers and commits each number on its own; returns them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (number int PRIMARY KEY)")
        for number in range(100):
            connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
    return list(range(100))


def test_each_database_is_new_and_goes_although_it_is_used(postgres: Cluster) -> None:
    """Two databases share nothing, and none is left."""
    first, second = postgres.create_database(), postgres.create_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE of_first ()")
        connection.commit()
        with psycopg.connect(second) as other:
            assert other.execute("SELECT to_regclass('of_first')").fetchone() == (None,)
        names = [conninfo_to_dict(each)["dbname"] for each in (first, second)]
        postgres.drop(first)
        postgres.drop(second)
        left = postgres.execute("SELECT 1 FROM pg_database WHERE datname = ANY (%s)", names)
        assert not left
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_database_can_be_a_copy(postgres: Cluster) -> None:
    """What takes long to fill is filled once."""
    filled = postgres.create_database()
    numbers = write_numbers(filled)
    copy = postgres.create_database(template=str(conninfo_to_dict(filled)["dbname"]))
    with psycopg.connect(copy) as connection:
        rows = connection.execute("SELECT number FROM numbers ORDER BY number").fetchall()
    assert [number for (number,) in rows] == numbers
    postgres.drop(copy)
    postgres.drop(filled)


def test_the_service_is_nobody_special(postgres_url: str) -> None:
    """Its role may use its own database and has no right that an operator would not give."""
    with psycopg.connect(postgres_url) as connection:
        sql = "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication FROM pg_roles"
        row = connection.execute(f"{sql} WHERE rolname = current_user").fetchone()
        assert row == (OWNER, False, False, False, False)


def test_a_commit_is_on_disk_and_text_sorts_by_bytes(postgres: Cluster) -> None:
    """The settings that durability and the order of keys depend on."""
    for name, value in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", "127.0.0.1"),
    ]:
        assert postgres.execute(f"SHOW {name}") == [(value,)]
    assert postgres.execute("SELECT DISTINCT datcollate FROM pg_database") == [("C.UTF-8",)]


@pytest.mark.parametrize("end", ["kill", "immediate", "fast"])
def test_what_is_committed_outlives_the_server(cluster: Cluster, end: str) -> None:
    """However it ended, it comes back where it was with all that it has acknowledged."""
    port = cluster.port
    dsn = cluster.create_database()
    numbers = write_numbers(dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO numbers VALUES (1000)")
        if end == "kill":
            cluster.kill()
        elif end == "immediate":
            cluster.stop("immediate")
        else:
            cluster.stop()
        assert not cluster.is_running
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    cluster.start()
    assert cluster.port == port
    assert numbers_in(cluster, str(conninfo_to_dict(dsn)["dbname"])) == numbers


def test_a_server_runs_as_an_ordinary_user_and_ends_with_its_program(started: Started) -> None:
    """PostgreSQL refuses to be root, and neither server nor directory is left."""
    assert started.uid == os.geteuid() or started.uid != 0
    assert started.directory.stat().st_mode & 0o077 == 0
    started.program.communicate()
    assert started.program.returncode == 0
    assert started.has_left_nothing()


def test_a_killed_program_leaves_no_server_behind(started: Started) -> None:
    """Who kills the tests finds no servers and no directories afterwards."""
    started.program.kill()
    assert started.has_left_nothing()


def test_a_killed_server_leaves_no_shared_memory_behind() -> None:
    """What only a killed server leaves behind goes with its directory."""
    with Cluster() as cluster:
        segment = cluster._directory.status_lines()[6].split()[1]
        assert segment in shared_memory()
        cluster.kill()
    assert segment not in shared_memory()


def test_a_server_finds_a_port_although_others_take_it(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that somebody has taken costs another try, and nothing is asked of a wrong server."""
    ports = iter([postgres.port, postgres.port])
    choose = random.choice

    def choice(among: range) -> int:
        return next(ports, None) or choose(among)

    monkeypatch.setattr(random, "choice", choice)
    with Cluster() as cluster:
        assert cluster.port != postgres.port
        assert cluster.log.count("could not bind") == 2


def test_a_server_that_does_not_start_says_why(cluster: Cluster) -> None:
    """The words of the server are those of the error."""
    cluster.stop()
    control = cluster._directory.data / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    with pytest.raises(ClusterFailed, match=r"could not .*pg_control"):
        cluster.start()
    assert not cluster.is_running


def test_where_postgresql_is_missing_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody has to guess, and nothing is left."""
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    cluster = Cluster()
    with pytest.raises(ClusterFailed, match="scripts/setup --test"), cluster:
        pass
    assert not cluster._directory.path.exists()


def test_a_standby_has_what_is_acknowledged_and_can_be_promoted(cluster: Cluster) -> None:
    """Nothing acknowledged is lost with the primary, and one address leads to the new one."""
    dsn = cluster.create_database()
    database = str(conninfo_to_dict(dsn)["dbname"])
    with cluster.standby() as standby:
        several = dsn_of([standby, cluster], database)
        numbers = write_numbers(several)
        with psycopg.connect(several) as connection:
            assert connection.info.port == cluster.port
        cluster.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(several)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            standby.execute("CREATE TABLE refused ()")
        standby.promote()
        assert numbers_in(standby, database) == numbers
        with psycopg.connect(several) as connection:
            assert connection.info.port == standby.port
            connection.execute("INSERT INTO numbers VALUES (1000)")


def test_no_commit_is_acknowledged_without_the_standby(cluster: Cluster) -> None:
    """The primary waits for a standby that is down, and goes on once it is back or given up."""
    with ThreadPoolExecutor() as threads:
        with cluster.standby() as standby:
            standby.kill()
            first = threads.submit(cluster.execute, "CREATE TABLE first ()")
            assert waits_for_the_standby(cluster, first)
            standby.start()
            first.result(PATIENCE)
            standby.stop()
            second = threads.submit(cluster.execute, "CREATE TABLE second ()")
            assert waits_for_the_standby(cluster, second)
        second.result(PATIENCE)


def test_a_promoted_standby_gets_a_standby_of_its_own(cluster: Cluster) -> None:
    """One failover after the other."""
    with cluster.standby() as second:
        cluster.kill()
        second.promote()
        with second.standby() as third:
            dsn = second.create_database()
            second.kill()
            third.promote()
            third.drop(dsn)
