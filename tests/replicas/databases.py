"""Databases for services, gone when they are not needed any more."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.postgres import Cluster
from tests.replicas.replicas import PROGRAM


@contextlib.contextmanager
def made_database(directory: Path, *, postgres: bool) -> Iterator[str | Path]:
    """An empty database as `smfs serve --db` takes it: in a PostgreSQL of its own, or a file."""
    if not postgres:
        yield directory / "service.db"
        return
    with Cluster() as cluster:
        url = cluster.create_database()
        migrate(url)
        yield url


def migrate(url: str) -> None:
    """Makes the tables that services need, as an operator does."""
    subprocess.run([PROGRAM, "service", "migrate", "--db", url], check=True, capture_output=True)
