"""Databases for services, gone when they are not needed any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def made_database(directory: Path, *, postgres: bool) -> Iterator[str | Path]:
    """An empty database as `smfs serve --db` takes it: a PostgreSQL of our own, or a file."""
    yield directory / "service.db"
