#!/usr/bin/env python3
"""What lies below a service: a transaction on this disk, and the cryptography of a request."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from nacl import bindings

from smfs.crypto.box import seal_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity

IN_TURN = "these in turn"
ROW_BYTES = 1024
IN_MEMORY = ("tmpfs", "ramfs")


class Disk:
    """An SQLite file beside those of the services, written as durably as theirs.

    Args:
        file: a new one.
    """

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, content BLOB)")

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def commit(self) -> None:
        """One transaction of one row."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO rows (content) VALUES (?)", (os.urandom(ROW_BYTES),))
        self._connection.execute("COMMIT")


def cryptography() -> dict[str, Callable[[], object]]:
    """What a set cannot do without: one signature checked, one box sealed."""
    node = Identity(hashlib.sha256(b"floor").digest())
    digest = hashlib.sha256(b"request").digest()
    signed, key = node.sign(digest) + digest, bytes.fromhex(node.node_id)
    address = Address("own", node.node_id, node.node_id, "secret")
    envelope = seal_envelope(node, address, b"correct horse battery staple\n", 0).encode()
    return {
        "Ed25519 verify": lambda: bindings.crypto_sign_open(signed, key),
        "one box sealed": lambda: seal_box(node.node_id, envelope),
    }


def times(work: Callable[[], object], count: int) -> list[float]:
    """How many seconds each of some calls takes."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return found


class Floors:
    """The floors, measured again in each round.

    Each is measured by itself, time after time, and all of them in turn, as a set needs them: a
    processor that has slept while the disk was writing goes on with less in its caches.

    Args:
        directory: where the services' databases are.
    """

    def __init__(self, directory: Path) -> None:
        self._disk = Disk(directory / "floor.db")
        self._works = {"SQLite transaction": self._disk.commit, **cryptography()}
        self._times: dict[str, list[float]] = {name: [] for name in (*self._works, IN_TURN)}

    def close(self) -> None:
        """Closes the file."""
        self._disk.close()

    def measure(self, count: int) -> None:
        """Measures each so many times more."""
        for name, work in self._works.items():
            self._times[name] += times(work, count)
        self._times[IN_TURN] += times(self._in_turn, count)

    def _in_turn(self) -> None:
        for work in self._works.values():
            work()

    def medians(self) -> dict[str, float]:
        """The median of each, in seconds."""
        return {name: statistics.median(found) for name, found in self._times.items()}


def file_system(directory: Path) -> str:
    """The kind of the file system that a directory lies on."""
    path, best = directory.resolve(), ("", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mounted, _, kind = line.partition(" - ")
        point = mounted.split()[4]
        # A later mount on the same place hides an earlier one.
        if path.is_relative_to(point) and len(point) >= len(best[0]):
            best = point, kind.split()[0]
    return best[1]
