"""What the mount answers to its own system calls: it waits for nobody and changes nothing."""

from __future__ import annotations

import errno
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pyfuse3
import pytest

from smfs.client.client import create_client
from smfs.client.embedded import embedded_transport
from smfs.client.view import View
from smfs.fuse.echoes import STAND_IN, Echo, Step
from smfs.fuse.operations import MountOperations
from smfs.service import create_service
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import Intent, Node
from smfs.tree.secret_file import SecretFile
from smfs.tree.tree import Tree

pytestmark = pytest.mark.trio

CALLER = pyfuse3.RequestContext()
"""Whoever asks in these tests has the thread id 0, since only the kernel can make another."""

ROOT = pyfuse3.ROOT_INODE
OTHER_THREAD = 4242


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    """The tree of a node with the secret `a`."""
    async with create_service(tmp_path / "service.db") as service:
        client = create_client("http://embedded", transport=embedded_transport(service))
        async with client, Tree(View(client)) as made:
            await made.view.write_own("a", b"x")
            yield made


@pytest.fixture
def operations(tree: Tree) -> MountOperations:
    """A mount whose echoes are made by whoever asks."""
    made = MountOperations(tree, user=CALLER.uid, group=42)
    made.echoes.thread = CALLER.pid
    return made


def _own(tree: Tree) -> Node:
    found = tree.known(ROOT, b"own")
    assert found is not None
    return found


def _file(tree: Tree, name: bytes = b"a") -> Node:
    found = tree.known(_own(tree).inode, name)
    assert found is not None
    return found


def _begin(
    operations: MountOperations, tree: Tree, step: Step, kind: Kind, name: bytes = b"a"
) -> Echo:
    node = tree.known(_own(tree).inode, name)
    happening = Happening(kind, _own(tree).inode, (b"own", name), node.inode if node else None)
    made = operations.echoes.echo = Echo(step, happening)
    return made


async def test_only_its_own_thread_is_answered_so(operations: MountOperations, tree: Tree) -> None:
    """An upcall of anybody else goes to the tree."""
    operations.echoes.thread = OTHER_THREAD

    with pytest.raises(pyfuse3.FUSEError) as refused:
        await operations.unlink(ROOT, b"own", CALLER)

    assert refused.value.errno == errno.EPERM


async def test_a_touch_opens_nothing(operations: MountOperations, tree: Tree) -> None:
    """The file is open for the kernel only; its size is told so that it stays."""
    echo = _begin(operations, tree, Step.TOUCH, Kind.CHANGED)
    file, requests = _file(tree), tree.view.state()["counters"]["requests"]

    found = await operations.lookup(_own(tree).inode, b"a", CALLER)
    opened = await operations.open(found.st_ino, 0, CALLER)
    shown = await operations.setattr(
        found.st_ino, pyfuse3.EntryAttributes(), pyfuse3.SetattrFields(), opened.fh, CALLER
    )
    await operations.flush(opened.fh)
    await operations.release(opened.fh)

    assert (echo.size, shown.st_size, found.st_ino) == (1, 1, file.inode)
    assert file.lookups == 1
    assert tree.view.state()["counters"]["requests"] == requests


async def test_what_appeared_is_not_there_until_it_is_made(
    operations: MountOperations, tree: Tree
) -> None:
    """Else the kernel would not make it, and tell nobody."""
    _begin(operations, tree, Step.MAKE, Kind.APPEARED)

    with pytest.raises(pyfuse3.FUSEError) as missing:
        await operations.lookup(_own(tree).inode, b"a", CALLER)
    _, shown = await operations.create(_own(tree).inode, b"a", 0o600, 0, CALLER)

    assert missing.value.errno == errno.ENOENT
    assert shown.st_ino == _file(tree).inode
    assert _file(tree).lookups == 1


async def test_what_is_gone_is_there_until_it_is_removed(
    operations: MountOperations, tree: Tree
) -> None:
    """Under a number of its own where the kernel knows none."""
    _begin(operations, tree, Step.REMOVE, Kind.GONE, b"b")

    found = await operations.lookup(_own(tree).inode, b"b", CALLER)
    await operations.unlink(_own(tree).inode, b"b", CALLER)

    assert stat.S_ISREG(found.st_mode)
    assert not tree.inodes.is_remembered(found.st_ino)
    await operations.forget([(found.st_ino, 1)])


async def test_what_is_there_again_is_not_removed(operations: MountOperations, tree: Tree) -> None:
    """The system call fails, so that nobody hears of it."""
    _begin(operations, tree, Step.REMOVE, Kind.GONE)

    found = await operations.lookup(_own(tree).inode, b"a", CALLER)
    with pytest.raises(pyfuse3.FUSEError) as refused:
        await operations.unlink(_own(tree).inode, b"a", CALLER)

    assert found.st_ino == _file(tree).inode
    assert refused.value.errno == errno.ECANCELED


async def test_the_old_node_is_moved_over(operations: MountOperations, tree: Tree) -> None:
    """The name leads to it once more; the stand-in leads to the new one."""
    old = _file(tree)
    assert isinstance(old, SecretFile)
    old.attributes()  # its size is what an open goes by
    tree.inodes.remember(old)
    opened = await tree.open(old.inode, Intent())
    echo = _begin(operations, tree, Step.MOVE, Kind.REPLACED)
    new = old.area.supersede(old)

    name = await operations.lookup(_own(tree).inode, b"a", CALLER)
    stand_in = await operations.lookup(_own(tree).inode, STAND_IN, CALLER)
    await operations.rename(_own(tree).inode, STAND_IN, _own(tree).inode, b"a", 0, CALLER)

    assert echo.size is None
    assert (name.st_ino, stand_in.st_ino) == (old.inode, new.inode)
    assert old.inode != new.inode
    await opened.release()


@pytest.mark.parametrize("step", [Step.WALK, Step.TOUCH, Step.MOVE])
async def test_a_call_that_is_not_being_made_is_refused(
    operations: MountOperations, tree: Tree, step: Step
) -> None:
    """Whatever reaches the mount from its own thread otherwise has no effect."""
    _begin(operations, tree, step, Kind.CHANGED)

    for refused in (
        operations.unlink(_own(tree).inode, b"a", CALLER),
        operations.create(_own(tree).inode, b"a", 0o600, 0, CALLER),
        operations.mkdir(_own(tree).inode, b"a", 0o700, CALLER),
        operations.getxattr(ROOT, b"security.capability", CALLER),
    ):
        with pytest.raises(pyfuse3.FUSEError):
            await refused
    assert tree.known(_own(tree).inode, b"a") is not None
