"""What opening, reading, writing and closing a secret does."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.errors import (
    IdTooLong,
    InvalidName,
    NameTaken,
    NoSuchName,
    OperationRefused,
    SmfsError,
)
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


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("own/%-", InvalidName),
        ("own/" + "/".join(["d" * 200] * 41), IdTooLong),
    ],
)
async def test_a_name_that_no_service_takes_is_refused_at_once(
    own: Kernel, path: str, error: type[SmfsError]
) -> None:
    """Nobody writes what cannot be uploaded."""
    parts = path.split("/")
    for end in range(2, len(parts)):
        await own.mkdir("/".join(parts[:end]))
    with pytest.raises(error):
        await own.create(path)
    assert own.status()["unsent"] == []


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
