"""The root, and the directories of nodes: `from/` and `shared/`."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Final

from smfs.crypto.identity import is_node_id
from smfs.errors import (
    DirectoryNotEmpty,
    InvalidName,
    IsADirectory,
    NameTaken,
    NoSuchName,
    OperationRefused,
)
from smfs.tree.area import Area
from smfs.tree.context import Context
from smfs.tree.happenings import Happening, Kind
from smfs.tree.links import Links
from smfs.tree.node import Directory, Inodes, Intent, Node, OpenFile, Times
from smfs.tree.stores import FromStore, SharedStore

_WHAT_IS_SHARED: Final = "what stands in shared are node ids, and the petnames that .names knows"


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
    """The accepted senders, each as a directory of what he shared; petnames lead to them."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.inodes, stat.S_IFDIR | 0o500, Times.at(context.now()))
        self._context = context
        self._areas: dict[str, Area] = {}
        self._links = Links(context)
        self._shown: set[str] = set()

    @property
    def may_be_kept(self) -> bool:
        """As `Node` says."""
        return True

    def areas(self) -> list[Area]:
        """Those that were looked at."""
        return list(self._areas.values())

    def update(self) -> None:
        """Tells of senders that came and went elsewhere; asks nobody."""
        senders = self._context.view.senders()
        came, went = senders.keys() - self._shown, self._shown - senders.keys()
        self._shown = set(senders)
        if self.lookups:
            told = [self._happening(Kind.APPEARED, name) for name in sorted(came)]
            told += [self._happening(Kind.GONE, name) for name in sorted(went)]
            self._context.tell(told)
        for name in went & self._areas.keys():
            top = self._areas.pop(name).top
            top.removed = True
            self._context.inodes.drop_if_unused(top)

    def _happening(self, kind: Kind, name: str) -> Happening:
        area = self._areas.get(name)
        inode = area.top.inode if area is not None and area.top.lookups else None
        return Happening(kind, self.inode, (b"from", name.encode()), inode, is_directory=True)

    async def child(self, name: str) -> Node:
        """As `Directory` says."""
        link = None if is_node_id(name) else await self._links.find(name)
        node_id = link.target if link else name
        if not await self._is_sender(node_id):
            raise NoSuchName(name)
        return link or self._top(node_id)

    async def _is_sender(self, node_id: str) -> bool:
        view = self._context.view
        await view.refresh()
        if node_id not in view.senders():
            await view.refresh(max_age=0)
        return node_id in view.senders()

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        return self._top(name) if name in self._context.view.senders() else None

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self._context.view.refresh()
        senders = self._context.view.senders()
        links = await self._links.list(senders)
        return [*((name, self._top(name)) for name in senders), *links]

    def _top(self, name: str) -> Node:
        if name not in self._areas:
            store = FromStore(self._context.view, name)
            self._areas[name] = Area(self._context, store, ("from", name))
            # What is there now is not told of; what comes later is.
            self._areas[name].update()
        return self._areas[name].top


class SharedDirectory(Directory):
    """The nodes that I can share with: every node id, but listed only once it was used.

    A petname leads to its node, used or not: so one sees with whom one could share.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context.inodes, stat.S_IFDIR | 0o700, Times.at(context.now()))
        self._context = context
        self._areas: dict[str, Area] = {}
        self._links = Links(context)
        self._removed: set[str] = set()

    @property
    def may_be_kept(self) -> bool:
        """As `Node` says."""
        return True

    def areas(self) -> list[Area]:
        """Those that were looked at."""
        return list(self._areas.values())

    async def child(self, name: str) -> Node:
        """As `Directory` says; a node id is there without asking anybody."""
        if not is_node_id(name):
            return await self._links.find(name)
        return self._area(name).top

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        return self._area(name).top if is_node_id(name) else None

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self._context.view.refresh()
        listed = dict.fromkeys([*self._context.view.sent(), *self._areas])
        used = [name for name in listed if self._is_used(name)]
        links = await self._links.list()
        return [*((name, self._area(name).top) for name in used), *links]

    async def make_directory(self, name: str) -> Node:
        """As `Directory` says: what can be here is there already."""
        if is_node_id(name) or await self._is_petname(name):
            raise NameTaken(name)
        raise InvalidName(_WHAT_IS_SHARED)

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """As `Directory` says: never, since what is here are directories."""
        if is_node_id(name) or await self._is_petname(name):
            raise IsADirectory(name)
        raise InvalidName(_WHAT_IS_SHARED)

    async def unlink(self, name: str) -> None:
        """As `Directory` says; a petname is taken away in `.names`."""
        if is_node_id(name):
            raise IsADirectory(name)
        await self._links.find(name)
        raise OperationRefused("a petname is taken away in .names")

    async def remove_directory(self, name: str) -> None:
        """As `Directory` says: the name leaves the listing."""
        if not is_node_id(name):
            raise NoSuchName(name)
        area = self._area(name)
        await area.refresh()
        if area.children(()):
            raise DirectoryNotEmpty(name)
        self._removed.add(name)

    async def _is_petname(self, name: str) -> bool:
        return await self._context.view.petnames.node_of(name) is not None

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
