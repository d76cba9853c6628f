"""Why a database cannot be opened is told to who starts the service."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from smfs.errors import ConfigError, StoreFailed
from smfs.service.store import store_at

pytestmark = pytest.mark.anyio


async def refusal(place: Path | str) -> str:
    """What is said of a database that cannot be opened."""
    store = store_at(place)
    try:
        with pytest.raises((ConfigError, StoreFailed)) as raised:
            await store.open(None)
    finally:
        await store.aclose()
    return str(raised.value)


async def test_rights_that_a_role_lacks(postgres_url: str) -> None:
    """The database is named, and what to do; its password is not."""
    with psycopg.connect(postgres_url) as server:
        server.execute("REVOKE ALL ON service FROM smfs")
    told = await refusal(postgres_url.replace("smfs@", "smfs:hunter2@", 1))
    name = postgres_url.replace("smfs@", "", 1)
    assert told == (
        f"the database {name} failed: InsufficientPrivilege"
        " (grant the role rights on the tables, or make it their owner)"
    )


async def test_a_table_of_somebody_else(postgres_url: str) -> None:
    """That has the name of one of ours."""
    with psycopg.connect(postgres_url) as server:
        server.execute("ALTER TABLE service RENAME COLUMN schema TO release")
    told = await refusal(postgres_url)
    name = postgres_url.replace("smfs@", "", 1)
    assert told == f"the database {name} failed: UndefinedColumn"


async def test_a_file_that_may_not_be_opened(tmp_path: Path) -> None:
    """It is named once, and no number of an error is."""
    link = tmp_path / "service.db"
    link.symlink_to(tmp_path / "other.db")
    told = await refusal(link)
    assert told == f"cannot use the database {link}: Too many levels of symbolic links"
