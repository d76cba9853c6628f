"""Echoes: system calls of the mount on itself, so that file watchers hear of changes elsewhere.

The kernel tells watchers (inotify(7)) only of system calls made on its own side. After a change
made elsewhere one thread makes such a call; the upcalls that it causes are recognised by their
thread id, answered from the tree at once, and change nothing.
"""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyfuse3

from smfs.errors import NoSuchName
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import Attributes, Node, OpenFile, Times
from smfs.tree.tree import Tree

STAND_IN: Final = b".smfs"
"""The name from which a rename seems to come; no own secret can have it."""


class Step(enum.Enum):
    """The system call that is being made on the name of a happening."""

    WALK = "walk"
    """None yet: only directories are walked through."""
    TOUCH = "touch"
    """open for writing, ftruncate to the same size, close."""
    MAKE = "make"
    """open with O_EXCL, or mkdir."""
    REMOVE = "remove"
    """unlink or rmdir."""
    MOVE = "move"
    """rename from the stand-in, over the old node."""


@dataclass
class Echo:
    """One system call of the mount on itself.

    Attributes:
        step: which one.
        happening: what is echoed.
        size: of the file in bytes, once the mount has opened it; None before, so that a file of
            another filesystem that was mounted in between is never cut.
    """

    step: Step
    happening: Happening
    size: int | None = None


class _Silent:
    """An open file of an echo: nothing that is done to it has an effect."""

    direct_io = False
    keep_cache = True

    async def read(self, offset: int, size: int) -> bytes:
        """As `OpenFile` says: nothing."""
        return b""

    async def write(self, offset: int, data: bytes) -> int:
        """As `OpenFile` says: taken, and dropped."""
        return len(data)

    async def flush(self) -> None:
        """Nothing was written."""

    async def sync(self) -> None:
        """Nothing was written."""

    async def release(self) -> None:
        """Nothing is held."""


class EchoAnswers:
    """The answers to the upcalls of the thread that makes the echoes.

    Args:
        tree: what the mount shows.
        entry: makes what the kernel is told of attributes.
        opened: makes what the kernel is told of an open file.

    Attributes:
        thread: the id of that thread (gettid(2)); None while there is none.
        echo: what it is doing. It sets this before each system call.
    """

    def __init__(
        self,
        tree: Tree,
        entry: Callable[[Attributes], pyfuse3.EntryAttributes],
        opened: Callable[[OpenFile], pyfuse3.FileInfo],
    ) -> None:
        self._tree = tree
        self._entry = entry
        self._opened = opened
        self.thread: int | None = None
        self.echo: Echo | None = None
        self._answers: dict[str, Callable[..., Any]] = {
            "lookup": self._lookup,
            "getattr": self._getattr,
            "setattr": self._setattr,
            "open": self._open,
            "create": self._create,
            "mkdir": self._mkdir,
            "unlink": self._remove,
            "rmdir": self._remove,
            "rename": self._rename,
        }

    def answer(self, operation: str, arguments: tuple[Any, ...]) -> Any:
        """The answer to one upcall.

        Raises:
            FUSEError: when there is none; the echo is then not made.
        """
        found = self._answers.get(operation)
        if found is None:
            raise pyfuse3.FUSEError(errno.ENODATA)
        try:
            return found(*arguments)
        except NoSuchName:
            raise pyfuse3.FUSEError(errno.ENOENT) from None

    def _lookup(
        self, parent: int, name: bytes, _context: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        echo = self.echo
        if echo is not None and parent == echo.happening.parent:
            if name == echo.happening.path[-1]:
                return self._lookup_target(echo)
            if name == STAND_IN and echo.step is Step.MOVE:
                return self._remembered(self._current(echo))
        return self._remembered(self._known(parent, name))

    def _lookup_target(self, echo: Echo) -> pyfuse3.EntryAttributes:
        """What the kernel must believe of the name for the system call to come through."""
        happening = echo.happening
        current = self._tree.known(happening.parent, happening.path[-1])
        if echo.step is Step.MAKE or current is None:
            if echo.step is Step.REMOVE:
                return self._departed(happening)
            raise NoSuchName("not there yet, or no more")
        old = self._known_to_kernel(happening) if happening.kind is Kind.REPLACED else None
        return self._remembered(old or current)

    def _known_to_kernel(self, happening: Happening) -> Node | None:
        inodes, inode = self._tree.inodes, happening.inode
        return inodes.get(inode) if inode is not None and inodes.is_remembered(inode) else None

    def _departed(self, happening: Happening) -> pyfuse3.EntryAttributes:
        """What is gone: the old file where the kernel knows it, whose watchers then hear of it.

        A directory gets a number of its own, for the kernel lets nobody into a removed one again,
        and this one may come back.
        """
        inodes = self._tree.inodes
        old = self._known_to_kernel(happening)
        if old is not None and not happening.is_directory:
            inodes.remember(old)
            return self._entry(old.attributes()._replace(links=1))
        kind = stat.S_IFDIR | 0o700 if happening.is_directory else stat.S_IFREG | 0o600
        links = 2 if happening.is_directory else 1
        return self._entry(Attributes(inodes.spare(), kind, 0, links, Times(0, 0, 0)))

    def _getattr(self, inode: int, _context: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        return self._entry(self._tree.inodes.get(inode).attributes())

    def _setattr(self, inode: int, *_: object) -> pyfuse3.EntryAttributes:
        return self._entry(self._tree.inodes.get(inode).attributes())

    def _open(self, inode: int, _flags: int, _context: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        echo = self._expect(Step.TOUCH)
        echo.size = self._tree.inodes.get(inode).size()
        return self._opened(_Silent())

    def _create(self, *_: object) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        echo = self._expect(Step.MAKE)
        node = self._current(echo)
        if not stat.S_ISREG(node.mode):
            raise pyfuse3.FUSEError(errno.ECANCELED)
        echo.size = node.size()
        return self._opened(_Silent()), self._remembered(node)

    def _mkdir(self, *_: object) -> pyfuse3.EntryAttributes:
        node = self._current(self._expect(Step.MAKE))
        if not node.is_directory:
            raise pyfuse3.FUSEError(errno.ECANCELED)
        return self._remembered(node)

    def _remove(self, parent: int, name: bytes, _context: pyfuse3.RequestContext) -> None:
        self._expect(Step.REMOVE)
        if self._tree.known(parent, name) is not None:
            raise pyfuse3.FUSEError(errno.ECANCELED)  # it is there again

    def _rename(self, *_: object) -> None:
        self._current(self._expect(Step.MOVE))

    def _expect(self, step: Step) -> Echo:
        if self.echo is None or self.echo.step is not step:
            raise pyfuse3.FUSEError(errno.ECANCELED)
        return self.echo

    def _current(self, echo: Echo) -> Node:
        return self._known(echo.happening.parent, echo.happening.path[-1])

    def _known(self, parent: int, name: bytes) -> Node:
        node = self._tree.known(parent, name)
        if node is None:
            raise NoSuchName(os.fsdecode(name))
        return node

    def _remembered(self, node: Node) -> pyfuse3.EntryAttributes:
        shown = self._entry(node.attributes())
        self._tree.inodes.remember(node)
        return shown
