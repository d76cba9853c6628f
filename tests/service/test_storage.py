"""One database file: private, durable, shared by processes, and without a word of content."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.errors import ConfigError, QuotaExceeded
from smfs.protocol import canonical, requests, signing
from smfs.protocol.texts import error_of
from smfs.service import Service, create_service
from smfs.service.app import system_now
from smfs.service.store.file import APPLICATION_ID
from smfs.service.store.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("database")]

Ask = Callable[..., Awaitable[Any]]
CANARY = "canary-5c1f6b8e"

# Opens the database of argv[1], sets secrets as fast as it can, and says which were acknowledged.
WRITER = """
import sys, pathlib, anyio
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests, signing
from smfs.service import create_service
from smfs.service.app import system_now

async def ask(app, request):
    sent = []
    body = canonical.encode(request.to_wire()).encode()
    async def receive():
        return {"type": "http.request", "body": body}
    async def send(message):
        sent.append(message)
    headers = [(b"content-type", b"application/json")]
    await app({"type": "http", "method": "POST", "path": request.path(), "headers": headers},
              receive, send)
    assert sent[0]["status"] == 200 and b"error" not in sent[1]["body"], sent

async def main():
    me = Identity(bytes.fromhex(sys.argv[2]))
    async with create_service(pathlib.Path(sys.argv[1])) as service:
        now = system_now()
        def signed(kind, nonce, **fields):
            return signing.sign(me, kind(public_key=me.node_id, timestamp=signing.frame(now),
                signature=signing.UNSIGNED, nonce=nonce, **fields))
        await ask(service, signed(requests.OpenSecretSpace, 0, closure_date=None,
            auth_code=requests.AUTH_CODE_OPEN_SPACE))
        for number in range(1, int(sys.argv[3]) + 1):
            await ask(service, signed(requests.SetSecret, number, secret_id=f"s{number}",
                secret=f"content of {number}"))
            print(number, flush=True)

anyio.run(main)
"""


def connection_of(service: Service) -> sqlite3.Connection:
    """The connection that a service writes by."""
    assert isinstance(service._store, SqliteStore)
    assert service._store._writer is not None
    return service._store._writer.connection


def writer(database: Path, seed: str, count: int) -> subprocess.Popen[str]:
    """Another process that writes into the same database."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database), seed, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def mode(path: Path) -> str:
    """Who may do what with a file."""
    return oct(path.stat().st_mode & 0o777)


def execute(database: Path, *statements: str) -> list[tuple[Any, ...]]:
    """What the last statement gives, in a connection of its own."""
    rows: list[tuple[Any, ...]] = []
    database.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(database)
    for statement in statements:
        rows = connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    return rows


def contents(database: Path) -> bytes:
    """Every byte of the database's files."""
    return b"".join(path.read_bytes() for path in database.parent.iterdir())


def change_mode(path: Path, others: int) -> None:
    """Lets others in."""
    path.chmod(others)


def link(path: Path) -> Path:
    """Puts a link into the database's place; returns what it points to."""
    path.parent.mkdir()
    path.symlink_to(path.parent / "target")
    return path.parent / "target"


def fill(database: Path, content: bytes) -> None:
    """Puts something into the database's place."""
    database.parent.mkdir()
    database.write_bytes(content)


async def test_nobody_else_can_read_the_files(service: Service, alice: Any, database: Path) -> None:
    """Neither the database nor what SQLite lays beside it; the directory is ours alone, too."""
    await alice.set("x", "y")
    modes = {path.name: mode(path) for path in database.parent.glob("*")}
    names = [f"service.db{kind}{end}" for kind in ("", "-seen") for end in ("", "-wal", "-shm")]
    assert modes == dict.fromkeys(names, "0o600")
    assert mode(database.parent) == "0o700"


@pytest.mark.parametrize("others", [0o644, 0o660, 0o602])
async def test_a_database_that_others_could_read_or_write_is_refused(
    database: Path, restarting: Callable[[], Any], others: int
) -> None:
    """Its key was not meant for them, and may be known; nothing is changed behind its owner."""
    async with restarting():
        pass
    change_mode(database, others)
    with pytest.raises(ConfigError, match="others can read it"):
        async with restarting():
            pass
    assert mode(database) == oct(others)


async def test_a_link_is_not_followed(database: Path, restarting: Callable[[], Any]) -> None:
    """Whoever can put a link there must not choose the file."""
    target = link(database)
    with pytest.raises(ConfigError, match="cannot use the database"):
        async with restarting():
            pass
    assert not target.exists()


async def test_a_database_without_our_id_is_known_by_its_tables(
    database: Path, restarting: Callable[[], Any]
) -> None:
    """Those of the first versions have none."""
    async with restarting() as service:
        node_id = service.node_id
    assert execute(database, "PRAGMA application_id") == [(APPLICATION_ID,)]
    execute(database, "PRAGMA application_id = 0", "PRAGMA wal_checkpoint")
    async with restarting() as service:
        assert service.node_id == node_id


async def test_a_write_is_on_disk_before_it_is_answered(service: Service, alice: Any) -> None:
    """SQLite syncs at every commit of a write."""
    await alice.set("x", "y")
    connection = connection_of(service)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_the_service_keeps_its_key(database: Path, restarting: Callable[[], Any]) -> None:
    """A service that is started again is the same node."""
    async with restarting() as service:
        first = service.node_id
    async with restarting() as service:
        assert service.node_id == first


