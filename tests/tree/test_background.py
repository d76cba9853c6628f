"""What a mount does by itself: nothing that fails there ends it, or what else is to be done."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import trio.testing

from smfs.errors import ServiceUnavailable, TamperedSecret
from smfs.tree.failures import Failures

pytestmark = pytest.mark.trio

World = Any


async def test_an_upload_that_fails_as_nobody_foresaw_is_tried_again() -> None:
    """It stays listed until it is made good."""
    outcomes = [LookupError("canary"), None]

    async def upload() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    async with anyio.create_task_group() as tasks:
        failures = Failures(tasks, lambda: 0.0)
        failures.retry("own/s", ServiceUnavailable("away"), upload)
        await trio.testing.wait_all_tasks_blocked()
        failures.try_now()
        await trio.testing.wait_all_tasks_blocked()
        [failure] = failures.list()
        assert failure.retrying
        failures.try_now()
        await trio.testing.wait_all_tasks_blocked()
        assert not failures.list()


async def test_a_watcher_that_fails_ends_nothing(world: World) -> None:
    """The mount goes on to take changes over, and to tell the others of them."""
    mount = await world.mount(follows=True)
    heard = trio.Event()

    def fail() -> None:
        raise LookupError("canary")

    mount.tree.watch(fail)
    mount.tree.watch(heard.set)
    await mount.view.write_own("s", b"x")
    with trio.fail_after(10):
        await heard.wait()
    assert (await mount.walk("own/s")).size() == 1


async def test_what_cannot_be_trusted_is_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write of the same size is not refused because what is stored there does not open."""
    mount = await world.mount(follows=True)
    await mount.write("own/s", b"x")
    sets = mount.wire.requests["setSecret"]
    _, opened = await mount.open("own/s", write=True, truncate=True)
    await opened.write(0, b"y")

    async def refuse(*_: object) -> bytes:
        raise TamperedSecret("canary")

    monkeypatch.setattr(mount.view, "load", refuse)
    await opened.flush()
    await opened.release()
    monkeypatch.undo()
    assert mount.wire.requests["setSecret"] == sets + 1
    assert await mount.read("own/s") == b"y"
