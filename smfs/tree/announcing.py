"""What changes made elsewhere mean for the names of an area, as happenings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smfs.tree import names
from smfs.tree.happenings import Happening, Kind
from smfs.tree.namespace import Path
from smfs.tree.node import Node

if TYPE_CHECKING:
    from smfs.tree.area import Area


class Announcing:
    """Makes the happenings of one area; of directories that the kernel does not know, none.

    Args:
        area: the area, as it was before a new name comes and before an old one goes.
        place: its names from the root of the mount.
    """

    def __init__(self, area: Area, place: Path) -> None:
        self._area = area
        self._place = place

    def appears(self, secret_id: str) -> Sequence[Happening]:
        """A secret comes; so may the directories above it, of which the uppermost is told."""
        path = names.encode_id(secret_id)
        told: list[Happening] = []
        for depth in range(1, len(path)):
            above = path[:depth]
            kind = self._area.namespace.kind(above)
            if kind == "file":
                # The secret of that id is now the file `%` in the directory.
                told += self._made(Kind.REPLACED, above, self._area.node(above), is_directory=True)
                return told
            if kind is None:
                return self._made(Kind.APPEARED, above, None, is_directory=True)
        return self._made(Kind.APPEARED, self._area.namespace.path(secret_id), None)

    def changes(self, secret_id: str, node: Node | None) -> Sequence[Happening]:
        """A secret has new content, shown by the same node."""
        return self._made(Kind.CHANGED, self._area.namespace.path(secret_id), node)

    def is_replaced(self, secret_id: str, old: Node) -> Sequence[Happening]:
        """A secret has new content, shown by a new node."""
        return self._made(Kind.REPLACED, self._area.namespace.path(secret_id), old)

    def goes(self, secret_id: str, node: Node | None) -> Sequence[Happening]:
        """A secret goes."""
        return self._made(Kind.GONE, self._area.namespace.path(secret_id), node)

    def directory_goes(self, path: Path) -> Sequence[Happening]:
        """A directory goes."""
        node = self._area.known_directory(path)
        return self._made(Kind.GONE, path, node, is_directory=True)

    def _made(
        self, kind: Kind, path: Path, node: Node | None, *, is_directory: bool = False
    ) -> list[Happening]:
        parent = self._area.known_directory(path[:-1])
        if parent is None or not parent.lookups:
            return []
        if kind in (Kind.APPEARED, Kind.GONE):
            parent.touched()
        inode = node.inode if node is not None and node.lookups else None
        whole = tuple(name.encode() for name in (*self._place, *path))
        return [Happening(kind, parent.inode, whole, inode, is_directory)]
