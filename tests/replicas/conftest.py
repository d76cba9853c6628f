"""Replicas over one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replicas.replicas import Replicas


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    """Three of them, which may call hooks on this machine."""
    database = tmp_path / "service.db"
    with Replicas(database, tmp_path, options=["--allow-private-hooks"]) as made:
        yield made
