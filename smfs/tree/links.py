"""Petnames in the directories of nodes: symbolic links to the one true path."""

from __future__ import annotations

import stat
from collections.abc import Container, Iterable
from typing import Final

from smfs.errors import NoSuchName
from smfs.tree.context import Context
from smfs.tree.node import Inodes, Node, Times

_MODE: Final = stat.S_IFLNK | 0o777


class Link(Node):
    """A symbolic link.

    Attributes:
        target: where it leads, from its directory.
        removed: its name is gone, or leads elsewhere.
    """

    def __init__(self, inodes: Inodes, target: str, times: Times) -> None:
        super().__init__(inodes, _MODE, times)
        self.target = target
        self.removed = False

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return not self.removed

    def size(self) -> int:
        """As `Node` says: the bytes of where it leads (symlink(7))."""
        return len(self.target.encode())


class Links:
    """The links of one directory, each by a petname of the node that it leads to.

    A petname that gets another node gets a new link: the kernel may keep what a link says.

    Args:
        context: of the mount.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._links: dict[str, Link] = {}

    async def find(self, petname: str) -> Link:
        """The link of a petname; NoSuchName when it stands for nobody."""
        node_id = await self._context.view.petnames.node_of(petname)
        if node_id is None:
            self._drop([petname])
            raise NoSuchName(petname)
        return self._link(petname, node_id)

    async def list(self, there: Container[str] | None = None) -> list[tuple[str, Node]]:
        """All links, with their petnames.

        Args:
            there: the node ids that there is something for; None: all.
        """
        await self._context.view.petnames.refresh()
        names = self._context.view.petnames.names()
        self._drop(self._links.keys() - names.keys())
        return [
            (petname, self._link(petname, node_id))
            for petname, node_id in names.items()
            if there is None or node_id in there
        ]

    def _link(self, petname: str, node_id: str) -> Link:
        known = self._links.get(petname)
        if known is not None and known.target == node_id:
            return known
        self._drop([petname])
        made = Link(self._context.inodes, node_id, Times.at(self._context.now()))
        self._links[petname] = made
        return made

    def _drop(self, petnames: Iterable[str]) -> None:
        for petname in petnames:
            link = self._links.pop(petname, None)
            if link is not None:
                link.removed = True
                self._context.inodes.drop_if_unused(link)
