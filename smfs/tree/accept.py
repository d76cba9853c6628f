"""`.accept`: making a file accepts a sender, removing it stops accepting him (the design, 2.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from smfs.crypto.identity import is_node_id
from smfs.errors import InvalidName, NameTaken, NoSuchName, NotAccepted, OperationRefused
from smfs.tree import expiry
from smfs.tree.context import Context
from smfs.tree.line_directory import LineDirectory
from smfs.tree.line_file import LineFile, OpenLine
from smfs.tree.links import Links
from smfs.tree.node import Intent, Node, OpenFile, Times

_FIXED: Final = "a closing date cannot be changed: remove the sender and accept him anew"


class AcceptFile(LineFile):
    """One accepted sender, or one who will be: his closing date, or nothing where there is none."""

    def __init__(self, context: Context, node_id: str) -> None:
        super().__init__(context, ".accept", node_id)

    def line(self) -> str:
        """As `LineFile` says."""
        return expiry.format_expiry(self._closure_date())

    def check(self, text: str) -> None:
        """As `LineFile` says."""
        expiry.parse_expiry(text, now=self._now())

    async def store(self, text: str) -> None:
        """As `LineFile` says.

        Raises:
            InvalidInput: for what is no date.
            ClosureDatePassed: for a date that is not in the future.
            OperationRefused: when he is accepted until another date.
        """
        if self.pending:
            closure_date = expiry.parse_expiry(text, now=self._now())
            await self.context.view.accept(self.name, closure_date)
        elif not self._says_the_same(text):
            raise OperationRefused(_FIXED)

    async def set_times(self, times: Times) -> None:
        """As `Node` says; `touch` has nothing else to do, so the sender is accepted now."""
        await super().set_times(times)
        if self.pending and self.handles and not self.changed:
            await self.send()

    async def truncate(self, size: int, opened: OpenFile | None) -> None:
        """As `File` says; a date that is set stays (PROTOCOL.md section 7, openSubSpace)."""
        if size > len(self.content()) or (self.content() and not self.pending and size == 0):
            raise OperationRefused(_FIXED)
        self.buffer = bytearray(self.content()[:size])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.context.now(), UTC).astimezone()

    def _says_the_same(self, text: str) -> bool:
        closure_date = self._closure_date()
        if text.strip() == expiry.format_expiry(closure_date):
            return True
        return expiry.parse_expiry(text, now=self._now()) == closure_date

    def _closure_date(self) -> float | None:
        sender = self.context.view.senders().get(self.name)
        return sender.closure_date if sender else None


class AcceptDirectory(LineDirectory[AcceptFile]):
    """The accepted senders, each as a file that holds its closing date; petnames lead to them."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, ".accept", AcceptFile)
        self._links = Links(context)

    async def child(self, name: str) -> Node:
        """As `Directory` says."""
        link = None if is_node_id(name) else await self._links.find(name)
        node_id = link.target if link else name
        if not await self._is_there(node_id):
            raise NoSuchName(name)
        return link or self.file(node_id)

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        is_there = name in self.pending() or name in self.context.view.senders()
        return self.file(name) if is_there else None

    async def _is_there(self, node_id: str) -> bool:
        if node_id in self.pending():
            return True
        view = self.context.view
        await view.refresh()
        if node_id not in view.senders():
            await view.refresh(max_age=0)
        return node_id in view.senders()

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self.context.view.refresh()
        listed = {**self.context.view.senders(), **self.pending()}
        links = await self._links.list(listed.keys())
        return [*((name, self.file(name)) for name in listed), *links]

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """As `Directory` says; the sender is accepted at the first flush that has content.

        A petname makes the file of its node, which is then found under the node id, and by a
        link under the petname.
        """
        node_id = await self._node_id(name)
        await self.context.view.require_service()
        await self.context.view.refresh(max_age=0)
        file = self.file(node_id)
        if node_id in self.context.view.senders() or file.pending:
            if intent.exclusive:
                raise NameTaken(name)
            return file, await file.open(intent)
        file.begin()
        self.touched()
        return file, OpenLine(file, writes=True)

    async def unlink(self, name: str) -> None:
        """As `Directory` says: what the sender shared goes with it; his petname stays."""
        node_id = name if is_node_id(name) else (await self._links.find(name)).target
        await self.remove(node_id, self.context.view.deny, NotAccepted)

    async def _node_id(self, name: str) -> str:
        if is_node_id(name):
            return name
        try:
            return (await self._links.find(name)).target
        except NoSuchName:
            raise InvalidName("what stands in .accept are node ids and petnames") from None
