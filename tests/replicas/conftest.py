"""Replicas over one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.replicas.databases import made_database
from tests.replicas.replicas import Replicas

OPTIONS: Final = ("--allow-private-hooks", "--trusted-proxy=127.0.0.1")


@pytest.fixture(params=["sqlite", "postgres"])
def replicas(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Replicas]:
    """Three of them, which may call hooks on this machine."""
    is_postgres = request.param == "postgres"
    with (
        made_database(tmp_path, postgres=is_postgres) as database,
        Replicas(database, tmp_path, options=OPTIONS) as made,
    ):
        yield made
