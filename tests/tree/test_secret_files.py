"""What opening, reading, writing and closing a secret does."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.errors import (
    NameTaken,
    NoSuchName,
    OperationRefused,
    ServiceUnavailable,
    StaleNode,
    TooLarge,
)
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any


async def test_what_was_written_is_read_and_listed(own: Kernel) -> None:
    """With its size."""
    await own.write("own/password", b"hunter2\n")

    assert await own.read("own/password") == b"hunter2\n"
    assert await own.ls("own") == ["password"]
    assert (await own.stat("own/password")).size == 8


async def test_a_shells_echo_makes_one_upload(own: Kernel) -> None:
    """Though it flushes once before it writes, and creates the file empty."""
    await own.write("own/a", b"x\n")
    await own.write("own/a", b"y\n")

    assert own.wire.requests["setSecret"] == 2


async def test_nobody_sees_a_file_empty_while_it_is_written(world: World, own: Kernel) -> None:
    """Neither a new one nor one that is written anew."""
    other = await world.mount(own.view.client.secret_key_hex, ttl=0)
    await own.write("own/a", b"old")

    _, opened = await own.open("own/a", write=True, truncate=True)
    _, created = await own.create("own/b")
    await opened.flush()
    await created.flush()

    assert await other.read("own/a") == b"old"
    assert await other.ls("own") == ["a"]
    await opened.write(0, b"new")
    await opened.flush()
    assert await other.read("own/a") == b"new"
    await opened.release()
    await created.release()


async def test_an_empty_file_is_uploaded_when_it_is_closed(world: World, own: Kernel) -> None:
    """`touch a` and `: > b` are seen elsewhere, too."""
    other = await world.mount(own.view.client.secret_key_hex, ttl=0)
    await own.write("own/b", b"old")
    _, created = await own.create("own/a")
    await created.flush()
    await created.release()
    _, opened = await own.open("own/b", write=True, truncate=True)
    await opened.flush()
    await opened.release()

    assert await other.read("own/a") == b""
    assert await other.read("own/b") == b""


async def test_two_writers_on_one_mount_write_into_one_file(own: Kernel) -> None:
    """As on any filesystem."""
    await own.write("own/a", b"0123456789")
    _, first = await own.open("own/a", write=True)
    _, second = await own.open("own/a", write=True)
    await first.write(0, b"AB")
    await second.write(8, b"YZ")

    assert await first.read(0, 100) == b"AB234567YZ"
    await first.flush()
    await first.release()
    await second.flush()
    await second.release()
    assert await own.read("own/a") == b"AB234567YZ"


async def test_appending_starts_at_the_end_that_another_mount_made(
    world: World, own: Kernel
) -> None:
    """The kernel takes the offset from the size that it was last told."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/log", b"one\n")
    assert await other.read("own/log") == b"one\n"
    await own.append("own/log", b"two\n")
    await other.append("own/log", b"three\n")

    assert await own.read("own/log") == b"one\ntwo\nthree\n"


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


