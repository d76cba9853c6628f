"""Databases for services, gone when they are not needed any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from smfs.service.store.postgres_database import migrate
from tests.postgres import Cluster


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
