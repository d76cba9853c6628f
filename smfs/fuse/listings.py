"""One open directory: what was in it when the reading began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from smfs.tree.node import Attributes, Node

if TYPE_CHECKING:
    from smfs.tree.tree import Tree

_UNKNOWN_INODE: Final = 0xFFFFFFFF
_DOTS: Final = 2


class Listing:
    """A directory as one pass over it sees it: whatever changes meanwhile, nothing comes twice.

    Args:
        tree: the tree of the directory.
        inode: of the directory.
    """

    def __init__(self, tree: Tree, inode: int) -> None:
        self._tree = tree
        self._inode = inode
        self._dots: list[tuple[bytes, Attributes]] = []
        self._entries: list[tuple[bytes, Node]] = []

    async def load(self) -> None:
        """Asks for what is in the directory now; rewinddir(3) asks anew."""
        entries = await self._tree.entries(self._inode)
        itself = await self._tree.get_attributes(self._inode)
        # libfuse's own number for "not known"; getcwd and the like ask by lookup.
        parent = itself._replace(inode=_UNKNOWN_INODE)
        self._dots = [(b".", itself), (b"..", parent)]
        self._entries = entries

    def after(self, position: int) -> Iterator[tuple[bytes, Attributes, Node | None, int]]:
        """Name, attributes, node, and the position behind it, of each entry from a position.

        The node is None for `.` and `..`, which the kernel does not remember by a listing. A node
        that is gone since the listing began is left out: the kernel must not be told its number.
        """
        for index, (name, shown) in enumerate(self._dots[position:], position):
            yield name, shown, None, index + 1
        entries, is_there = self._entries, self._tree.inodes.is_there
        for index in range(max(position - _DOTS, 0), len(entries)):
            name, node = entries[index]
            if is_there(node):
                yield name, node.attributes(), node, index + _DOTS + 1
