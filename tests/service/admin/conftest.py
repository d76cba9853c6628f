"""Databases of both engines that hold some of everything, and ways to look behind the service."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from smfs.crypto.identity import Identity
from smfs.protocol import requests
from smfs.service import ServiceOptions, create_service
from smfs.service.admin.auth_codes import create
from smfs.service.admin.database import reading
from smfs.service.admin.migrating import migrate
from smfs.service.admin.tables import tables
from smfs.service.store import is_url
from tests.postgres import Cluster
from tests.service.listeners import Listener
from tests.service.nodes import START_MS, Clock, Node

ALICE, BOB, CAROL, DAVE, STRANGER = (Identity(bytes([number]) * 32) for number in range(1, 6))
FAR = 4e12
LONG = "long/" * 300
LONE = "\ud800lone"

Place = Path | str
Rows = dict[str, list[tuple[Any, ...]]]


async def use(place: Place, listener: Listener) -> None:
    """Has people do some of everything at a service."""
    clock = Clock()
    options = ServiceOptions(allow_private_hooks=True)
    async with create_service(place, options=options, now=clock) as service:
        alice, bob, carol, dave = (Node(service, clock, each) for each in (ALICE, BOB, CAROL, DAVE))
        for node, date in ((alice, None), (bob, None), (carol, FAR)):
            await node.open_space(date)
        await alice.accept(bob, FAR)
        await alice.accept(STRANGER.node_id)
        await alice.accept(service.node_id)
        await carol.accept(alice, FAR + 1)
        await bob.accept(carol)
        for secret_id in ("x", "y", LONG, LONE):
            await alice.set(secret_id, f"content of {secret_id!r}")
        for secret_id in ("y", LONG):
            await alice.do(requests.DeleteSecret, secret_id=secret_id)
        await alice.set(LONG, "again")
        await bob.share(alice, "stays", "shared")
        await bob.share(alice, "once", "read once", once=True)
        await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id="once")
        await bob.do(requests.DeleteSubSpace, from_id=carol.node_id)
        await _open_by_code(alice, dave, service.node_id)
        await _hook(alice, bob, listener)


async def _open_by_code(alice: Node, dave: Node, service: str) -> None:
    """Dave's space gets an owner, and another code is left."""
    codes = []
    for _ in range(2):
        await alice.do(requests.CreateAuthCode, action="openSecretSpace")
        given = await alice.do(
            requests.GetSecretFrom, from_id=service, secret_id="openSecretSpaceAuthCode"
        )
        codes.append(given.opened(alice.identity))
    await dave.do(requests.OpenSecretSpace, auth_code=codes[0], closure_date=None)


async def _hook(alice: Node, bob: Node, listener: Listener) -> None:
    """Hooks on all that can have some; what they are to be told stays, for nobody listens."""
    for target in ("this", "secrets.x", f"subSpaces.{bob.node_id}"):
        await alice.do(
            requests.AddNotificationHook,
            type="event onRead",
            target_id=target,
            notify_url=f"{listener.url}/hook",
        )
    await anyio.to_thread.run_sync(listener.close)
    await alice.space()
    await alice.get("x")


def fill(place: Place) -> None:
    """Makes a database with some of everything."""
    migrate(place)
    anyio.run(use, place, Listener())
    create(place, "openSecretSpace", 1, "for somebody", START_MS)


def contents(place: Place) -> Rows:
    """All rows of a database."""
    with reading(place) as database:
        return {
            table.name: sorted(
                (
                    tuple(row)
                    for row in database.stream(
                        f"SELECT {table.quoted} FROM {table.name}", list(table.columns.values())
                    )
                ),
                key=repr,
            )
            for table in tables()
        }


def plant(place: Place, *statements: str) -> None:
    """Changes a database behind everybody's back: blobs are x'…', keys of others are no matter."""
    if not is_url(place):
        with closing(sqlite3.connect(place)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
        return
    with psycopg.connect(str(place)) as server:
        for [table, name] in server.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
        ).fetchall():
            server.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for statement in statements:
            server.execute(re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement).encode())


class Steps:
    """A `Progress` that is remembered."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def begin(self, total: int) -> None:
        """Something begins."""
        self.total = total

    def advance(self, amount: int) -> None:
        """So much more is done."""
        self.done += amount


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a database can be, of either engine; there is nothing yet."""
    if request.param == "sqlite":
        return tmp_path / "service.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """An empty database: these commands are what fills one."""
    url = postgres.create_database()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with some of everything, for copies."""
    file = tmp_path_factory.mktemp("filled") / "service.db"
    fill(file)
    return file


@pytest.fixture(scope="session")
def template_url(postgres: Cluster) -> str:
    """A database of PostgreSQL with some of everything, for copies."""
    url = postgres.create_database()
    fill(url)
    return url


@pytest.fixture
def filled_file(template_file: Path, tmp_path: Path) -> Path:
    """A file with some of everything."""
    return Path(shutil.copy2(template_file, tmp_path))


@pytest.fixture
def filled_url(postgres: Cluster, template_url: str) -> Iterator[str]:
    """A database of PostgreSQL with some of everything."""
    url = postgres.create_database(template=template_url.rpartition("/")[2])
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def filled(request: pytest.FixtureRequest) -> Place:
    """A database of either engine with some of everything."""
    found: Place = request.getfixturevalue(
        {"sqlite": "filled_file", "postgres": "filled_url"}[request.param]
    )
    return found


@pytest.fixture
def other_url(postgres: Cluster) -> Iterator[str]:
    """An empty database of PostgreSQL, another one than `postgres_url`."""
    url = postgres.create_database()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Another place where a database can be."""
    if request.param == "sqlite":
        return tmp_path / "target" / "service.db"
    url: str = request.getfixturevalue("other_url")
    return url
