"""Renames, scratch files and directories: nothing is lost, and what need not travel does not."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.errors import (
    DirectoryNotEmpty,
    InvalidName,
    NameTaken,
    NoSuchName,
    OtherArea,
    ServiceUnavailable,
)
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any


async def scratch(own: Kernel, path: str, content: bytes) -> None:
    """Makes a scratch file as editors do."""
    _, opened = await own.create(path, exclusive=True, read=True)
    await opened.write(0, content)
    await opened.flush()
    await opened.release()


async def test_a_rename_moves_the_secret(own: Kernel) -> None:
    """And replaces what was there."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    await own.mv("own/a", "own/b")

    assert await own.ls("own") == ["b"]
    assert await own.read("own/b") == b"A"
    with pytest.raises(NoSuchName):
        await own.mv("own/a", "own/c")


async def test_a_rename_may_not_replace(own: Kernel) -> None:
    """`mv -n` by renameat2 asks for that."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    with pytest.raises(NameTaken):
        await own.mv("own/a", "own/b", no_replace=True)

    assert await own.read("own/b") == b"B"


async def test_a_rename_that_fails_changes_nothing(own: Kernel) -> None:
    """The old name keeps its secret, the new one gets none."""
    await own.write("own/a", b"A")
    await own.walk("own/a")
    parent = await own.walk("own")
    own.wire.is_cut = True
    with pytest.raises(ServiceUnavailable):
        await own.tree.rename(parent.inode, b"a", parent.inode, b"b")
    own.wire.is_cut = False

    assert await own.ls("own") == ["a"]
    assert await own.read("own/a") == b"A"


async def test_a_rename_that_fails_half_way_leaves_two_files(own: Kernel) -> None:
    """The kernel goes on calling the node by its old name: what is written there lands there."""
    await own.write("own/a", b"A")
    node, parent = await own.walk("own/a"), await own.walk("own")
    own.wire.cut_routes.add("deleteSecret")
    with pytest.raises(ServiceUnavailable):
        await own.tree.rename(parent.inode, b"a", parent.inode, b"b")
    own.wire.cut_routes.clear()

    opened = await own.tree.open(node.inode, Intent(read=True, write=True, truncate=True))
    await opened.write(0, b"new")
    await opened.flush()
    await opened.release()
    assert await own.read("own/a") == b"new"
    assert await own.read("own/b") == b"A"
    assert await own.ls("own") == ["a", "b"]


async def test_scratch_files_never_travel(own: Kernel) -> None:
    """They are files like others here, until they are gone."""
    await scratch(own, "own/.a.swp", b"x")
    await scratch(own, "own/4913", b"")
    await own.write("own/#a#", b"y")

    assert await own.ls("own") == ["#a#", ".a.swp", "4913"]
    assert await own.read("own/.a.swp") == b"x"
    await own.rm("own/4913")
    assert await own.ls("own") == ["#a#", ".a.swp"]
    assert own.wire.requests["setSecret"] == 0
    assert own.wire.requests["deleteSecret"] == 0


async def test_echo_to_a_name_like_a_scratch_file_makes_a_secret(own: Kernel) -> None:
    """Only O_EXCL or a rename makes it scratch."""
    await own.write("own/4913", b"x")

    assert own.wire.requests["setSecret"] == 1


async def test_saving_by_a_temporary_file_is_one_upload(own: Kernel) -> None:
    """The temporary file of `sed -i` never travels."""
    await own.write("own/a", b"old")
    await scratch(own, "own/sedAbC123", b"new")
    await own.mv("own/sedAbC123", "own/a")

    assert await own.read("own/a") == b"new"
    assert await own.ls("own") == ["a"]
    assert own.wire.requests["setSecret"] == 2
    assert own.wire.requests["deleteSecret"] == 0


async def test_an_editors_backup_hides_the_secret_until_it_is_unlinked(
    world: World, own: Kernel
) -> None:
    """A crash between the two brings it back: the service has it all the time."""
    other = await world.mount(own.view.client.secret_key_hex, ttl=0)
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")

    assert await own.ls("own") == ["a~"]
    assert await own.read("own/a~") == b"old"
    assert await other.ls("own") == ["a"]
    await own.rm("own/a~")
    assert await own.ls("own") == []
    assert await other.ls("own") == []


async def test_a_backup_of_what_was_written_anew_is_only_forgotten(own: Kernel) -> None:
    """vim: rename to the backup, write anew, unlink the backup."""
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")
    await own.write("own/a", b"new")
    assert await own.read("own/a~") == b"old"
    await own.rm("own/a~")

    assert await own.read("own/a") == b"new"
    assert own.wire.requests["deleteSecret"] == 0


async def test_a_hidden_secret_comes_back_by_a_rename(own: Kernel) -> None:
    """Unchanged, without any upload."""
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")
    await own.mv("own/a~", "own/a")

    assert await own.ls("own") == ["a"]
    assert await own.read("own/a") == b"old"
    assert own.wire.requests["setSecret"] == 1


async def test_a_hidden_secret_may_come_back_as_another(own: Kernel) -> None:
    """Then the old id is deleted, after the new one was set."""
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")
    await own.mv("own/a~", "own/b")

    assert await own.ls("own") == ["b"]
    assert await own.read("own/b") == b"old"


async def test_what_is_put_where_a_backup_hides_a_secret_is_a_secret(own: Kernel) -> None:
    """`sed -i~`, `mv -b`: rename to the backup, rename the new file to the name."""
    for made_by in ("own/sedAbC123", "own/other"):
        await own.write("own/a", b"old")
        await own.mv("own/a", "own/a~")
        if made_by == "own/other":
            await own.write(made_by, b"new")
        else:
            await scratch(own, made_by, b"new")
        await own.mv(made_by, "own/a")

        assert await own.read("own/a") == b"new"
        await own.rm("own/a~")
        assert await own.read("own/a") == b"new"
        assert await own.view.client.get_secret("a") == "new"


async def test_a_hidden_secret_that_is_set_elsewhere_is_not_deleted(
    world: World, own: Kernel
) -> None:
    """It is another one by then."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")
    await other.write("own/a", b"new")
    await own.rm("own/a~")

    assert await other.read("own/a") == b"new"
    assert await own.read("own/a") == b"new"


