"""A start that does not come to its end leaves nothing open."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from smfs.crypto.identity import Identity
from smfs.service import create_service
from smfs.service.database import Database
from smfs.service.hooks import Notifier

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
    open_in_thread = Database._open
    was_open = []

    def open_and_cancel(database: Database, wanted: Identity | None) -> Identity:
        identity = open_in_thread(database, wanted)
        was_open.extend(open_files(tmp_path))
        anyio.from_thread.run_sync(scope.cancel)
        return identity

    monkeypatch.setattr(Database, "_open", open_and_cancel)
    with anyio.CancelScope() as scope:
        async with create_service(tmp_path / "service.db"):
            await anyio.sleep_forever()
    assert was_open
    assert open_files(tmp_path) == []


async def test_a_start_cancelled_in_its_last_step_closes_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs in the background by then ends, too."""

    async def cancel_and_wait(notifier: Notifier, *, task_status: object) -> None:
        scope.cancel()
        async with notifier._receive, notifier._send:
            await anyio.sleep_forever()

    monkeypatch.setattr(Notifier, "run", cancel_and_wait)
    with anyio.CancelScope() as scope:
        async with create_service(tmp_path / "service.db"):
            raise AssertionError
    assert scope.cancelled_caught
    assert open_files(tmp_path) == []
