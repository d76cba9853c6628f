"""The whole tree of a mount, as the kernel asks for it: by inode numbers and names in bytes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.abc

from smfs.client.view import View
from smfs.errors import (
    InvalidName,
    IsADirectory,
    NoSuchName,
    NotADirectory,
    SmfsError,
)
from smfs.tree.accept import AcceptDirectory
from smfs.tree.area import Area
from smfs.tree.context import Context
from smfs.tree.directories import FromDirectory, Root, SharedDirectory
from smfs.tree.failures import Failures
from smfs.tree.happenings import Happening
from smfs.tree.names import check_name
from smfs.tree.node import Attributes, Directory, File, Inodes, Intent, Node, OpenFile, Times
from smfs.tree.status import StatusFile
from smfs.tree.stores import OwnStore

_log: Final = logging.getLogger(__name__)

_DRAIN_S: Final = 15.0


class Tree:
    """The tree of one mount; an async context manager, in which its background work runs.

    Every operation raises a `SmfsError` when it is refused or fails.

    Args:
        view: the node's space.
        now: seconds since 1970.

    Attributes:
        inodes: the numbers and the nodes behind them.
        view: as given.
    """

    def __init__(self, view: View, *, now: Callable[[], float] = time.time) -> None:
        self.view = view
        self._now = now
        self._started = now()
        self.inodes = Inodes()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._listeners: list[Callable[[Sequence[Happening]], None]] = []
        self._doubters: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        """Builds the nodes; asks nobody."""
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._failures = Failures(self._tasks, self._now)
        context = Context(self.view, self.inodes, self._failures, self._now)
        self._root = root = Root(self.inodes, self._now())  # the first node gets the root's number
        self._own = Area(context, OwnStore(self.view), ("own",))
        self._shared = SharedDirectory(context)
        self._accept = AcceptDirectory(context)
        self._status = StatusFile(context, self.status)
        root.show(
            {
                "own": self._own.top,
                "from": FromDirectory(context),
                "shared": self._shared,
                ".accept": self._accept,
                ".status": self._status,
            }
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Uploads what is unsent, as far as the service takes it within 15 s."""
        assert self._tasks is not None  # noqa: S101  # entered before it is left
        with anyio.move_on_after(_DRAIN_S, shield=True):
            await self.drain()
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, traceback)

    async def drain(self) -> None:
        """Tries once to upload what is unsent; what fails stays in the list of failures."""
        for area in (self._own, *self._shared.areas()):
            for file in area.unsent():
                try:
                    await file.try_again()
                except SmfsError as error:
                    self._failures.note(area.path_of(file), error)
                    _log.error("%s was not uploaded: %s", area.path_of(file), type(error).__name__)

    def status(self) -> dict[str, Any]:
        """What `.status` shows: pid, identity, service, connection, counters, failures."""
        areas = (self._own, *self._shared.areas())
        return {
            "pid": os.getpid(),
            "nodeId": self.view.node_id,
            **self.view.state(),
            "startedAt": self._started,
            "unsent": [area.path_of(file) for area in areas for file in area.unsent()],
            "failures": [asdict(failure) for failure in self._failures.list()],
        }

    # --- what the kernel is told --------------------------------------------------------------

    def listen(self, callback: Callable[[Sequence[Happening]], None]) -> None:
        """Has `callback` called with what happens elsewhere; it must not block."""
        self._listeners.append(callback)

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Something happened elsewhere; own changes are never told."""
        self._status.changed()
        for callback in self._listeners:
            callback(happenings)

    def when_in_doubt(self, callback: Callable[[], None]) -> None:
        """Has `callback` called when nothing that the kernel keeps can be relied on any more."""
        self._doubters.append(callback)

    def doubt(self) -> None:
        """What happened meanwhile cannot be told one by one: the kernel is to keep nothing."""
        self._status.changed()
        for callback in self._doubters:
            callback()

    def kernel_may_keep(self, node: Node) -> bool:
        """Whether the kernel may keep a node's name and attributes until it is told otherwise."""
        del node
        return False

    def top_names(self) -> list[bytes]:
        """The names right under the root."""
        return [name.encode() for name in self._root.names()]

    def known(self, parent: int, name: bytes) -> Node | None:
        """The node of a name as it is known now, if there is one; asks nobody."""
        try:
            return self._directory(parent).known(check_name(name))
        except SmfsError:
            return None

    # --- what the kernel asks -----------------------------------------------------------------

    async def lookup(self, parent: int, name: bytes) -> Node:
        """The node of a name; NoSuchName when there is none."""
        try:
            text = check_name(name)
        except InvalidName:
            raise NoSuchName("no file can have this name") from None
        return await self._directory(parent).child(text)

    async def get_attributes(self, inode: int) -> Attributes:
        """What `stat` shows."""
        return self.inodes.get(inode).attributes()

    async def set_attributes(
        self,
        inode: int,
        *,
        size: int | None = None,
        accessed: int | None = None,
        modified: int | None = None,
        opened: OpenFile | None = None,
    ) -> Attributes:
        """Sets the size (bytes; through `opened`, if given) and the times (ns since 1970)."""
        node = self.inodes.get(inode)
        if size is not None:
            if not isinstance(node, File):
                raise IsADirectory("a directory has no size to set")
            await node.truncate(size, opened)
        if accessed is not None or modified is not None:
            old = node.current_times()
            await node.set_times(
                Times(
                    old.accessed if accessed is None else accessed,
                    old.modified if modified is None else modified,
                    Times.at(self._now()).changed,
                )
            )
        return node.attributes()

    async def entries(self, inode: int) -> list[tuple[bytes, Node]]:
        """The names and nodes in a directory, without `.` and `..`."""
        return [(name.encode(), node) for name, node in await self._directory(inode).entries()]

    async def open(self, inode: int, intent: Intent) -> OpenFile:
        """Opens a file."""
        node = self.inodes.get(inode)
        if not isinstance(node, File):
            raise IsADirectory("a directory is not opened like a file")
        return await node.open(intent)

    async def create(self, parent: int, name: bytes, intent: Intent) -> tuple[Node, OpenFile]:
        """Makes a file and opens it."""
        return await self._directory(parent).create(check_name(name), intent)

    async def unlink(self, parent: int, name: bytes) -> None:
        """Removes a file."""
        await self._directory(parent).unlink(check_name(name))

    async def make_directory(self, parent: int, name: bytes) -> Node:
        """Makes a directory."""
        return await self._directory(parent).make_directory(check_name(name))

    async def remove_directory(self, parent: int, name: bytes) -> None:
        """Removes an empty directory."""
        await self._directory(parent).remove_directory(check_name(name))

    async def rename(
        self,
        old_parent: int,
        old_name: bytes,
        new_parent: int,
        new_name: bytes,
        *,
        no_replace: bool = False,
    ) -> None:
        """Moves a name; NameTaken when `no_replace` is set and the new one is there."""
        source, target = self._directory(old_parent), self._directory(new_parent)
        await source.rename(
            check_name(old_name), target, check_name(new_name), no_replace=no_replace
        )

    async def extended_attribute(self, inode: int, name: bytes) -> bytes:
        """The value of an extended attribute; NoAttribute when there is none."""
        return await self.inodes.get(inode).extended_attribute(name.decode("utf-8", "replace"))

    def access(
        self, inode: int, *, read: bool = False, write: bool = False, execute: bool = False
    ) -> bool:
        """Whether the owner may do all of this (access(2))."""
        return self.inodes.get(inode).may(read=read, write=write, execute=execute)

    def _directory(self, inode: int) -> Directory:
        node = self.inodes.get(inode)
        if not isinstance(node, Directory):
            raise NotADirectory("not a directory")
        return node