async def test_a_hidden_secret_that_is_deleted_elsewhere_can_be_put_back(
    world: World, own: Kernel
) -> None:
    """By an upload then."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")
    await other.rm("own/a")
    await own.mv("own/a~", "own/a")

    assert await other.read("own/a") == b"old"


async def test_what_is_brought_from_outside_travels(own: Kernel) -> None:
    """`mv notes~ own/` creates with O_EXCL alone, and removes the only other copy."""
    for name in ("notes~", "x.swp", "4913", ".goutputstream-X"):
        _, opened = await own.create(f"own/{name}", exclusive=True)
        await opened.write(0, b"x")
        await opened.flush()
        await opened.release()

    assert own.wire.requests["setSecret"] == 4


async def test_the_scratch_files_of_vim_do_not(own: Kernel) -> None:
    """It asks for no symbolic link to be followed."""
    for name in ("a~", "4913", ".a.swp"):
        _, opened = await own.create(f"own/{name}", exclusive=True, no_follow=True)
        await opened.flush()
        await opened.release()

    assert own.wire.requests["setSecret"] == 0


async def test_rsyncs_temporary_file_becomes_what_it_is_for(own: Kernel) -> None:
    """Even if that looks like a backup."""
    await own.write("own/.a~.Xy12Ab", b"x")
    await own.mv("own/.a~.Xy12Ab", "own/a~")
    await own.view.refresh(0)

    assert sorted(own.view.own()) == ["a~"]


async def test_empty_directories_move_with_their_parent(own: Kernel) -> None:
    """And what is made in them afterwards is seen."""
    await own.mkdir("own/a")
    await own.mkdir("own/a/empty")
    await own.mkdir("own/a/empty/below")
    await own.write("own/a/x", b"x")
    await own.mv("own/a", "own/b")

    assert await own.ls("own/b") == ["empty", "x"]
    assert await own.ls("own/b/empty") == ["below"]
    assert await own.ls("own") == ["b"]


async def test_directories_are_made_filled_and_removed(world: World, own: Kernel) -> None:
    """An empty one lasts until the unmount; one that was seen stays when it gets empty."""
    await own.mkdir("own/db")
    assert await own.ls("own") == ["db"]
    await own.write("own/db/password", b"x")
    with pytest.raises(DirectoryNotEmpty):
        await own.rmdir("own/db")
    await own.rm("own/db/password")
    assert await own.ls("own") == ["db"]
    await own.rmdir("own/db")

    assert await own.ls("own") == []
    assert await (await world.mount(own.view.client.secret_key_hex)).ls("own") == []


async def test_a_secret_and_a_directory_of_one_name(own: Kernel) -> None:
    """The secret is the file `%` in the directory."""
    await own.view.client.set_secret("a", "top")
    await own.view.client.set_secret("a/b", "below")

    assert await own.ls("own") == ["a"]
    assert await own.ls("own/a") == ["%", "b"]
    assert await own.read("own/a/%") == b"top"
    await own.write("own/a/%", b"new")
    assert await own.view.client.get_secret("a") == "new"


async def test_renaming_a_directory_moves_every_secret(own: Kernel) -> None:
    """Each is set under its new id before the old one is deleted."""
    for name in ("a", "a/x", "a/b/y", "ab"):
        await own.view.client.set_secret(name, name)
    await own.view.refresh(0)
    await own.mkdir("own/empty")
    await own.mv("own/a", "own/empty")

    assert await own.ls("own") == ["ab", "empty"]
    assert await own.ls("own/empty") == ["%", "b", "x"]
    assert await own.read("own/empty/b/y") == b"a/b/y"
    assert await own.read("own/empty/%") == b"a"
    assert sorted(await own.view.client.get_secret_space() and own.view.own()) == [
        "ab",
        "empty",
        "empty/b/y",
        "empty/x",
    ]


async def test_open_files_follow_a_renamed_directory(own: Kernel) -> None:
    """What is written afterwards goes to the new id."""
    await own.mkdir("own/a")
    await own.write("own/a/x", b"old")
    _, opened = await own.open("own/a/x", write=True)
    await own.mv("own/a", "own/b")
    await opened.write(0, b"new")
    await opened.flush()
    await opened.release()

    assert await own.read("own/b/x") == b"new"
    assert await own.ls("own") == ["b"]


async def test_a_directory_cannot_move_into_itself(own: Kernel) -> None:
    """Nor over one that holds something."""
    await own.mkdir("own/a")
    await own.mkdir("own/a/b")
    await own.mkdir("own/full")
    await own.write("own/full/x", b"x")
    with pytest.raises(InvalidName):
        await own.mv("own/a", "own/a/b/c")
    with pytest.raises(DirectoryNotEmpty):
        await own.mv("own/a", "own/full")


async def test_a_large_directory_is_copied(own: Kernel) -> None:
    """`mv` does that when it is told that the target is another filesystem."""
    await own.mkdir("own/a")
    for number in range(101):
        await own.view.write_own(f"a/{number}", b"x")
    with pytest.raises(OtherArea):
        await own.mv("own/a", "own/b")

    assert len(await own.ls("own/a")) == 101


async def test_nothing_is_renamed_across_areas(own: Kernel) -> None:
    """`mv` copies."""
    await own.write("own/a", b"x")
    with pytest.raises(OtherArea):
        await own.mv("own/a", f"shared/{own.node_id}/a")
