"""A PostgreSQL database is made and brought up to date by an order, and refused until then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest

from smfs.crypto.box import seal_box
from smfs.crypto.identity import Identity
from smfs.errors import ConfigError
from smfs.protocol import requests
from smfs.service import create_service
from smfs.service.store import keys, schema
from smfs.service.store.postgres_database import migrate
from tests.postgres import Cluster
from tests.service.nodes import Clock, Node
from tests.service.places import rows

SCHEMA_3 = Path(__file__).with_name("schema_3.sql").read_text()
SERVICE, ALICE = Identity(b"\5" * 32), Identity(b"\1" * 32)
OPENED = 1_800_000_000_000_000
LONG = "x" * 2000
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])

# All that a program could notice: columns, indices, constraints, and how rows are laid down.
DESCRIPTIONS = (
    (
        "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    ),
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    (
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
    ),
    (
        "SELECT relname, relpersistence, reloptions FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
    ),
    (
        "SELECT attrelid::regclass::text, attname, attstorage FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0"
        " AND NOT attisdropped ORDER BY 1, 2"
    ),
)


def described(url: str) -> list[Any]:
    """What a database looks like."""
    return [rows(url, statement) for statement in DESCRIPTIONS]


@pytest.fixture
def empty(postgres: Cluster) -> Iterator[str]:
    """A database in which nothing is."""
    made = postgres.create_database()
    yield made
    postgres.drop(made)


@pytest.fixture
def old(empty: str) -> str:
    """A database of schema 3, in which alice has two secrets and a code was made."""
    box = seal_box(ALICE.node_id, b"kept")
    point, content = (
        bytes.fromhex(each) for each in (box.reference_point_hex, box.encrypted_content_hex)
    )
    alice = bytes.fromhex(ALICE.node_id)
    with psycopg.connect(empty) as connection:
        ours = resources.files(schema.__package__)
        rest = [ours.joinpath(name).read_text() for name in ("postgres.sql", "postgres_tuning.sql")]
        for script in (SCHEMA_3, *rest):
            for statement in in_postgres_words(script):
                connection.execute(statement.encode())
        seed = bytes.fromhex(SERVICE.secret_key_hex)
        connection.execute("INSERT INTO service VALUES (1, 3, %s, %s)", (b"i" * 16, seed))
        connection.execute(
            "INSERT INTO spaces (node_id, revision, feed, floor) VALUES (%s, %s, %s, %s)",
            (alice, OPENED + 2, b"f" * 16, OPENED),
        )
        for revision, secret_id in ((OPENED + 1, "x"), (OPENED + 2, LONG)):
            connection.execute(
                "INSERT INTO secrets (node_id, from_id, secret_id, point, content, place,"
                " revision, long_id) VALUES (%s, '', %s, %s, %s, %s, %s, %s)",
                (
                    *(alice, keys.secret_key(secret_id), point, content),
                    *(revision, revision, keys.long_id(secret_id)),
                ),
            )
        connection.execute("INSERT INTO auth_codes VALUES (%s, '\"x\"', '')", (b"d" * 32,))
        connection.execute("INSERT INTO used_signatures VALUES (1, %s)", (b"s" * 64,))
    return empty


def in_postgres_words(script: str) -> Iterator[str]:
    """The statements of a script that is not among the package's own any more."""
    text = schema._COMMENT.sub("", script)
    text = schema._WORD.sub(lambda found: schema._POSTGRES[found[0]], text)
    return (statement for statement in text.split(";") if statement.strip())


def test_a_new_one_is_made(empty: str) -> None:
    """With a key of its own, or the wanted one; a second order changes nothing."""
    assert migrate(empty, SERVICE) == (None, schema.LATEST)
    before = described(empty)
    assert migrate(empty) == (schema.LATEST, schema.LATEST)
    assert described(empty) == before
    seed = bytes.fromhex(SERVICE.secret_key_hex)
    assert rows(empty, "SELECT schema, seed FROM service") == [(schema.LATEST, seed)]


