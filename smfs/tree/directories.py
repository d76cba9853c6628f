"""The root, and the directories of nodes: `from/` and `shared/`."""

from __future__ import annotations

import stat
from collections.abc import Mapping

from smfs.crypto.identity import is_node_id
from smfs.errors import (
    DirectoryNotEmpty,
    InvalidName,
    IsADirectory,
    NameTaken,
    NoSuchName,
)
from smfs.tree.area import Area
from smfs.tree.context import Context
from smfs.tree.node import Directory, Inodes, Intent, Node, OpenFile, Times
from smfs.tree.stores import FromStore, SharedStore


class Root(Directory):
    """The top of the mount; it never waits for the network (the design, section 2.4)."""

    def __init__(self, inodes: Inodes, now: float) -> None:
        super().__init__(inodes, stat.S_IFDIR | 0o700, Times.at(now))
        self._children: Mapping[str, Node] = {}

    def show(self, children: Mapping[str, Node]) -> None:
        """Sets what it holds, once."""
        self._children = children

    def names(self) -> list[str]:
        """What it holds."""
        return list(self._children)

    async def child(self, name: str) -> Node:
        """As `Directory` says."""
        if name not in self._children:
            raise NoSuchName(name)
        return self._children[name]

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        return self._children.get(name)

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        return list(self._children.items())


class FromDirectory(Directory):
    """The accepted senders, each as a directory of what he shared."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.inodes, stat.S_IFDIR | 0o500, Times.at(context.now()))
        self._context = context
        self._areas: dict[str, Area] = {}

    async def child(self, name: str) -> Node:
        """As `Directory` says."""
        if not is_node_id(name):
            raise NoSuchName(name)
        view = self._context.view
        await view.refresh()
        if name not in view.senders():
            await view.refresh(max_age=0)
        if name not in view.senders():
            raise NoSuchName(name)
        return self._top(name)

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        return self._top(name) if name in self._context.view.senders() else None

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self._context.view.refresh()
        return [(name, self._top(name)) for name in self._context.view.senders()]

    def _top(self, name: str) -> Node:
        if name not in self._areas:
            store = FromStore(self._context.view, name)
            self._areas[name] = Area(self._context, store, ("from", name))
        return self._areas[name].top


class SharedDirectory(Directory):
    """The nodes that I can share with: every node id, but listed only once it was used."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.inodes, stat.S_IFDIR | 0o700, Times.at(context.now()))
        self._context = context
        self._areas: dict[str, Area] = {}
        self._removed: set[str] = set()

    def areas(self) -> list[Area]:
        """Those that were looked at."""
        return list(self._areas.values())

    async def child(self, name: str) -> Node:
        """As `Directory` says; asks nobody."""
        if not is_node_id(name):
            raise NoSuchName(name)
        return self._area(name).top

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        return self._area(name).top if is_node_id(name) else None

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self._context.view.refresh()
        listed = dict.fromkeys([*self._context.view.sent(), *self._areas])
        return [(name, self._area(name).top) for name in listed if self._is_used(name)]

    async def make_directory(self, name: str) -> Node:
        """As `Directory` says: it is there already, if only node ids are."""
        if is_node_id(name):
            raise NameTaken(name)
        raise InvalidName("what stands in shared are node ids: 64 hex digits, lower case")

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """As `Directory` says: never, since what is here are directories."""
        if is_node_id(name):
            raise IsADirectory(name)
        raise InvalidName("what stands in shared are node ids: 64 hex digits, lower case")

    async def unlink(self, name: str) -> None:
        """As `Directory` says."""
        raise IsADirectory(name) if is_node_id(name) else NoSuchName(name)

    async def remove_directory(self, name: str) -> None:
        """As `Directory` says: the name leaves the listing."""
        if not is_node_id(name):
            raise NoSuchName(name)
        area = self._area(name)
        await area.refresh()
        if area.children(()):
            raise DirectoryNotEmpty(name)
        self._removed.add(name)

    def _is_used(self, name: str) -> bool:
        if self._area(name).children(()):
            self._removed.discard(name)
            return True
        # A directory that was seen with something in it stays until rmdir (`rm -r` needs that).
        return name not in self._removed and self._areas[name].was_used

    def _area(self, name: str) -> Area:
        if name not in self._areas:
            store = SharedStore(self._context.view, name)
            self._areas[name] = Area(self._context, store, ("shared", name))
        self._areas[name].update()
        return self._areas[name]
