"""`.names`, and the links that petnames are in the directories of nodes."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from smfs.client.petnames import petname_id
from smfs.crypto.identity import Identity
from smfs.errors import (
    AccessRefused,
    ClosureDatePassed,
    InvalidInput,
    InvalidName,
    IsADirectory,
    NameTaken,
    NoAttribute,
    NoSuchName,
    NotADirectory,
    OperationRefused,
    OtherArea,
    ServiceUnavailable,
    TooLarge,
)
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any
STRANGER = Identity(b"\1" * 32).node_id
BOB = Identity(b"\2" * 32).node_id
KEY = "a1" * 32


@pytest.fixture
async def alice(world: World) -> Kernel:
    """Who has petnames."""
    return await world.mount(KEY)


@pytest.fixture
async def twin(world: World, alice: Kernel) -> Kernel:
    """Her other machine, where listings are never older than now."""
    return await world.mount(KEY, ttl=0.0)


@pytest.fixture
async def bob(world: World, alice: Kernel) -> Kernel:
    """Who accepts her, and calls her `alice`."""
    kernel = await world.mount()
    await kernel.write(f".accept/{alice.node_id}", b"")
    await kernel.write(".names/alice", alice.node_id.encode() + b"\n")
    await alice.write(".names/bob", kernel.node_id.encode() + b"\n")
    return kernel


async def target(kernel: Kernel, path: str) -> str:
    """Where a symbolic link leads."""
    link: str = kernel.tree.read_link((await kernel.walk(path)).inode)
    return link


# --- .names -----------------------------------------------------------------------------------


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


# --- links ------------------------------------------------------------------------------------


async def test_a_petname_leads_to_the_node(alice: Kernel, bob: Kernel) -> None:
    """In each directory of nodes, by a symbolic link to the node id."""
    await alice.write(f"shared/{bob.node_id}/token", b"t0ken")

    assert await bob.ls("from") == sorted([alice.node_id, "alice"])
    assert await bob.ls(".accept") == sorted([alice.node_id, "alice"])
    assert await alice.ls("shared") == sorted([bob.node_id, "bob"])
    for path in ("from/alice", ".accept/alice"):
        assert await target(bob, path) == alice.node_id
        assert await bob.stat(path) == (await bob.walk(path)).attributes()
    shown = await alice.stat("shared/bob")
    assert (shown.mode, shown.size, shown.links) == (stat.S_IFLNK | 0o777, 64, 1)


async def test_a_petname_of_a_stranger_leads_only_where_there_is_something(alice: Kernel) -> None:
    """One can share with everybody; what is under `from` and `.accept` was accepted."""
    await alice.write(".names/bob", BOB.encode())

    assert await alice.ls("shared") == ["bob"]
    assert await target(alice, "shared/bob") == BOB
    for folder in ("from", ".accept"):
        assert await alice.ls(folder) == []
        with pytest.raises(NoSuchName):
            await alice.walk(f"{folder}/bob")


async def test_links_follow_their_petnames(alice: Kernel, twin: Kernel) -> None:
    """A petname of another node is another link; one that is gone leaves none."""
    await alice.write(".names/bob", BOB.encode())
    first = await twin.walk("shared/bob")
    assert (await twin.walk("shared/bob")).inode == first.inode
    await alice.write(".names/bob", STRANGER.encode())
    second = await twin.walk("shared/bob")
    assert twin.tree.read_link(first.inode) == BOB
    assert twin.tree.read_link(second.inode) == STRANGER
    await alice.rm(".names/bob")

    with pytest.raises(NoSuchName):
        await twin.walk("shared/bob")
    twin.tree.inodes.forget(first.inode, first.lookups)
    with pytest.raises(NoSuchName):
        twin.tree.read_link(first.inode)


async def test_only_links_are_read_as_links(alice: Kernel) -> None:
    """EINVAL, as readlink(2) says; and a link is neither a directory nor a file."""
    await alice.write(".names/bob", BOB.encode())
    with pytest.raises(InvalidInput):
        await target(alice, ".names/bob")
    with pytest.raises(InvalidInput):
        await target(alice, "shared")
    link = await alice.walk("shared/bob")
    with pytest.raises(NotADirectory):
        await alice.tree.lookup(link.inode, b"x")
    await alice.tree.set_attributes(link.inode, modified=5)
    assert (await alice.stat("shared/bob")).times.modified == 5


async def test_links_are_not_made_moved_or_removed_by_hand(alice: Kernel, bob: Kernel) -> None:
    """Their petnames are, in `.names`."""
    with pytest.raises(AccessRefused):
        await bob.rm("from/alice")
    with pytest.raises(OperationRefused):
        await alice.rm("shared/bob")
    with pytest.raises(NameTaken):
        await alice.mkdir("shared/bob")
    with pytest.raises(IsADirectory):
        await alice.create("shared/bob")
    with pytest.raises(OperationRefused):
        await alice.mv("shared/bob", "shared/robert")
    with pytest.raises(AccessRefused):
        await bob.mv("from/alice", "from/a")
    with pytest.raises(NoSuchName):
        await alice.tree.unlink((await alice.walk("shared")).inode, b"nobody")


async def test_lookups_by_petname_cost_what_those_by_node_id_do(alice: Kernel, bob: Kernel) -> None:
    """Nothing, while the listing is current."""
    await bob.ls("from")
    before = sum(bob.wire.requests.values())
    for _ in range(3):
        assert await target(bob, "from/alice") == alice.node_id
        await bob.ls("from")

    assert sum(bob.wire.requests.values()) == before


# --- accepting by petname ---------------------------------------------------------------------


async def test_a_petname_accepts_its_node(alice: Kernel) -> None:
    """`touch .accept/bob`: the file is that of the node id, and the petname leads to it."""
    await alice.write(".names/bob", BOB.encode())
    node, opened = await alice.create(".accept/bob")
    assert stat.S_ISREG(node.mode)
    assert await target(alice, ".accept/bob") == BOB
    await alice.tree.set_attributes(node.inode, modified=1)
    assert BOB in alice.view.senders()
    await opened.flush()
    await opened.release()

    assert (await alice.walk(f".accept/{BOB}")).inode == node.inode
    assert await alice.ls(".accept") == sorted(["bob", BOB])


async def test_a_closing_date_is_written_by_petname(alice: Kernel) -> None:
    """Or refused, and then nobody is accepted."""
    await alice.write(".names/bob", BOB.encode())
    _, opened = await alice.create(".accept/bob")
    with pytest.raises(ClosureDatePassed):
        await opened.write(0, b"2001-01-01\n")
    await opened.release()
    assert await alice.ls(".accept") == []
    assert alice.status()["failures"][0]["path"] == f".accept/{BOB}"
    _, opened = await alice.create(".accept/bob")
    await opened.write(0, b"2999-12-31\n")
    await opened.flush()
    await opened.release()

    assert (await alice.read(f".accept/{BOB}")).startswith(b"2999-12-3")
    assert alice.status()["failures"] == []
    with pytest.raises(NameTaken):
        await alice.create(".accept/bob", exclusive=True)


async def test_a_sender_is_denied_by_petname(alice: Kernel, bob: Kernel) -> None:
    """His petname stays what it was."""
    await alice.write(f"shared/{bob.node_id}/token", b"t0ken")
    await bob.rm(".accept/alice")

    assert await bob.ls(".accept") == await bob.ls("from") == []
    assert await bob.ls(".names") == ["alice"]
    accept = (await bob.walk(".accept")).inode
    for name in (b"alice", b"nobody"):
        with pytest.raises(NoSuchName):
            await bob.tree.unlink(accept, name)


async def test_an_unknown_petname_accepts_nobody(alice: Kernel) -> None:
    """EINVAL, since it can name no node."""
    with pytest.raises(InvalidName):
        await alice.create(".accept/nobody")
