"""What comes out of an upcall: an answer or an errno, for whom the mount is."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator

import httpx
import pyfuse3
import pytest
import trio

from smfs.client.client import create_client
from smfs.client.view import View
from smfs.fuse.operations import MountOperations
from smfs.tree.tree import Tree

pytestmark = pytest.mark.trio

CALLER = pyfuse3.RequestContext()
"""Who asks in these tests: uid 0, since only the kernel can make another."""

ROOT = pyfuse3.ROOT_INODE


class _Away(httpx.AsyncBaseTransport):
    """The way to a service that is not there."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Fails as a refused connection does."""
        raise httpx.ConnectError("refused", request=request)


@pytest.fixture
async def tree() -> AsyncIterator[Tree]:
    """The tree of a node whose service is away."""
    client = create_client("http://away", transport=_Away(), deadline=0.5)
    async with client, Tree(View(client)) as made:
        yield made


@pytest.fixture
async def operations(tree: Tree) -> MountOperations:
    """A mount of the caller's own."""
    return MountOperations(tree, user=CALLER.uid, group=42)


async def test_who_is_not_the_mounting_user_is_refused(tree: Tree) -> None:
    """Whatever the mode says; root is no exception."""
    operations = MountOperations(tree, user=1000, group=1000)

    with pytest.raises(pyfuse3.FUSEError) as refused:
        await operations.getattr(ROOT, CALLER)
    assert refused.value.errno == errno.EACCES
    with pytest.raises(pyfuse3.FUSEError) as refused:
        await operations.lookup(ROOT, b"own", CALLER)
    assert refused.value.errno == errno.EACCES


async def test_others_get_in_where_the_mount_lets_them(tree: Tree) -> None:
    """As if each were the mounting user."""
    operations = MountOperations(tree, user=1000, group=1001, allow_other=True)

    shown = await operations.getattr(ROOT, CALLER)

    assert (shown.st_uid, shown.st_gid) == (1000, 1001)


async def test_a_lookup_is_counted_and_forgotten(operations: MountOperations, tree: Tree) -> None:
    """The kernel and the tree agree on what the kernel remembers."""
    inode = (await operations.lookup(ROOT, b"own", CALLER)).st_ino
    await operations.lookup(ROOT, b"own", CALLER)
    assert tree.inodes.get(inode).lookups == 2

    await operations.forget([(inode, 2)])

    assert tree.inodes.get(inode).lookups == 0


async def test_a_service_that_is_away_is_an_errno(operations: MountOperations) -> None:
    """While the root answers."""
    own = await operations.lookup(ROOT, b"own", CALLER)

    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.lookup(own.st_ino, b"x", CALLER)

    assert failed.value.errno in (errno.EHOSTUNREACH, errno.ETIMEDOUT)


async def test_an_error_that_nobody_foresaw_is_an_errno_too(
    operations: MountOperations, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything but FUSEError would end the mount."""

    async def broken(inode: int) -> None:
        raise ZeroDivisionError(inode)

    monkeypatch.setattr(tree, "get_attributes", broken)

    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.getattr(ROOT, CALLER)

    assert failed.value.errno == errno.EIO


async def test_a_cancelled_upcall_is_cancelled(
    operations: MountOperations, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes no errno: the mount is being ended."""
    begun = trio.Event()

    async def endless(inode: int) -> None:
        begun.set()
        await trio.sleep_forever()

    monkeypatch.setattr(tree, "get_attributes", endless)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(operations.getattr, ROOT, CALLER)
        await begun.wait()
        nursery.cancel_scope.cancel()

    assert nursery.cancel_scope.cancelled_caught


async def test_links_and_special_files_are_refused(operations: MountOperations) -> None:
    """`ln`, `ln -s`, `mkfifo`: EPERM."""
    for refused in (
        operations.link(ROOT, ROOT, b"x", CALLER),
        operations.symlink(ROOT, b"x", b"y", CALLER),
        operations.mknod(ROOT, b"x", 0o10600, 0, CALLER),
    ):
        with pytest.raises(pyfuse3.FUSEError) as failed:
            await refused
        assert failed.value.errno == errno.EPERM


async def test_extended_attributes_are_neither_listed_nor_set(
    operations: MountOperations,
) -> None:
    """`cp -a` would copy what is listed."""
    assert list(await operations.listxattr(ROOT, CALLER)) == []
    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.setxattr(ROOT, b"user.x", b"y", CALLER)
    assert failed.value.errno == errno.ENOTSUP
    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.removexattr(ROOT, b"user.x", CALLER)
    assert failed.value.errno == errno.ENOTSUP
    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.getxattr(ROOT, b"user.nothing", CALLER)
    assert failed.value.errno == errno.ENODATA


async def test_ls_need_not_ask_for_acls_file_by_file(operations: MountOperations) -> None:
    """ENODATA would say that another file may have some, so `ls -l` would ask about each."""
    for name in (b"system.posix_acl_access", b"security.selinux", b"security.capability"):
        with pytest.raises(pyfuse3.FUSEError) as failed:
            await operations.getxattr(ROOT, name, CALLER)
        assert failed.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (pyfuse3.RENAME_EXCHANGE, errno.EPERM),  # since nothing at the top can be renamed
        (pyfuse3.RENAME_EXCHANGE | pyfuse3.RENAME_NOREPLACE, errno.EINVAL),
        (4, errno.EINVAL),  # RENAME_WHITEOUT
        (8, errno.EINVAL),
    ],
)
async def test_the_flags_of_a_rename(
    operations: MountOperations, flags: int, expected: int
) -> None:
    """What is not known, or makes no sense together, is EINVAL (renameat2(2))."""
    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.rename(ROOT, b"own", ROOT, b"from", flags, CALLER)

    assert failed.value.errno == expected


async def test_statfs_waits_for_nobody(operations: MountOperations) -> None:
    """The service of this mount is away, and was never there."""
    shown = await operations.statfs(CALLER)

    assert shown.f_bavail * shown.f_frsize >= 2**20


async def test_an_open_file_lives_from_open_to_release(operations: MountOperations) -> None:
    """Afterwards its handle is unknown."""
    status = await operations.lookup(ROOT, b".status", CALLER)
    opened = await operations.open(status.st_ino, os.O_RDONLY, CALLER)
    assert (await operations.read(opened.fh, 0, 1)) == b"{"
    await operations.flush(opened.fh)

    await operations.release(opened.fh)

    with pytest.raises(pyfuse3.FUSEError) as failed:
        await operations.read(opened.fh, 0, 1)
    assert failed.value.errno == errno.EIO


async def test_access_is_answered_by_the_mode(operations: MountOperations) -> None:
    """`from/` is read only, for root too."""
    received = (await operations.lookup(ROOT, b"from", CALLER)).st_ino

    assert await operations.access(received, os.R_OK | os.X_OK, CALLER)
    assert not await operations.access(received, os.W_OK, CALLER)
