"""Files of every earlier schema are upgraded when they are opened."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from smfs.crypto.box import seal_box
from smfs.crypto.identity import Identity
from smfs.protocol import requests
from smfs.protocol.changes import RECIPIENT, SENDER
from smfs.service.store import schema
from smfs.service.store.file import APPLICATION_ID
from smfs.service.store.keys import short_key

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("database")]

SCHEMA_1 = Path(__file__).with_name("schema_1.sql").read_text()
SERVICE = Identity(b"\5" * 32)
ALICE, BOB, STRANGER = (Identity(bytes([number]) * 32) for number in (1, 2, 3))
OPENED = 1_800_000_000_000_000
FAR = 4e12
LONG = "x" * 2000
OPENER = """
import sys, pathlib, anyio
from smfs.service import create_service

async def main():
    async with create_service(pathlib.Path(sys.argv[1])) as service:
        print(service.node_id)

anyio.run(main)
"""


@pytest.fixture(params=range(1, schema.LATEST))
def old(database: Path, request: pytest.FixtureRequest) -> Path:
    """A database of an earlier schema: alice accepts bob and a stranger, bob accepts alice."""
    database.parent.mkdir(mode=0o700)
    database.touch(0o600)
    alice, bob, stranger = (bytes.fromhex(each.node_id) for each in (ALICE, BOB, STRANGER))
    box = seal_box(ALICE.node_id, b"kept")
    point = bytes.fromhex(box.reference_point_hex)
    content = bytes.fromhex(box.encrypted_content_hex)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA_1)
        seed = bytes.fromhex(SERVICE.secret_key_hex)
        connection.execute("INSERT INTO service VALUES (1, 1, ?, ?)", (b"i" * 16, seed))
        connection.executemany(
            "INSERT INTO spaces (node_id, closure_date, revision) VALUES (?, ?, ?)",
            [(alice, FAR, OPENED + 4), (bob, None, OPENED + 2)],
        )
        connection.executemany(
            "INSERT INTO sub_spaces (node_id, from_id, closure_date, place) VALUES (?, ?, ?, ?)",
            [
                (alice, bob, FAR + 1, OPENED + 1),
                (alice, stranger, FAR - 1, OPENED + 2),
                (bob, alice, None, OPENED + 1),
            ],
        )
        connection.executemany(
            "INSERT INTO secrets (node_id, from_id, secret_id, point, content, place, revision)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (alice, b"", b"x", point, content, OPENED + 3, OPENED + 3),
                (alice, bob, b"x", point, content, OPENED + 4, OPENED + 4),
                (bob, b"", LONG.encode(), point, content, OPENED + 2, OPENED + 2),
            ],
        )
        connection.create_function("short_key", 1, short_key)
        for number in range(2, request.param + 1):
            for statement in schema.statements(f"migrations/{number}.sql"):
                connection.execute(statement)
        connection.commit()
    return database


def described(database: Path) -> list[Any]:
    """Tables with their columns, and indices with theirs."""
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute(
            "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
        ).fetchall()
        return [
            (kind, name, connection.execute(f"PRAGMA {kind}_xinfo({name})").fetchall())
            for kind, name in names
        ]


async def test_an_old_database_goes_on(
    old: Path, restarting: Callable[[], Any], node: Callable[..., Any], follow: Callable[..., Any]
) -> None:
    """The service keeps its key, everybody what is his, and the feed tells all of it."""
    async with restarting() as service:
        assert service.node_id == SERVICE.node_id
        alice, bob, stranger = (node(each, service) for each in (ALICE, BOB, STRANGER))
        assert await alice.get("x") == "kept"
        followers = [follow(each) for each in (alice, bob)]
        for follower in followers:
            assert (await follower.ask(since=OPENED + 1)).since == 0
            await follower.catch_up()
        assert set(followers[0].secrets) == {("", "x"), (BOB.node_id, "x")}
        assert followers[0].nodes == {
            (SENDER, BOB.node_id): FAR + 1,
            (SENDER, STRANGER.node_id): FAR - 1,
            (RECIPIENT, BOB.node_id): None,
        }
        assert followers[1].nodes == {
            (SENDER, ALICE.node_id): None,
            (RECIPIENT, ALICE.node_id): FAR,
        }
        assert set(followers[1].secrets) == {("", LONG)}
        await bob.do(requests.DeleteSecret, secret_id=LONG)
        newcomer = follow(await stranger.open_space())
        await newcomer.catch_up()
        assert newcomer.nodes == {(RECIPIENT, ALICE.node_id): FAR - 1}
        await alice.set("x", "new")
        for follower in followers:
            assert (await follower.step()).since > 0


async def test_an_upgraded_database_is_like_a_new_one(
    old: Path, tmp_path: Path, restarting: Callable[[], Any]
) -> None:
    """Column by column and index by index."""
    async with restarting():
        pass
    fresh = tmp_path / "fresh.db"
    with closing(sqlite3.connect(fresh)) as connection:
        for statement in schema.statements("schema.sql"):
            connection.execute(statement)
    assert described(old) == described(fresh)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT schema FROM service").fetchall() == [(schema.LATEST,)]
        counted = connection.execute("SELECT secrets, bytes FROM spaces ORDER BY node_id")
        kept = connection.execute(
            "SELECT count(*), sum(length(secret_id) + coalesce(length(long_id), 0)"
            " + length(content)) FROM secrets GROUP BY node_id ORDER BY node_id"
        )
        assert counted.fetchall() == kept.fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        feeds = connection.execute("SELECT feed, floor - revision FROM spaces").fetchall()
    assert [(len(feed), above) for feed, above in feeds] == [(16, 0), (16, 0)]
    assert feeds[0] != feeds[1]


def opener(database: Path) -> subprocess.Popen[str]:
    """Another process that opens the same database."""
    return subprocess.Popen(
        [sys.executable, "-c", OPENER, str(database)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("old", [1], indirect=True)
async def test_many_processes_upgrade_at_once(old: Path) -> None:
    """One of them does it, and none fails."""
    for one in [opener(old) for _ in range(3)]:
        out, _ = await anyio.to_thread.run_sync(one.communicate)
        assert (one.returncode, out.strip()) == (0, SERVICE.node_id)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT count(*) FROM recipients").fetchall() == [(3,)]


async def test_an_upgrade_that_fails_changes_nothing(
    old: Path, restarting: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one transaction."""
    before = described(old)
    statements = schema.statements

    def broken(script: str) -> Iterator[str]:
        yield from statements(script)
        yield "UPDATE nothing SET schema = 2"

    monkeypatch.setattr(schema, "statements", broken)
    with pytest.raises(Exception, match="cannot use the database"):
        async with restarting():
            pass
    monkeypatch.undo()
    assert described(old) == before
    async with restarting() as service:
        assert service.node_id == SERVICE.node_id
