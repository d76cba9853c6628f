"""Caches on disk, and records to keep in them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from smfs.client.cache import Cache
from smfs.client.records import Header, Loaded, NodeRecord, Place, Record, SecretRecord
from smfs.crypto.box import Box
from smfs.crypto.identity import Identity

SEED = bytes(range(32))
SERVICE = "http://service.test"
SENDER = "5e" * 32
CANARY = "canary-2718281828-yranac"
DISCOVERY = {"smfs": 1, "features": ["changes"]}


def header(revision: int = 1, **changes: Any) -> Header:
    """A header of this revision."""
    return replace(Header("feed", revision, 1.8e9, SERVICE, DISCOVERY), **changes)


def secret(secret_id: str, **changes: Any) -> SecretRecord:
    """A record of an own secret."""
    box = Box("b0" * 32, os.urandom(64).hex())
    record = SecretRecord(
        "",
        secret_id,
        7,
        one_time=False,
        box=box,
        token="aa" * 32,
        size=12,
        sender=SENDER,
        signed_at=1_800,
        changed_at=1.8e9,
    )
    return replace(record, **changes)


SOME: list[Record] = [
    secret("one"),
    secret("one", from_id=SENDER),
    secret("two", from_id=SENDER, revision=None, token=None, size=None, sender=None),
    secret("a/lone \ud800 surrogate", signed_at=None),
    secret(""),
    NodeRecord("sender", SENDER, None),
    NodeRecord("recipient", SENDER, 1.9e12),
]


def make(path: Path, *, seed: bytes = SEED, service: str = SERVICE, **options: int) -> Cache:
    """A cache that is not open yet."""
    return Cache(path, Identity(seed), service=service, **options)


async def opened(path: Path, **options: Any) -> Cache:
    """An open cache."""
    cache = make(path, **options)
    await cache.open()
    return cache


async def write(path: Path, records: Sequence[Record], head: Header | None = None) -> None:
    """Keeps these records and no other."""
    cache = await opened(path)
    await cache.write(head or header(), records, [], replace=True)
    await cache.aclose()


async def read(path: Path, **options: Any) -> Loaded | None:
    """What is kept, as the next process finds it."""
    cache = await opened(path, **options)
    assert cache.is_open
    try:
        return await cache.load()
    finally:
        await cache.aclose()


def everything(loaded: Loaded | None) -> dict[Place, Record]:
    """The records by place."""
    assert loaded is not None
    records: list[Record] = [*loaded.secrets, *loaded.nodes]
    found = by_place(records)
    assert len(found) == len(records)
    return found


def by_place(records: Sequence[Record]) -> dict[Place, Record]:
    """The records by place."""
    return {record.place: record for record in records}


def size_of(path: Path) -> int:
    """Bytes of a file."""
    return path.stat().st_size


@contextmanager
def inside(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a cache, to do to it what an attacker could."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection
