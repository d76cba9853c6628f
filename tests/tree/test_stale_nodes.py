"""What nodes and open files show whose name got another version, another file or none."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.errors import StaleNode
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any


async def test_an_open_file_keeps_its_snapshot(world: World, own: Kernel) -> None:
    """The name gets a new inode; without an open file the number stays."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"first")
    inode, opened = await own.open("own/a")
    await other.write("own/a", b"second")

    assert await own.read("own/a") == b"second"
    assert await opened.read(0, 100) == b"first"
    fresh = (await own.stat("own/a")).inode
    assert fresh != inode
    await opened.release()
    await other.write("own/a", b"third")
    assert await own.read("own/a") == b"third"
    assert (await own.stat("own/a")).inode == fresh


async def test_a_node_that_cannot_show_the_change_is_stale(world: World, own: Kernel) -> None:
    """So the kernel looks the name up once more, and programs see no error."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"first")
    node = await own.walk("own/a")
    opened = await own.tree.open(node.inode, Intent())
    await other.write("own/a", b"second")

    with pytest.raises(StaleNode):
        await own.tree.open(node.inode, Intent())
    await opened.release()


async def test_a_node_whose_name_got_another_file(own: Kernel) -> None:
    """A reader gets the new content; who changes it looks it up once more."""
    await own.write("own/a", b"old")
    node = await own.walk("own/a")
    await own.write("own/b", b"new")
    await own.mv("own/b", "own/a")

    opened = await own.tree.open(node.inode, Intent())
    assert await opened.read(0, 9) == b"new"
    await opened.release()
    for intent in (Intent(write=True), Intent(read=False, write=True, truncate=True)):
        with pytest.raises(StaleNode):
            await own.tree.open(node.inode, intent)
    with pytest.raises(StaleNode):
        await own.tree.set_attributes(node.inode, size=0)
    assert await own.read("own/a") == b"new"


async def test_what_is_left_of_a_directory_is_in_no_files_way(world: World, own: Kernel) -> None:
    """A directory whose secrets were deleted elsewhere goes when a secret gets its name there."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.mkdir("own/made")
    await other.mkdir("own/a")
    await other.mkdir("own/a/b")
    await other.write("own/a/b/c", b"1")
    assert await own.read("own/a/b/c") == b"1"
    await other.rm("own/a/b/c")
    await other.rmdir("own/a/b")
    await other.rmdir("own/a")
    await own.view.refresh(0)
    assert await own.ls("own/a/b") == []

    await other.write("own/a", b"file")
    await other.write("own/made", b"elsewhere")
    await own.view.refresh(0)

    assert await own.read("own/a") == b"file"
    assert await own.read("own/made/%") == b"elsewhere"


async def test_each_reader_of_a_stale_node_has_a_content_of_his_own(own: Kernel) -> None:
    """The kernel has the size and the pages of the old file: it must not show the new one so."""
    await own.write("own/a", b"old and long")
    node = await own.walk("own/a")
    for number in range(3):
        await own.write("own/b", b"%d" % number)
        await own.mv("own/b", "own/a")
        opened = await own.tree.open(node.inode, Intent())
        assert opened.direct_io
        assert await opened.read(0, 9) == b"%d" % number


async def test_a_reader_of_what_always_changes_gets_some_version(world: World, own: Kernel) -> None:
    """The kernel looks a stale name up only once more; then the program would see ESTALE."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"1")
    node = await own.walk("own/a")
    await other.write("own/a", b"22")
    with pytest.raises(StaleNode):
        await own.tree.open(node.inode, Intent())
    node = await own.walk("own/a")
    await other.write("own/a", b"333")

    opened = await own.tree.open(node.inode, Intent())
    assert opened.direct_io
    assert await opened.read(0, 9) == b"333"


async def test_a_node_whose_name_is_gone_is_stale(own: Kernel) -> None:
    """Whoever looked it up a moment before looks it up once more, and hears that it is gone."""
    await own.write("own/a", b"old")
    node = await own.walk("own/a")
    await own.rm("own/a")

    with pytest.raises(StaleNode):
        await own.tree.open(node.inode, Intent())


async def test_what_is_gone_has_no_links(own: Kernel) -> None:
    """Programs look at st_nlink to see whether their file was replaced."""
    await own.write("own/a", b"x")
    inode, opened = await own.open("own/a")
    assert (await own.tree.get_attributes(inode)).links == 1
    await own.rm("own/a")

    assert (await own.tree.get_attributes(inode)).links == 0
    await opened.release()