def test_an_old_one_becomes_like_a_new_one(old: str, postgres_url: str) -> None:
    """In all that a program could notice."""
    assert described(old) != described(postgres_url)
    assert migrate(old) == (3, schema.LATEST)
    assert described(old) == described(postgres_url)
    size = sum(length for (length,) in rows(old, "SELECT length(content) FROM secrets"))
    size += sum(len(keys.secret_key(each)) for each in ("x", LONG)) + len(LONG)
    assert rows(old, "SELECT secrets, bytes FROM spaces") == [(2, size)]
    assert rows(old, "SELECT creator, made, note FROM auth_codes") == [(b"", 0, "")]
    assert rows(old, "SELECT count(*) FROM used_signatures") == [(0,)]


@ON_ASYNCIO
@pytest.mark.anyio
async def test_an_upgraded_one_goes_on(
    old: str, clock: Clock, follow: Callable[[Node], Any]
) -> None:
    """The service keeps its key, everybody what is his, and the feed goes on where it was."""
    migrate(old)
    async with create_service(old, now=clock) as service:
        assert service.node_id == SERVICE.node_id
        alice = Node(service, clock, ALICE)
        assert [await alice.get(each) for each in ("x", LONG)] == ["kept", "kept"]
        follower = follow(alice)
        page = await follower.ask(feed=(b"f" * 16).hex(), since=OPENED + 1)
        assert [change.revision for change in page.changes] == [OPENED + 2]
        await alice.do(requests.DeleteSecret, secret_id=LONG)
        assert rows(old, "SELECT secrets FROM spaces") == [(1,)]


@pytest.mark.parametrize("which", ["empty", "old"])
def test_several_orders_at_once_are_one(which: str, request: pytest.FixtureRequest) -> None:
    """One of them does it; the others find it done."""
    url: str = request.getfixturevalue(which)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(migrate, [url] * 8))
    done = (schema.LATEST, schema.LATEST)
    assert sorted(outcomes, key=str) == sorted(
        [(3 if which == "old" else None, schema.LATEST), *[done] * 7], key=str
    )
    assert rows(url, "SELECT count(*) FROM service") == [(1,)]


@pytest.mark.parametrize("which", ["empty", "old"])
def test_one_that_fails_changes_nothing(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one transaction, tables included."""
    url: str = request.getfixturevalue(which)
    before = described(url)
    statements = schema.statements

    def broken(script: str, *, postgres: bool = False) -> Iterator[str]:
        yield from statements(script, postgres=postgres)
        yield "UPDATE nothing SET schema = 2"

    monkeypatch.setattr(schema, "statements", broken)
    with pytest.raises(ConfigError, match="cannot use the database"):
        migrate(url)
    monkeypatch.undo()
    assert described(url) == before
    migrate(url)


def test_one_that_is_newer_or_was_never_made_is_left_alone(postgres_url: str) -> None:
    """In words that say what to do."""
    for version, words in ((99, "is of version 99.*update smfs"), (2, "which never was one")):
        rows(postgres_url, "UPDATE service SET schema = ?", version)
        with pytest.raises(ConfigError, match=words):
            migrate(postgres_url)
        assert rows(postgres_url, "SELECT schema FROM service") == [(version,)]


def test_a_database_that_cannot_be_reached_is_named_without_a_password(empty: str) -> None:
    """The words of libpq are, too."""
    url = empty.replace("smfs@", "smfs:hunter2@").rpartition("/")[0] + "/missing"
    with pytest.raises(ConfigError, match="missing") as raised:
        migrate(url)
    assert "hunter2" not in str(raised.value)
    with pytest.raises(ConfigError, match="not one that PostgreSQL knows") as raised:
        migrate("postgresql://smfs:hunter2@[::1/x")
    assert "hunter2" not in str(raised.value)


@ON_ASYNCIO
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("which", "version", "words"),
    [
        ("empty", None, "has no tables of smfs yet: run smfs service migrate"),
        ("old", None, "is of version 3, this program needs .*: run smfs service migrate"),
        ("postgres_url", 99, "is of version 99, this program knows .*: update smfs"),
    ],
)
async def test_a_service_refuses_what_is_not_up_to_date(
    which: str, version: int | None, words: str, request: pytest.FixtureRequest
) -> None:
    """And changes nothing of it."""
    url: str = request.getfixturevalue(which)
    if version is not None:
        rows(url, "UPDATE service SET schema = ?", version)
    before = described(url)
    with pytest.raises(ConfigError, match=words) as raised:
        async with create_service(url):
            pass
    assert url.rpartition("@")[2] in str(raised.value)
    assert described(url) == before
