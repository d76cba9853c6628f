"""`.names`: petnames are files there, each with the id of a node."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from smfs.client.petnames import petname_id
from smfs.errors import (
    InvalidInput,
    InvalidName,
    NameTaken,
    NoAttribute,
    NoSuchName,
    OperationRefused,
    OtherArea,
    ServiceUnavailable,
    TooLarge,
)
from smfs.tree.node import Intent
from tests.tree.petnames.conftest import BOB, STRANGER, target

pytestmark = pytest.mark.trio

Kernel = Any


@pytest.mark.parametrize(
    "written", [BOB, f"{BOB}\n", f"  {BOB} \n", f"0x{BOB}\n", f"{BOB.upper()}\n", f"0X{BOB}\r\n"]
)
async def test_a_node_id_is_written_and_read(alice: Kernel, twin: Kernel, written: str) -> None:
    """In the one form, whatever form it was given in; on the other machine, too."""
    await alice.write(".names/bob", written.encode())

    assert await alice.ls(".names") == await twin.ls(".names") == ["bob"]
    for kernel in (alice, twin):
        assert await kernel.read(".names/bob") == f"{BOB}\n".encode()
        assert (await kernel.stat(".names/bob")).size == 65
    assert (await alice.stat(".names/bob")).mode == stat.S_IFREG | 0o600
    assert await alice.ls("own") == []


@pytest.mark.parametrize("written", ["bob\n", "\n", f"{BOB}0\n", f"{BOB}\n{STRANGER}\n", "ä\n"])
async def test_a_line_of_nonsense_fails_while_it_is_written(alice: Kernel, written: str) -> None:
    """Shells tell of that, and drop what a close says; no petname is made by it."""
    _, opened = await alice.create(".names/bob")
    with pytest.raises(InvalidInput):
        await opened.write(0, written.encode())
    await opened.flush()
    await opened.release()

    assert await alice.ls(".names") == []
    assert alice.status()["failures"][0]["path"] == ".names/bob"
    await alice.write(".names/bob", f"{BOB}\n".encode())
    assert alice.status()["failures"] == []


async def test_nonsense_without_a_line_end_fails_at_close(alice: Kernel) -> None:
    """What was there stays."""
    with pytest.raises(InvalidInput):
        await alice.write(".names/bob", BOB[:-1].encode())
    assert await alice.ls(".names") == []
    await alice.write(".names/bob", BOB.encode())
    with pytest.raises(InvalidInput):
        await alice.write(".names/bob", b"x")
    _, opened = await alice.open(".names/bob", write=True)
    with pytest.raises(InvalidInput):
        await opened.write(65, f"{STRANGER}\n".encode())
    await opened.release()
    with pytest.raises(TooLarge):
        await alice.write(".names/bob", b"0" * 5000)

    assert await alice.read(".names/bob") == f"{BOB}\n".encode()


async def test_another_node_id_replaces_the_first(alice: Kernel, twin: Kernel) -> None:
    """For both machines, at the first flush."""
    await alice.write(".names/bob", BOB.encode())
    assert await twin.read(".names/bob") == f"{BOB}\n".encode()
    await alice.write(".names/bob", STRANGER.encode())

    assert await alice.read(".names/bob") == f"{STRANGER}\n".encode()
    assert await twin.read(".names/bob") == f"{STRANGER}\n".encode()


async def test_a_name_that_nothing_is_written_into_is_none(alice: Kernel) -> None:
    """`touch` and fsync are told; `: >` is as if it had not been."""
    node, opened = await alice.create(".names/bob")
    assert await alice.ls(".names") == ["bob"]
    with pytest.raises(InvalidInput):
        await opened.sync()
    with pytest.raises(InvalidInput):
        await alice.tree.set_attributes(node.inode, modified=1)
    assert await alice.ls(".names") == []
    await opened.release()
    _, opened = await alice.create(".names/bob")
    await opened.flush()
    await opened.release()

    assert await alice.ls(".names") == []
    assert alice.status()["failures"] == []
    with pytest.raises(NoSuchName):
        await alice.walk(".names/bob")


async def test_emptying_a_name_changes_nothing(alice: Kernel, twin: Kernel) -> None:
    """It is changed only by another node id; a truncation that nobody follows up is refused."""
    await alice.write(".names/bob", BOB.encode())
    inode, opened = await alice.open(".names/bob", write=True, truncate=True)
    await alice.tree.set_attributes(inode, size=0, opened=opened)
    await opened.flush()
    await opened.release()
    with pytest.raises(InvalidInput):
        await alice.tree.set_attributes(inode, size=0)
    await alice.tree.set_attributes(inode, modified=1)

    assert await alice.read(".names/bob") == f"{BOB}\n".encode()
    assert await twin.read(".names/bob") == f"{BOB}\n".encode()


async def test_unlinking_takes_the_name_away(alice: Kernel, twin: Kernel) -> None:
    """Once."""
    await alice.write(".names/bob", BOB.encode())
    await twin.walk(".names/bob")
    await alice.rm(".names/bob")

    assert await twin.ls(".names") == []
    with pytest.raises(NoSuchName):
        await alice.walk(".names/bob")
    names = (await twin.walk(".names")).inode
    for name in (b"bob", b"No Name"):
        with pytest.raises(NoSuchName):
            await twin.tree.unlink(names, name)


async def test_a_new_name_is_withdrawn(alice: Kernel) -> None:
    """Before the service was told of it."""
    _, opened = await alice.create(".names/bob")
    await opened.write(0, BOB.encode())
    await alice.rm(".names/bob")
    await opened.flush()
    await opened.release()

    assert await alice.ls(".names") == []


async def test_a_rename_keeps_the_node(alice: Kernel, twin: Kernel) -> None:
    """Onto a name that is taken, too, unless that is not wanted."""
    await alice.write(".names/bob", BOB.encode())
    await alice.write(".names/carol", STRANGER.encode())
    inode = (await alice.walk(".names/bob")).inode
    with pytest.raises(NameTaken):
        await alice.mv(".names/bob", ".names/carol", no_replace=True)
    await alice.mv(".names/bob", ".names/bob")
    await alice.mv(".names/bob", ".names/robert")
    assert await alice.ls(".names") == ["carol", "robert"]
    assert (await alice.walk(".names/robert")).inode == inode
    await alice.mv(".names/robert", ".names/carol")

    assert await twin.ls(".names") == ["carol"]
    assert await twin.read(".names/carol") == f"{BOB}\n".encode()
    with pytest.raises(NoSuchName):
        await alice.mv(".names/robert", ".names/x")


async def test_a_rename_of_what_is_still_written(alice: Kernel) -> None:
    """It is stored under its new name."""
    _, opened = await alice.create(".names/bob")
    await alice.mv(".names/bob", ".names/robert")
    await opened.write(0, BOB.encode())
    await opened.flush()
    await opened.release()

    assert await alice.ls(".names") == ["robert"]


async def test_a_rename_stays_in_names(alice: Kernel) -> None:
    """`mv` copies from and to elsewhere."""
    await alice.write(".names/bob", BOB.encode())
    await alice.write("own/a", BOB.encode())
    with pytest.raises(OtherArea):
        await alice.mv("own/a", ".names/a")
    with pytest.raises(OtherArea):
        await alice.mv(".names/bob", "own/bob")
    with pytest.raises(InvalidName):
        await alice.mv(".names/bob", ".names/Bob")


@pytest.mark.parametrize("name", ["Bob", ".bob", "b ob", "b" * 64, BOB, "bob~", "bjørn"])
async def test_what_can_be_no_petname_leads_nowhere(alice: Kernel, name: str) -> None:
    """And nothing is made of it."""
    with pytest.raises(NoSuchName):
        await alice.walk(f".names/{name}")
    with pytest.raises(InvalidName):
        await alice.create(f".names/{name}")
    assert sum(alice.wire.requests.values()) == 0


async def test_names_holds_files_only(alice: Kernel) -> None:
    """No directories, and no extended attributes."""
    await alice.write(".names/bob", BOB.encode())
    with pytest.raises(OperationRefused):
        await alice.mkdir(".names/carol")
    with pytest.raises(NoAttribute):
        await alice.tree.extended_attribute((await alice.walk(".names/bob")).inode, b"user.x")
    _, opened = await alice.create(".names/bob")
    await opened.release()
    with pytest.raises(NameTaken):
        await alice.create(".names/bob", exclusive=True)


async def test_an_away_service_is_told_at_once(alice: Kernel) -> None:
    """A shell would drop the error of the close; what is known is still read."""
    await alice.write(".names/bob", BOB.encode())
    alice.wire.is_cut = True

    assert await alice.read(".names/bob") == f"{BOB}\n".encode()
    assert await target(alice, "shared/bob") == BOB
    with pytest.raises(ServiceUnavailable):
        await alice.open(".names/bob", write=True)
    names = (await alice.walk(".names")).inode
    with pytest.raises(ServiceUnavailable):
        await alice.tree.create(names, b"carol", Intent(write=True))


async def test_what_was_refused_by_an_away_service_goes_later(alice: Kernel) -> None:
    """A flush that failed leaves what was written, and a later one sends it."""
    _, opened = await alice.create(".names/bob")
    await opened.write(0, BOB.encode())
    alice.wire.is_cut = True
    with pytest.raises(ServiceUnavailable):
        await opened.flush()
    alice.wire.is_cut = False
    await opened.flush()
    await opened.release()

    assert await alice.ls(".names") == ["bob"]


async def test_a_name_that_is_not_trusted_is_not_there(alice: Kernel, twin: Kernel) -> None:
    """It can be written anew, even by who wants to be the first."""
    await alice.view.write_own(petname_id("bob"), b"nobody")

    assert await twin.ls(".names") == await twin.ls("shared") == []
    with pytest.raises(NoSuchName):
        await twin.walk("shared/bob")
    _, opened = await twin.create(".names/bob", exclusive=True)
    await opened.write(0, BOB.encode())
    await opened.flush()
    await opened.release()
    assert await twin.read(".names/bob") == f"{BOB}\n".encode()
