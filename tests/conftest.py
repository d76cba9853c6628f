"""Fixtures that every part of the suite shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that all tests of one process share, so none of them may stop it."""
    with Cluster() as made:
        yield made


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """The URI of an empty database of the test's own."""
    made = postgres.create_database()
    yield made
    postgres.drop(made)