async def test_the_later_close_wins_whole(world: World, own: Kernel) -> None:
    """Two mounts write one file: never a mixture."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"0" * 10)
    _, mine = await own.open("own/a", write=True)
    _, theirs = await other.open("own/a", write=True)
    await mine.write(0, b"1")
    await theirs.write(9, b"2")
    await mine.flush()
    await theirs.flush()
    await mine.release()
    await theirs.release()

    assert await own.read("own/a") == b"0" * 9 + b"2"


async def test_unlinked_while_open_is_never_uploaded(own: Kernel) -> None:
    """What was open can still be read and written, by those who have it open."""
    await own.write("own/a", b"content")
    _, opened = await own.open("own/a", write=True)
    await opened.write(0, b"C")
    await own.rm("own/a")
    await opened.flush()
    uploads = own.wire.requests["setSecret"]
    assert await opened.read(0, 100) == b"Content"
    await opened.release()

    assert own.wire.requests["setSecret"] == uploads
    assert await own.ls("own") == []
    with pytest.raises(NoSuchName):
        await own.stat("own/a")


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


async def test_truncating_by_an_open_for_reading_is_uploaded(own: Kernel) -> None:
    """open(2) leaves O_RDONLY | O_TRUNC open; Linux truncates."""
    await own.write("own/a", b"x")
    _, opened = await own.open("own/a", truncate=True)
    await opened.flush()
    await opened.release()

    assert await own.view.client.get_secret("a") == ""


async def test_renamed_while_open_goes_to_the_new_id(own: Kernel) -> None:
    """Also when it was never uploaded."""
    _, opened = await own.create("own/a")
    await opened.write(0, b"content")
    await own.mv("own/a", "own/b")
    await opened.flush()
    await opened.release()

    assert await own.ls("own") == ["b"]
    assert await own.read("own/b") == b"content"
    assert own.wire.requests["setSecret"] == 1


async def test_truncating_a_path_uploads_at_once(world: World, own: Kernel) -> None:
    """There is no close that could do it."""
    other = await world.mount(own.view.client.secret_key_hex)
    await own.write("own/a", b"content")
    node = await own.walk("own/a")

    assert (await own.tree.set_attributes(node.inode, size=3)).size == 3
    assert await other.read("own/a") == b"con"
    await own.tree.set_attributes(node.inode, size=5)
    assert await other.read("own/a") == b"con\0\0"
    await own.tree.set_attributes(node.inode, size=0)
    assert await other.read("own/a") == b""


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


async def test_exclusive_creation_of_what_is_there_is_refused(world: World, own: Kernel) -> None:
    """Also when another mount made it a moment ago."""
    other = await world.mount(own.view.client.secret_key_hex, ttl=1000)
    await other.ls("own")
    await own.write("own/a", b"x")
    parent = await other.walk("own")

    with pytest.raises(NameTaken):
        await other.tree.create(parent.inode, b"a", Intent(write=True, exclusive=True))


async def test_a_missing_name_costs_no_listing_where_listings_are_slow(
    world: World, own: Kernel
) -> None:
    """One short request says whether somebody else has made it meanwhile."""
    other = await world.mount(own.view.client.secret_key_hex)
    own.wire.listings_take = 0.2
    with pytest.raises(NoSuchName):
        await own.walk("own/a")
    listings = own.wire.requests["getSecretSpace"]
    with pytest.raises(NoSuchName):
        await own.walk("own/a")
    await other.write("own/a", b"new")

    assert await own.read("own/a") == b"new"
    assert own.wire.requests["getSecretSpace"] == listings


async def test_the_softwares_own_ids_are_hidden(own: Kernel) -> None:
    """`.smfs` cannot be seen or made."""
    await own.view.client.set_secret(".smfs/x", "1")

    assert await own.ls("own") == []
    with pytest.raises(NoSuchName):
        await own.walk("own/.smfs")
    with pytest.raises(OperationRefused):
        await own.create("own/.smfs")
    with pytest.raises(OperationRefused):
        await own.mkdir("own/.smfs")


async def test_times_can_be_set_and_last_until_another_version(own: Kernel) -> None:
    """So `cp -a`, `rsync -a` and `tar x` are content."""
    await own.write("own/a", b"x")
    node = await own.walk("own/a")
    await own.tree.set_attributes(node.inode, accessed=5, modified=1_000_000_007)
    assert (await own.stat("own/a")).times.modified == 1_000_000_007
    assert (await own.stat("own/a")).times.accessed == 5
    await own.write("own/a", b"y")

    assert (await own.stat("own/a")).times.modified > 1_000_000_007


async def test_extended_attributes_tell_who_wrote_it(own: Kernel) -> None:
    """And that the signature fits."""
    await own.write("own/a", b"x")
    inode = (await own.walk("own/a")).inode

    async def value(name: bytes) -> bytes:
        told: bytes = await own.tree.extended_attribute(inode, b"user.smfs." + name)
        return told

    assert await value(b"node") == own.node_id.encode()
    assert await value(b"verified") == b"yes"
    assert await value(b"one-time") == b"no"
    assert await value(b"state") == b"clean"
    assert await value(b"source") == b"live"
    assert int(await value(b"age")) < 5
    assert (await value(b"signed-at")).startswith(b"20")