async def test_a_newer_database_is_refused(database: Path, restarting: Callable[[], Any]) -> None:
    """In words that say what to do, and without a change to it."""
    async with restarting():
        pass
    execute(database, "UPDATE service SET schema = 99")
    with pytest.raises(ConfigError, match=r"is of version 99.*update smfs"):
        async with restarting():
            pass


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 50])
async def test_what_is_no_database_is_refused(
    database: Path, content: bytes, restarting: Callable[[], Any]
) -> None:
    """And left as it is."""
    fill(database, content)
    with pytest.raises(ConfigError, match="cannot use the database"):
        async with restarting():
            pass
    assert contents(database) == content


@pytest.mark.parametrize("own_id", [0, 7])
async def test_somebody_else_s_database_is_refused(
    database: Path, restarting: Callable[[], Any], own_id: int
) -> None:
    """No table of ours is put into it."""
    execute(database, "CREATE TABLE bookmarks (url TEXT)", f"PRAGMA application_id = {own_id}")
    change_mode(database, 0o640)
    before = contents(database)
    with pytest.raises(ConfigError, match="a file of something else"):
        async with restarting():
            pass
    assert contents(database) == before
    assert mode(database) == "0o640"
    assert execute(database, "SELECT name FROM sqlite_schema") == [("bookmarks",)]


async def test_no_content_is_in_the_files(
    database: Path, alice: Any, bob: Any, service: Service
) -> None:
    """What is stored is encrypted to its reader, even where the client has not done so."""
    await alice.accept(bob)
    await alice.set("x", f"{CANARY}-own")
    await bob.share(alice, "y", f"{CANARY}-shared")
    await alice.accept(service.node_id)
    await alice.do(requests.CreateAuthCode, action="openSecretSpace")
    code = await alice.do(
        requests.GetSecretFrom, from_id=service.node_id, secret_id="openSecretSpaceAuthCode"
    )
    await alice.set(f"{CANARY}-id", "ids are no content")
    stored = contents(database)
    assert f"{CANARY}-id".encode() in stored, "the search finds nothing at all"
    assert f"{CANARY}-own".encode() not in stored
    assert f"{CANARY}-shared".encode() not in stored
    text = code.opened(alice.identity)
    assert text.encode() not in stored
    assert bytes.fromhex(text) not in stored


async def test_nothing_of_a_request_is_logged_or_raised(
    alice: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when something breaks that should not: the log names the route and the error."""
    caplog.set_level("DEBUG")

    def broken(*_args: object, **_named: object) -> None:
        raise LookupError(CANARY)

    monkeypatch.setattr("smfs.service.rows.Rows.put_secret", broken)
    answer = await alice.ask(requests.SetSecret, secret_id=CANARY, secret=CANARY)
    assert answer.status == 500
    assert "/setSecret failed: LookupError" in caplog.text
    assert CANARY not in caplog.text + answer.text
    assert "Traceback" not in caplog.text
    monkeypatch.undo()
    await alice.set("x", "y")


async def test_a_broken_database_is_no_busy_one(
    alice: Any, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """To come back later is of no use: 500, and the log names the kind of error."""
    connection = connection_of(service)
    connection.execute("ALTER TABLE secrets RENAME TO lost")
    answer = await alice.ask(requests.SetSecret, secret_id="x", secret="y")
    assert (answer.status, answer.error) == (500, "The service failed!")
    assert "retry-after" not in answer.headers
    assert "setSecret failed: SQLITE_ERROR" in caplog.text


async def test_a_full_disk_is_no_end(
    alice: Any, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is refused as a whole; once there is room again, the service goes on."""
    await alice.set("x", "before")
    connection = connection_of(service)
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    answer = await alice.ask(requests.SetSecret, secret_id="x", secret="z" * 500_000)
    assert (answer.status, answer.error) == (200, "The quota is used up!")
    assert "setSecret failed: SQLITE_FULL" in caplog.text
    assert isinstance(error_of(str(answer.error)), QuotaExceeded)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await alice.get("x") == "before"
    await alice.set("x", "after")
    assert await alice.get("x") == "after"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_many_processes_start_and_write_at_once(database: Path) -> None:
    """On a database that is not there yet: nobody fails, and nothing is lost."""
    seeds = [f"{number:02x}" * 32 for number in range(1, 5)]
    writers = [writer(database, seed, 25) for seed in seeds]
    for one in writers:
        out, _ = await anyio.to_thread.run_sync(one.communicate)
        assert one.returncode == 0
        assert len(out.split()) == 25
    assert execute(database, "SELECT count(*) FROM secrets") == [(100,)]
    assert execute(database, "SELECT count(*) FROM service") == [(1,)]
    assert execute(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("lines", [1, 7, 40])
async def test_what_was_acknowledged_survives_a_kill(database: Path, ask: Ask, lines: int) -> None:
    """`kill -9` in the middle of writing: every write that was answered is there, whole."""
    process = writer(database, "77" * 32, 100_000)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    found = await stored(database, "77" * 32, ask)
    assert {f"s{number}" for number in acknowledged} <= set(found)
    assert len(found) - len(acknowledged) in {0, 1}
    assert all(text == f"content of {key[1:]}" for key, text in found.items())


async def stored(database: Path, seed: str, ask: Ask) -> dict[str, str]:
    """The secrets of a node, decrypted."""
    reader = Identity(bytes.fromhex(seed))
    request = signing.sign(
        reader,
        requests.GetSecretSpace(
            public_key=reader.node_id,
            timestamp=signing.frame(system_now()),
            signature=signing.UNSIGNED,
            nonce=-1,
        ),
    )
    async with create_service(database) as service:
        answer = await ask(service, request.path(), canonical.encode(request.to_wire()))
    space = json.loads(answer.opened(reader))
    return {
        key: open_box(reader, box_from_json(entry["secret"])).decode()
        for key, entry in space["secrets"].items()
    }
