"""Writes that are too large, or that no service takes: what stays, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.errors import ServiceUnavailable, StaleNode, TooLarge
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any


async def test_beyond_the_limit_the_old_content_stays(own: Kernel) -> None:
    """Refused at write and at truncate, before anything is allocated."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a", write=True)
    with pytest.raises(TooLarge):
        await opened.write(1 << 60, b"x")
    with pytest.raises(TooLarge):
        await own.tree.set_attributes((await own.walk("own/a")).inode, size=1 << 60)
    await opened.flush()
    await opened.release()

    assert await own.read("own/a") == b"old"


async def test_the_kernel_hears_that_a_new_file_was_refused(world: World) -> None:
    """Its name goes without a system call that says so."""
    kernel = await world.mount(follows=True)
    await kernel.ls("own")
    told: list[Happening] = []
    kernel.tree.listen(told.extend)
    with pytest.raises(TooLarge):
        await kernel.write("own/new", bytes(kernel.view.content_limit() + 1))

    assert [(one.kind, one.path[-1]) for one in told] == [(Kind.GONE, b"new")]


async def test_half_of_what_is_too_large_replaces_nothing(own: Kernel) -> None:
    """`cat big >a` fails, and what was written before the limit is not uploaded."""
    await own.write("own/a", b"old")
    limit = own.view.content_limit()
    for path in ("own/a", "own/b"):
        with pytest.raises(TooLarge):
            await own.write(path, b"x" * (limit + 1))
    _, opened = await own.open("own/a", write=True, truncate=True)
    await opened.write(0, b"x" * limit)
    with pytest.raises(TooLarge):
        await opened.write(limit, b"x")
    with pytest.raises(TooLarge):
        await opened.flush()
    await opened.release()

    assert await own.read("own/a") == b"old"
    assert await own.ls("own") == ["a"]


async def test_opening_for_writing_fails_while_the_service_is_away(own: Kernel) -> None:
    """Shells drop what a close says, so it has to be said early."""
    await own.write("own/a", b"old")
    own.wire.is_cut = True

    for path in ("own/a", "own/new"):
        with pytest.raises(ServiceUnavailable):
            await own.write(path, b"x")
    node = own.tree.inodes.get((await own.tree.lookup(1, b"own")).inode)
    with pytest.raises(ServiceUnavailable):
        await own.tree.create(node.inode, b"new", Intent(read=False, write=True))
    own.wire.is_cut = False
    assert await own.read("own/a") == b"old"
    assert await own.ls("own") == ["a"]


async def test_a_flush_that_failed_is_tried_by_the_next_one(own: Kernel) -> None:
    """And is listed until then."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a", write=True)
    await opened.write(0, b"new")
    own.wire.is_cut = True
    with pytest.raises(ServiceUnavailable):
        await opened.flush()
    assert [failure["path"] for failure in own.status()["failures"]] == ["own/a"]
    own.wire.is_cut = False
    await opened.flush()
    await opened.release()

    assert own.status()["failures"] == []
    assert await own.read("own/a") == b"new"


async def test_a_failed_flush_is_given_up_at_release(own: Kernel) -> None:
    """The old content stays, a file that never had any goes, and the list says so."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a", write=True, truncate=True)
    _, created = await own.create("own/b")
    own.wire.is_cut = True
    for file in (opened, created):
        await file.write(0, b"new")
        with pytest.raises(ServiceUnavailable):
            await file.flush()
        await file.release()
    own.wire.is_cut = False

    assert await own.read("own/a") == b"old"
    assert await own.ls("own") == ["a"]
    assert [failure["path"] for failure in own.status()["failures"]] == ["own/a", "own/b"]
    await own.write("own/a", b"new")
    await own.write("own/b", b"new")
    assert own.status()["failures"] == []


@pytest.mark.parametrize("truncate", [False, True])
async def test_after_a_failed_write_the_kernel_learns_the_size_anew(
    own: Kernel, *, truncate: bool
) -> None:
    """It appends at the size that it knows: the next append must not leave a hole, or cut."""
    await own.write("own/a", b"old")
    inode, opened = await own.open("own/a", write=True, truncate=truncate)
    own.wire.is_cut = True
    if not truncate:
        await opened.write(3, b"lost")
    with pytest.raises(ServiceUnavailable):
        await opened.sync()
    await opened.release()
    own.wire.is_cut = False

    with pytest.raises(StaleNode):
        await own.tree.open(inode, Intent(read=False, write=True))
    await own.append("own/a", b"new")
    assert await own.read("own/a") == b"oldnew"


async def test_what_failed_at_release_is_retried(own: Kernel) -> None:
    """Nobody could be told, so it goes on trying, and nobody here sees the old content."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a", write=True, truncate=True)
    own.wire.is_cut = True
    await opened.flush()
    await opened.release()
    assert own.status()["unsent"] == ["own/a"]
    assert await own.read("own/a") == b""
    own.wire.is_cut = False
    await own.wire.answered("setSecret")

    assert own.status()["failures"] == []
    assert own.status()["unsent"] == []
    await own.view.refresh(0)
    assert await own.read("own/a") == b""
