"""No room is left for the database: clients are told so, and all is well once there is some.

The small file system is in a mount namespace of the process that uses it, so that an ordinary user
can have one; in it is a ballast, which is taken away through /proc.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from psycopg.conninfo import conninfo_to_dict

from smfs.client.client import Client, create_client
from smfs.errors import QuotaExceeded
from smfs.protocol import requests, texts
from smfs.service.store.postgres_database import migrate
from tests.faults.load import Client as Loader
from tests.faults.load import Met, unexpected
from tests.postgres import Cluster
from tests.replicas.replicas import Replica

pytestmark = pytest.mark.trio

_QUOTA: Final = texts.text_of(QuotaExceeded())
_CONTENT: Final = "x" * 100_000
_SCRIPT: Final = """
mount -t tmpfs -o size="$0",mode=700 small "$1" && mkdir "$1/tables" &&
head -c 4M /dev/zero > "$1/ballast" && shift && exec "$@"
"""


def _small(size: str, directory: Path) -> list[str]:
    """What runs a program that finds a small file system at a directory."""
    user = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    return [*user, "sh", "-c", _SCRIPT, size, str(directory)]


@pytest.fixture
def small() -> Iterator[Path]:
    """Where a small file system is to be; a place that servers that run as others can reach."""
    path = Path(tempfile.mkdtemp(prefix="smfs-small-"))
    path.chmod(0o777)
    yield path
    path.rmdir()


async def test_no_room_for_sqlite(tmp_path: Path, small: Path) -> None:
    """All of the file, of its log and of what lies beside it."""
    replica = Replica(small / "service.db", tmp_path, 0, (), _small("10M", small))
    try:
        await _fill_and_make_room(replica, replica.process.pid, small)
    finally:
        replica.kill()


async def test_no_room_for_the_tables_of_postgresql(tmp_path: Path, small: Path) -> None:
    """They are full, and the log of what is to be written is not."""
    with Cluster(within=_small("24M", small)) as cluster:
        cluster.execute(f"CREATE TABLESPACE small LOCATION '{small}/tables'")
        url = cluster.create_database()
        name = conninfo_to_dict(url)["dbname"]
        cluster.execute(f"ALTER DATABASE {name} SET TABLESPACE small")
        migrate(url)
        replica = Replica(url, tmp_path, 0, ())
        try:
            await _fill_and_make_room(replica, cluster.pid, small)
        finally:
            replica.kill()


async def _fill_and_make_room(replica: Replica, user: int, small: Path) -> None:
    met = Met()
    alice = await Loader(met, [replica.url]).open_space()
    async with create_client(replica.url) as bob:
        assert await bob.discover() is not None
        await bob.set_secret("b", "kept")
        held = await _fill(alice)
        assert len(held) > 1
        ballast = Path(f"/proc/{user}/root{small}") / "ballast"
        _take_all(ballast)
        await _go_on(bob)
    ballast.unlink()
    await alice.set("room", _CONTENT)
    for name in (*held, "room"):
        assert await alice.get(name) == _CONTENT
    space = await alice.space()
    assert set(space["secrets"]) == {*held, "room"}
    assert replica.process.poll() is None
    assert "Traceback" not in replica.log.read_text()
    assert not met.complaints
    assert not unexpected(met)
    await alice.aclose()


def _take_all(ballast: Path) -> None:
    """Leaves no room for anything."""
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


async def _go_on(bob: Client) -> None:
    """Who writes is told what it is, and who reads is answered, as often as he likes."""
    for _ in range(60):
        with pytest.raises(QuotaExceeded):
            await bob.set_secret("c", "x" * 10_000)
        assert await bob.get_secret("b") == "kept"
        assert set((await bob.get_secret_space()).secrets) == {"b"}


async def _fill(alice: Loader) -> list[str]:
    """Sets secrets until there is no room, which is told as the original tells it."""
    held: list[str] = []
    for number in itertools.count():
        fields = {"secret_id": f"s{number}", "secret": _CONTENT}
        answer = await alice.ask(requests.SetSecret, **fields)
        assert answer.status == 200
        if answer.error is not None:
            break
        held.append(fields["secret_id"])
    # Nobody is told anything else, and nothing of it is kept.
    for number in range(3):
        answer = await alice.ask(requests.SetSecret, secret_id=f"t{number}", secret=_CONTENT)
        assert (answer.status, answer.error) == (200, _QUOTA)
    return held
