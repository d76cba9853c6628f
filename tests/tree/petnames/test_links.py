"""The links that petnames are in the directories of nodes, and accepting by them."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from smfs.errors import (
    AccessRefused,
    ClosureDatePassed,
    InvalidInput,
    InvalidName,
    IsADirectory,
    NameTaken,
    NoSuchName,
    NotADirectory,
    OperationRefused,
)
from tests.tree.petnames.conftest import BOB, STRANGER, target

pytestmark = pytest.mark.trio

Kernel = Any


# --- links ----------------------------------------------------------------------------------------


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


# --- accepting by petname -------------------------------------------------------------------------


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
