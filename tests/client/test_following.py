"""What a view learns by following the feed, where the service itself tells of nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from smfs.client.embedded import embedded_transport
from smfs.client.view import Key, View
from smfs.errors import SecretNotFound, TamperedSecret
from smfs.service import Service, create_service

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def followed(view: View) -> AsyncIterator[None]:
    """The view follows its feed, and is live to begin with."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(view.follow)
            await view.wait_until_live(live=True)
            yield
            tasks.cancel_scope.cancel()


async def known(view: View, is_so: Callable[[], bool]) -> None:
    """Waits until what the view knows is as it should be."""
    generation = 0
    while not is_so():
        await view.wait_for_change(generation)
        generation = view.generation


async def test_a_sender_is_gone_when_his_closing_date_comes(
    alices_view: View, bobs_view: View, clock: Any, wire: Any
) -> None:
    """Not only when the service sweeps, which is up to a minute later."""
    bob = bobs_view.node_id
    async with followed(alices_view):
        await alices_view.accept(bob, clock.now_ms + 200)
        await bobs_view.share(alices_view.node_id, "id", b"x")
        await known(alices_view, lambda: "id" in alices_view.senders()[bob].secrets)
        clock.now_ms += 200
        await known(alices_view, lambda: bob not in alices_view.senders())
        asked = wire.count("/getSubSpace")

        await alices_view.accept(bob, None)
        assert bob in alices_view.senders()
        assert wire.count("/getSubSpace") == asked + 1


async def test_a_service_that_was_restored_from_a_backup_is_believed(
    alices_view: View, service: Service, wire: Any, clock: Any, tmp_path: Path
) -> None:
    """What it has lost is gone here, too, and what is older than what was seen is refused."""
    databases = tmp_path / "db" / "service.db", tmp_path / "backup.db"
    await alices_view.write_own("old", b"1")
    with (
        closing(sqlite3.connect(databases[0])) as source,
        closing(sqlite3.connect(databases[1])) as backup,
    ):
        source.backup(backup)
    databases[1].chmod(0o600)
    async with create_service(databases[1], now=clock) as restored, followed(alices_view):
        await alices_view.write_own("old", b"22")
        await alices_view.write_own("lost", b"333")
        newest = alices_view.own()["lost"].revision
        # Only a feed that goes farther than the backup shows that it is one.
        while alices_view._feed.cursor[1] != newest:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.01)
        wire.inner = embedded_transport(restored)
        service.end_waiting()
        await known(alices_view, lambda: "lost" not in alices_view.own())

        assert alices_view.peek(Key("own", "", "old")) is None
        with pytest.raises(TamperedSecret):
            await alices_view.read_own("old")
        with pytest.raises(SecretNotFound):
            await alices_view.read_own("lost")
        await alices_view.write_own("old", b"4444")
        assert (await alices_view.read_own("old")).content == b"4444"
