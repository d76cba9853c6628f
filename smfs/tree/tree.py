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
    InvalidInput,
    InvalidName,
    IsADirectory,
    NoSuchName,
    NotADirectory,
    NotSupported,
    SmfsError,
)
from smfs.tree.accept import AcceptDirectory
from smfs.tree.area import Area
from smfs.tree.context import Context
from smfs.tree.directories import FromDirectory, Root, SharedDirectory
from smfs.tree.failures import Failures
from smfs.tree.happenings import Happening
from smfs.tree.links import Link
from smfs.tree.names import check_name
from smfs.tree.names_directory import NamesDirectory
from smfs.tree.node import Attributes, Directory, File, Inodes, Intent, Node, OpenFile, Times, Usage
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
        follows: whether the service's feed is followed.

    Attributes:
        inodes: the numbers and the nodes behind them.
        view: as given.
    """

    def __init__(
        self, view: View, *, now: Callable[[], float] = time.time, follows: bool = True
    ) -> None:
        self.view = view
        self._follows = follows
        self._now = now
        self._started = now()
        self.inodes = Inodes()
        self._listeners: list[Callable[[Sequence[Happening]], None]] = []
        self._watchers: list[Callable[[], None]] = []
        self._tasks: anyio.abc.TaskGroup | None = None
        self._doubters: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        """Builds the nodes; asks nobody."""
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._failures = Failures(self._tasks, self._now)
        context = Context(self.view, self.inodes, self._failures, self._now, self.tell)
        self._root = root = Root(self.inodes, self._now())  # the first node gets the root's number
        self._own = Area(context, OwnStore(self.view), ("own",))
        self._from = FromDirectory(context)
        self._shared = SharedDirectory(context)
        self._status = StatusFile(context, self.status)
        root.show(
            {
                "own": self._own.top,
                "from": self._from,
                "shared": self._shared,
                ".accept": AcceptDirectory(context),
                ".names": NamesDirectory(context),
                ".status": self._status,
            }
        )
        if self._follows:
            self._tasks.start_soon(self.view.follow)
        self._tasks.start_soon(self._keep_up)
        self._tasks.start_soon(self._notice_doubt)
        self._tasks.start_soon(self._notice_return)
        return self

    async def _keep_up(self) -> None:
        """Takes over what changes elsewhere as soon as the view knows of it."""
        while True:
            generation = self.view.generation
            _go_on_after(self._from.update)
            for area in self._areas():
                _go_on_after(area.update)
            self._status.changed()
            for watcher in self._watchers:
                _go_on_after(watcher)
            await self.view.wait_for_change(generation)

    async def _notice_doubt(self) -> None:
        """A service that no longer has a feed tells of nothing that the kernel keeps."""
        while True:
            await self.view.wait_until_told(told=True)
            await self.view.wait_until_told(told=False)
            for doubter in self._doubters:
                _go_on_after(doubter)

    async def _notice_return(self) -> None:
        """What could not be uploaded goes as soon as the service is back."""
        while True:
            await self.view.wait_until_live(live=False)
            await self.view.wait_until_live(live=True)
            self._failures.try_now()

    def _areas(self) -> Sequence[Area]:
        return (self._own, *self._from.areas(), *self._shared.areas())

    # --- what changes elsewhere ---------------------------------------------------------------

    def listen(self, listener: Callable[[Sequence[Happening]], None]) -> None:
        """Has happenings passed on to `listener`, on the event loop; it must not block."""
        self._listeners.append(listener)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Has `watcher` called, on the event loop, after whatever changed on the service."""
        self._watchers.append(watcher)

    def when_in_doubt(self, doubter: Callable[[], None]) -> None:
        """Has `doubter` called when nothing that the kernel keeps can be relied on any more."""
        self._doubters.append(doubter)

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Passes on what was changed elsewhere; nothing that was there before the first look."""
        if happenings and self.view.is_complete:
            for listener in self._listeners:
                listener(happenings)

    def kernel_may_keep(self, node: Node) -> bool:
        """Whether the kernel may keep a node's name and attributes until a happening."""
        return self.view.is_told and node.may_be_kept

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
                except Exception as error:  # noqa: BLE001 - the others are to be uploaded
                    _log.error("%s was not uploaded: %s", area.path_of(file), type(error).__name__)

    def status(self) -> dict[str, Any]:
        """What `.status` shows: pid, identity, service, connection, counters, failures."""
        areas = self._areas()
        return {
            "pid": os.getpid(),
            "nodeId": self.view.node_id,
            **self.view.state(),
            "startedAt": self._started,
            "unsent": [area.path_of(file) for area in areas for file in area.unsent()],
            "failures": [asdict(failure) for failure in self._failures.list()],
        }

    def usage(self) -> Usage:
        """What `df` shows; asks nobody."""
        listed = (self.view.own(), *self.view.sent().values())
        sizes = [version.size or 0 for area in listed for version in area.values()]
        return Usage(len(sizes), sum(sizes), self.view.content_limit())

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
        node = await self._directory(parent).child(text)
        if not node.may_be_kept:
            await node.get_ready()
        return node

    async def get_attributes(self, inode: int) -> Attributes:
        """What `stat` shows."""
        node = self.inodes.get(inode)
        if not node.may_be_kept:
            await node.get_ready()
        return node.attributes()

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

    def read_link(self, inode: int) -> str:
        """Where a symbolic link leads; InvalidInput when it is none (readlink(2))."""
        node = self.inodes.get(inode)
        if not isinstance(node, Link):
            raise InvalidInput("not a symbolic link")
        return node.target

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

    async def exchange(
        self, one_parent: int, one_name: bytes, other_parent: int, other_name: bytes
    ) -> None:
        """Gives each of two names what the other one stands for; NoSuchName when one is missing."""
        source, target = self._directory(one_parent), self._directory(other_parent)
        await source.exchange(check_name(one_name), target, check_name(other_name))

    async def extended_attribute(self, inode: int, name: bytes) -> bytes:
        """The value of an extended attribute.

        Raises:
            NoAttribute: when there is none of this name.
            NotSupported: for names that programs do not choose. `ls -l` asks for two of those, and
                after this answer does not ask about each further file.
        """
        if not name.startswith(b"user."):
            raise NotSupported("there are attributes of users only")
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


def _go_on_after(step: Callable[[], None]) -> None:
    """One step of the background work: if it fails, the mount does not end with it."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever it is, the mount goes on
        _log.error("%s failed: %s", step.__qualname__, type(error).__name__)
