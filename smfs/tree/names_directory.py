"""`.names`: my short names for node ids, each as a file that holds the node id."""

from __future__ import annotations

from smfs.client.arguments import node_id_of
from smfs.client.petnames import is_petname
from smfs.errors import (
    InvalidInput,
    InvalidName,
    NameTaken,
    NoSuchName,
    OtherArea,
    PetnameNotFound,
)
from smfs.tree.context import Context
from smfs.tree.line_directory import LineDirectory
from smfs.tree.line_file import LineFile, OpenLine
from smfs.tree.node import Directory, Intent, Node, OpenFile, Times


class NameFile(LineFile):
    """One petname.

    It changes as a whole, with the first flush after a node id was written. Emptying it changes
    nothing, and a new one that nothing is written into is gone after its last close.
    """

    def __init__(self, context: Context, petname: str) -> None:
        super().__init__(context, ".names", petname)

    def line(self) -> str:
        """As `LineFile` says."""
        return self.context.view.petnames.known(self.name) or ""

    def check(self, text: str) -> None:
        """As `LineFile` says."""
        node_id_of(text.strip())

    async def store(self, text: str) -> None:
        """As `LineFile` says."""
        await self.context.view.petnames.set(self.name, node_id_of(text.strip()))

    async def finish(self) -> None:
        """As `LineFile` says."""
        if self.changed:
            await self.send()
        else:
            self.forget()

    async def sync(self) -> None:
        """As `LineFile` says; what nothing was written into is no petname."""
        if self.pending and not self.changed:
            raise InvalidInput("a petname needs a node id in it")
        await self.send()

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says; a service that is away is told of at once."""
        if intent.write and not self.pending:
            await self.context.view.petnames.ask(self.name)
        if intent.truncate:
            self.buffer = bytearray()
        return OpenLine(self, writes=intent.write)

    async def set_times(self, times: Times) -> None:
        """As `Node` says; `touch` is told that it makes no petname, and makes none."""
        if self.pending and not self.changed:
            self.forget()
            raise InvalidInput("a petname needs a node id in it")
        await super().set_times(times)

    async def truncate(self, size: int, opened: OpenFile | None) -> None:
        """As `File` says, as long as somebody has it open who can write something better."""
        if opened is None or size > len(self.content()):
            raise InvalidInput("a petname needs a node id in it")
        self.buffer = bytearray(self.content()[:size])


class NamesDirectory(LineDirectory[NameFile]):
    """The petnames of this node."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, ".names", NameFile)

    async def child(self, name: str) -> Node:
        """As `Directory` says."""
        if name not in self.pending() and not await self.context.view.petnames.node_of(name):
            raise NoSuchName(name)
        return self.file(name)

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self.context.view.petnames.refresh()
        listed = dict.fromkeys([*self.context.view.petnames.names(), *self.pending()])
        return [(name, self.file(name)) for name in listed]

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """As `Directory` says; the petname is there once a node id was written."""
        _require_petname(name)
        is_there = name in self.pending() or await self.context.view.petnames.ask(name)
        if is_there and intent.exclusive:
            raise NameTaken(name)
        file = self.file(name)
        if is_there:
            return file, await file.open(intent)
        file.begin()
        self.touched()
        return file, OpenLine(file, writes=True)

    async def unlink(self, name: str) -> None:
        """As `Directory` says; the node is what it was."""
        await self.remove(name, self.context.view.petnames.drop, PetnameNotFound)

    async def rename(self, old: str, target: Directory, new: str, *, no_replace: bool) -> None:
        """As `Directory` says; the new name is stored before the old one is deleted."""
        if target is not self:
            raise OtherArea("a rename stays within its area")
        _require_petname(new)
        await self.child(old)
        if no_replace and await self._is_there(new):
            raise NameTaken(new)
        if old == new:
            return
        file = self.file(old)
        async with file.lock:
            if not file.pending:
                await self._rename_stored(old, new)
            self.move(old, new)
        self.touched()

    async def _rename_stored(self, old: str, new: str) -> None:
        petnames = self.context.view.petnames
        node_id = await petnames.ask(old)
        if node_id is None:
            raise NoSuchName(old)
        await petnames.set(new, node_id)
        await petnames.drop(old)

    async def _is_there(self, name: str) -> bool:
        return name in self.pending() or await self.context.view.petnames.ask(name) is not None


def _require_petname(name: str) -> None:
    if not is_petname(name):
        raise InvalidName("a petname is 1 to 63 of a-z 0-9 . _ - and begins with a-z 0-9")
