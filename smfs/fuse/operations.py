"""The kernel's upcalls: each one is a call of the tree, and nothing else."""
# ruff: noqa: FBT001 - the signatures are pyfuse3's

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, cast

import pyfuse3
import trio

from smfs.errors import (
    AccessRefused,
    DeadlineExceeded,
    InvalidInput,
    NotSupported,
    OperationRefused,
)
from smfs.fuse import attributes, errnos
from smfs.fuse.control import LOCK, QUIET, QUIET_S
from smfs.fuse.echoes import EchoAnswers
from smfs.fuse.listings import Listing
from smfs.fuse.polling import Pollers
from smfs.tree.node import Attributes, Intent, Node, OpenFile
from smfs.tree.status import StatusFile

if TYPE_CHECKING:
    from smfs.fuse.invalidation import Invalidator
    from smfs.tree.tree import Tree

_log: Final = logging.getLogger(__name__)

_LOCK_S: Final = 10.0

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _upcall(
    method: Callable[Concatenate[MountOperations, _P], Awaitable[_R]],
) -> Callable[Concatenate[MountOperations, _P], Coroutine[Any, Any, _R]]:
    """Lets in whom the mount is for, and nothing out but FUSEError.

    Any other exception would end the whole mount; trio.Cancelled is none of `Exception` and
    passes. The mount's own system calls are answered apart: they change nothing and wait for
    nobody.
    """

    @functools.wraps(method)
    async def answer(self: MountOperations, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            context = args[-1]
            if isinstance(context, pyfuse3.RequestContext):  # not where a file is open already
                if context.pid == self.echoes.thread:
                    return cast("_R", self.echoes.answer(method.__name__, args))
                self.admit(context)
            return await method(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the mount goes on
            raise pyfuse3.FUSEError(errnos.report(method.__name__, error)) from None

    return answer


class MountOperations(pyfuse3.Operations):
    """One mount's answers to the kernel.

    Args:
        tree: what the mount shows.
        user: the only uid that is let in, and to whom every file belongs.
        group: the gid of every file.
        allow_other: let other users in too, each as if he were `user`.
        kernel_cache: let the kernel keep pages, names and attributes; else it asks each time.

    Attributes:
        echoes: what answers the mount's own system calls.
        invalidator: what has the kernel drop what it keeps; None while nothing is mounted.
        has_kept: whether the kernel was ever allowed to keep a name or attributes.
    """

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(
        self,
        tree: Tree,
        *,
        user: int,
        group: int,
        allow_other: bool = False,
        kernel_cache: bool = True,
    ) -> None:
        self._tree = tree
        self._user = user
        self._group = group
        self._allow_other = allow_other
        self._handles = itertools.count(1)
        self._files: dict[int, OpenFile] = {}
        self._listings: dict[int, Listing] = {}
        self._kernel_cache = kernel_cache
        self._numbers: dict[int, int] = {}
        self._pollers = Pollers()
        self.has_kept = False
        self.echoes = EchoAnswers(tree, self._entry, self._opened)
        self.invalidator: Invalidator | None = None
        tree.watch(self._pollers.wake)

    def admit(self, context: pyfuse3.RequestContext) -> None:
        """Refuses everybody but the mounting user, root included (AccessRefused)."""
        if context.uid != self._user and not self._allow_other:
            raise AccessRefused("this mount is another user's")

    def _entry(self, shown: Attributes, node: Node | None = None) -> pyfuse3.EntryAttributes:
        """What the kernel is told of attributes; it may keep them only where the node is given."""
        is_kept = node is not None and self._kernel_cache and self._tree.kernel_may_keep(node)
        self.has_kept = self.has_kept or is_kept
        return attributes.entry(shown, user=self._user, group=self._group, is_kept=is_kept)

    def _remembered(self, node: Node) -> pyfuse3.EntryAttributes:
        shown = self._entry(node.attributes(), node)
        self._tree.inodes.remember(node)
        return shown

    def _opened(self, opened: OpenFile, inode: int | None = None) -> pyfuse3.FileInfo:
        handle = next(self._handles)
        self._files[handle] = opened
        if self._kernel_cache:
            return pyfuse3.FileInfo(
                fh=handle, direct_io=opened.direct_io, keep_cache=opened.keep_cache
            )
        if inode is not None:
            self._numbers[handle] = inode
        return pyfuse3.FileInfo(fh=handle, direct_io=True, keep_cache=False)

    async def _lock(self, *, quiet: bool) -> None:
        if self.invalidator is None:
            raise NotSupported("nothing is mounted")
        with trio.move_on_after(_LOCK_S) as scope:
            if quiet:
                await self.invalidator.keep_off(QUIET_S)
            else:
                await self.invalidator.lock()
        if scope.cancelled_caught:
            raise DeadlineExceeded("the kernel has not dropped everything in time")

    # --- names ---

    @_upcall
    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """The node of a name; the kernel then remembers it."""
        return self._remembered(await self._tree.lookup(parent_inode, name))

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """The kernel no longer remembers nodes."""
        for inode, count in inode_list:
            self._tree.inodes.forget(inode, count)

    @_upcall
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """A new directory."""
        return self._remembered(await self._tree.make_directory(parent_inode, name))

    @_upcall
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes a file."""
        await self._tree.unlink(parent_inode, name)

    @_upcall
    async def rmdir(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Removes an empty directory."""
        await self._tree.remove_directory(parent_inode, name)

    @_upcall
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        """Renames, or with RENAME_EXCHANGE exchanges two names (renameat2(2))."""
        places = (parent_inode_old, name_old, parent_inode_new, name_new)
        if flags == pyfuse3.RENAME_EXCHANGE:
            await self._tree.exchange(*places)
            return
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise InvalidInput("a rename that is not known")
        await self._tree.rename(*places, no_replace=bool(flags & pyfuse3.RENAME_NOREPLACE))

    @_upcall
    async def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refused: a secret has one id."""
        raise OperationRefused("there are no hard links")

    @_upcall
    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refused: a secret is content only."""
        raise OperationRefused("symbolic links cannot be made")

    @_upcall
    async def readlink(self, inode: int, ctx: pyfuse3.RequestContext) -> bytes:
        """Where a symbolic link leads."""
        return self._tree.read_link(inode).encode()

    @_upcall
    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Refused: a secret is content only."""
        raise OperationRefused("special files cannot be made")

    # --- attributes ---

    @_upcall
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """What `stat` shows."""
        shown = await self._tree.get_attributes(inode)
        return self._entry(shown, self._tree.inodes.get(inode))

    @_upcall
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        """Sets size and times; mode and owner stay as they are, without an error."""
        shown = await self._tree.set_attributes(
            inode,
            size=attr.st_size if fields.update_size else None,
            accessed=attr.st_atime_ns if fields.update_atime else None,
            modified=attr.st_mtime_ns if fields.update_mtime else None,
            opened=None if fh is None else self._files[fh],
        )
        return self._entry(shown)

    @_upcall
    async def access(self, inode: int, mode: int, ctx: pyfuse3.RequestContext) -> bool:
        """Whether the mounting user may do all of `mode` (access(2))."""
        return self._tree.access(
            inode,
            read=bool(mode & os.R_OK),
            write=bool(mode & os.W_OK),
            execute=bool(mode & os.X_OK),
        )

    @_upcall
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """What `df` shows."""
        return attributes.capacity(self._tree.usage())

    @_upcall
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        """One extended attribute."""
        return await self._tree.extended_attribute(inode, name)

    @_upcall
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        """None are listed, else `cp -a` would copy them (the design, section 2.2)."""
        return ()

    @_upcall
    async def setxattr(
        self, inode: int, name: bytes, value: bytes, ctx: pyfuse3.RequestContext
    ) -> None:
        """Refused, but for the one by which `smfs lock` and `smfs umount` ask."""
        if name != LOCK.encode() or not isinstance(self._tree.inodes.get(inode), StatusFile):
            raise NotSupported("extended attributes cannot be set")
        await self._lock(quiet=value == QUIET)

    @_upcall
    async def removexattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        """Refused."""
        raise NotSupported("extended attributes cannot be removed")

    # --- open files ---

    @_upcall
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Opens a file that is there."""
        return self._opened(await self._tree.open(inode, intent_of(flags)), inode)

    @_upcall
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        """Makes a file and opens it."""
        node, opened = await self._tree.create(parent_inode, name, intent_of(flags))
        return self._opened(opened, node.inode), self._remembered(node)

    @_upcall
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """Reads from an open file."""
        return await self._files[fh].read(off, size)

    @_upcall
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """Writes to an open file."""
        return await self._files[fh].write(off, buf)

    @_upcall
    async def flush(self, fh: int) -> None:
        """One descriptor of an open file is closed; the error reaches close(2)."""
        await self._files[fh].flush()

    @_upcall
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Puts an open file's content on the service."""
        await self._files[fh].sync()

    @_upcall
    async def release(self, fh: int) -> None:
        """The last descriptor of an open file is closed."""
        self._pollers.closed(fh)
        await self._files.pop(fh).release()
        inode = self._numbers.pop(fh, None)
        if inode is not None and self.invalidator is not None:
            # Who mapped the file privately has brought pages of it into the kernel.
            self.invalidator.drop(inode)

    @_upcall
    async def poll(
        self,
        inode: int,
        fh: int,
        poll_handle: pyfuse3.PollHandle | None,
        ctx: pyfuse3.RequestContext,
    ) -> int:
        """What an open file is ready for."""
        return self._pollers.ready(fh, self._files[fh], poll_handle)

    # --- open directories ---

    @_upcall
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        """Opens a directory; what is in it is asked for at the first read."""
        handle = next(self._handles)
        self._listings[handle] = Listing(self._tree, inode)
        return handle

    @_upcall
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Lists a directory; the kernel remembers each node that found room in the answer."""
        listing = self._listings[fh]
        if start_id == 0:
            await listing.load()
        for name, shown, node, next_id in listing.after(start_id):
            if not pyfuse3.readdir_reply(token, name, self._entry(shown, node), next_id):
                return
            if node is not None:
                self._tree.inodes.remember(node)

    @_upcall
    async def releasedir(self, fh: int) -> None:
        """An open directory is closed."""
        del self._listings[fh]

    @_upcall
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Nothing to do: names change on the service before the call that changes them returns."""


@functools.lru_cache(maxsize=256)
def intent_of(flags: int) -> Intent:
    """What the flags of open(2) ask for."""
    access = flags & os.O_ACCMODE
    return Intent(
        read=access != os.O_WRONLY,
        write=access != os.O_RDONLY,
        truncate=bool(flags & os.O_TRUNC),
        exclusive=bool(flags & os.O_EXCL),
        no_follow=bool(flags & os.O_NOFOLLOW),
    )
