"""A start that does not come to its end leaves nothing open."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from smfs.crypto.identity import Identity
from smfs.service import create_service
from smfs.service.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def open_files(directory: Path) -> list[str]:
    """The files below a directory that this process has open."""
    names = (_target(link) for link in Path("/proc/self/fd").iterdir())
    return [name for name in names if name.startswith(str(directory))]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


async def test_a_start_cancelled_while_the_database_opens_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that opens it is waited for, and what it opened is closed."""
    open_in_thread = SqliteStore._open
    was_open = []

    def open_and_cancel(store: SqliteStore, wanted: Identity | None) -> Identity:
        identity = open_in_thread(store, wanted)
        was_open.extend(open_files(tmp_path))
        store._post(scope.cancel)
        return identity

    monkeypatch.setattr(SqliteStore, "_open", open_and_cancel)
    with anyio.CancelScope() as scope:
        async with create_service(tmp_path / "service.db"):
            await anyio.sleep_forever()
    assert was_open
    assert open_files(tmp_path) == []
