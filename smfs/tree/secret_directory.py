"""A directory of secrets: names looked up, made, renamed and removed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

import anyio

from smfs.errors import (
    AccessRefused,
    DirectoryNotEmpty,
    InvalidName,
    IsADirectory,
    NameTaken,
    NoSuchName,
    NotADirectory,
    OperationRefused,
    OtherArea,
)
from smfs.tree import exchanges, renames
from smfs.tree.namespace import Path
from smfs.tree.node import Directory, Intent, Node, OpenFile, Times
from smfs.tree.one_time import OneTimeFile
from smfs.tree.scratch import is_made_as_scratch
from smfs.tree.secret_file import SecretFile

if TYPE_CHECKING:
    from smfs.tree.area import Area

_MEASURED_S: Final = 5.0
_WRITABLE_MODE: Final = stat.S_IFDIR | 0o700
_READ_ONLY_MODE: Final = stat.S_IFDIR | 0o500


class SecretDirectory(Directory):
    """A directory of an area.

    Attributes:
        area: the area.
        path: its names from the top of the area.
        removed: whether it is gone.
    """

    def __init__(self, area: Area, path: Path) -> None:
        mode = _WRITABLE_MODE if area.store.writable else _READ_ONLY_MODE
        super().__init__(area.context.inodes, mode, Times.at(area.context.now()))
        self.area = area
        self.path = path
        self.removed = False
        self._was_read = False

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return not self.removed

    @property
    def may_be_kept(self) -> bool:
        """As `Node` says."""
        return not self.removed

    def links(self) -> int:
        """As `Node` says."""
        return 0 if self.removed else 2

    async def child(self, name: str) -> Node:
        """As `Directory` says; a name that nobody knows of here is asked for at the service."""
        path = (*self.path, name)
        local = self.area.local(path)
        if local is not None:
            return local
        if not self.area.could_name(path):
            raise NoSuchName(name)
        since = anyio.current_time()
        await self.area.refresh()
        node = self.area.node(path)
        if node is None:
            await self.area.look_again(path, since)
            node = self.area.node(path)
        if node is None:
            raise NoSuchName(name)
        return node

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self.area.refresh()
        if self.removed:
            return []
        # Who reads it again wants more than names. Attributes that are listed cost far less than
        # those that are asked for one by one.
        if self._was_read:
            with anyio.move_on_after(_MEASURED_S):
                await self.area.context.view.measured()
        self._was_read = True
        return list(self.area.children(self.path).items())

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """As `Directory` says; fails where the upload could not succeed, as far as is known."""
        self.require_writable()
        path = (*self.path, name)
        secret_id = self.id_for(path)
        existing = self.known(name)
        if existing is None:
            made = self._make(path, secret_id, intent) or await self._make_checked(
                path, secret_id, intent
            )
            if made is not None:
                self.touched()
                return made, made.opened(intent)
            existing = self.known(name)
        if existing is None:
            raise NoSuchName(name)
        return existing, await _open_existing(existing, name, intent)

    def _make(self, path: Path, secret_id: str, intent: Intent) -> SecretFile | None:
        """A scratch file, if it is one: nobody needs to be asked for it."""
        taken = secret_id in self.area.store.listed()
        if taken or not is_made_as_scratch(path[-1], intent):
            return None
        return self.area.add_scratch(path)

    async def _make_checked(self, path: Path, secret_id: str, intent: Intent) -> SecretFile | None:
        """A secret's file, unless somebody turns out to have made it meanwhile."""
        version = await self.area.store.check(secret_id)
        self.area.update()
        if self.area.node(path) is not None:
            return None
        return self.area.add_new(secret_id, stored=version is not None)

    async def make_directory(self, name: str) -> Node:
        """As `Directory` says."""
        self.require_writable()
        path = (*self.path, name)
        if self.known(name) is not None:
            raise NameTaken(name)
        if self.area.store.is_reserved("/".join(path)):
            raise OperationRefused("smfs keeps this name for itself")
        self.area.namespace.make_directory(path)
        self.touched()
        return self.area.directory(path)

    async def unlink(self, name: str) -> None:
        """As `Directory` says."""
        self.require_writable()
        node = self.require(name)
        if not isinstance(node, SecretFile):
            raise IsADirectory(name)
        async with node.lock:
            if node.unlinked:
                raise NoSuchName(name)
            await self.area.remove(node)
        self.touched()

    async def remove_directory(self, name: str) -> None:
        """As `Directory` says."""
        self.require_writable()
        node = self.require(name)
        if not isinstance(node, SecretDirectory):
            raise NotADirectory(name)
        if self.area.children(node.path):
            raise DirectoryNotEmpty(name)
        self.area.forget_directory(node.path)
        self.touched()

    async def rename(self, old: str, target: Directory, new: str, *, no_replace: bool) -> None:
        """As `Directory` says."""
        partner = self._partner(target)
        await renames.rename(self, old, partner, new, no_replace=no_replace)
        self.touched()
        partner.touched()

    async def exchange(self, old: str, target: Directory, new: str) -> None:
        """As `Directory` says."""
        partner = self._partner(target)
        await exchanges.exchange(self, old, partner, new)
        self.touched()
        partner.touched()

    def _partner(self, target: Directory) -> SecretDirectory:
        if not isinstance(target, SecretDirectory) or target.area is not self.area:
            raise OtherArea("a rename stays within its area")
        self.require_writable()
        return target

    # --- for this directory and for renames ---------------------------------------------------

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        self.area.update()
        return self.area.node((*self.path, name))

    def require(self, name: str) -> Node:
        """The node of a name; NoSuchName when there is none."""
        node = self.known(name)
        if node is None:
            raise NoSuchName(name)
        return node

    def id_for(self, path: Path) -> str:
        """The id of a new file.

        Raises:
            InvalidName: when no secret can be called so.
            OperationRefused: when the software keeps the name for itself.
        """
        secret_id = self.area.namespace.id_for_new_file(path)
        if not secret_id:
            raise InvalidName("no secret has an empty id")
        if self.area.store.is_reserved(secret_id):
            raise OperationRefused("smfs keeps this name for itself")
        return secret_id

    def require_writable(self) -> None:
        """Raises AccessRefused where nothing can be made or removed."""
        if not self.area.store.writable:
            raise AccessRefused("what others shared is read only")
        if self.removed:
            raise NoSuchName("the directory is gone")

    def touched(self) -> None:
        """Its names have changed."""
        self.times = Times.at(self.area.context.now())


async def _open_existing(node: Node, name: str, intent: Intent) -> OpenFile:
    if intent.exclusive:
        raise NameTaken(name)
    if isinstance(node, SecretFile | OneTimeFile):
        return await node.open(intent)
    raise IsADirectory(name)
