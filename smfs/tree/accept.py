"""`.accept`: making a file accepts a sender, removing it stops accepting him (the design, 2.2)."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from typing import Final

import anyio

from smfs.crypto.identity import is_node_id
from smfs.errors import (
    InvalidName,
    NameTaken,
    NoSuchName,
    NotAccepted,
    OperationRefused,
    ServiceUnavailable,
    SmfsError,
    TooLarge,
)
from smfs.tree import expiry
from smfs.tree.context import Context
from smfs.tree.node import Directory, File, Intent, Node, OpenFile, Times

_LONGEST: Final = 4096
_FIXED: Final = "a closing date cannot be changed: remove the sender and accept him anew"


class AcceptDirectory(Directory):
    """The accepted senders, each as a file that holds its closing date."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.inodes, stat.S_IFDIR | 0o700, Times.at(context.now()))
        self._context = context
        self._files: dict[str, AcceptFile] = {}

    async def child(self, name: str) -> Node:
        """As `Directory` says."""
        if not is_node_id(name):
            raise NoSuchName(name)
        known = self._files.get(name)
        if known is not None and known.pending:
            return known
        await self._context.view.refresh()
        if name not in self._context.view.senders():
            await self._context.view.refresh(max_age=0)
        if name not in self._context.view.senders():
            raise NoSuchName(name)
        return self._file(name)

    def known(self, name: str) -> Node | None:
        """As `Directory` says."""
        file = self._files.get(name)
        is_pending = file is not None and file.pending
        return self._file(name) if is_pending or name in self._context.view.senders() else None

    async def entries(self) -> list[tuple[str, Node]]:
        """As `Directory` says."""
        await self._context.view.refresh()
        pending = [name for name, file in self._files.items() if file.pending]
        listed = dict.fromkeys([*self._context.view.senders(), *pending])
        return [(name, self._file(name)) for name in listed]

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """As `Directory` says; the sender is accepted at the first flush that has content."""
        if not is_node_id(name):
            raise InvalidName("what stands in .accept are node ids: 64 hex digits, lower case")
        await self._context.view.refresh(max_age=0)
        file = self._file(name)
        if name in self._context.view.senders() or file.pending:
            if intent.exclusive:
                raise NameTaken(name)
            return file, await file.open(intent)
        file.begin()
        self.times = Times.at(self._context.now())
        return file, OpenAccept(file, writes=True)

    async def unlink(self, name: str) -> None:
        """As `Directory` says: what the sender shared goes with it."""
        file = self._files.get(name)
        if file is None or not await file.withdraw():
            await self._deny(name)
        self._context.failures.made_good(f".accept/{name}")
        self._files.pop(name, None)
        if file is not None:
            file.removed = True
            self._context.inodes.drop_if_unused(file)
        self.times = Times.at(self._context.now())

    async def _deny(self, name: str) -> None:
        try:
            await self._context.view.deny(name)
        except NotAccepted:
            raise NoSuchName(name) from None

    def _file(self, name: str) -> AcceptFile:
        if name not in self._files:
            self._files[name] = AcceptFile(self._context, name)
        return self._files[name]


class AcceptFile(File):
    """One accepted sender, or one who will be.

    Attributes:
        pending: the service was not told of him yet.
        buffer: what is being written; None when nobody writes.
        removed: its name is gone.
        handles: how many open files there are.
    """

    def __init__(self, context: Context, node_id: str) -> None:
        super().__init__(context.inodes, stat.S_IFREG | 0o600, Times.at(context.now()))
        self._context = context
        self._node_id = node_id
        self._lock = anyio.Lock()
        self.pending = False
        self.buffer: bytearray | None = None
        self.changed = False
        self.removed = False
        self.handles = 0

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return not self.removed or bool(self.handles)

    def content(self) -> bytes:
        """The closing date and a newline; nothing where there is no end."""
        if self.buffer is not None:
            return bytes(self.buffer)
        text = expiry.format_expiry(self._closure_date())
        return f"{text}\n".encode() if text else b""

    def size(self) -> int:
        """As `Node` says."""
        return len(self.content())

    def begin(self) -> None:
        """Makes it a sender whom the service is not told of yet."""
        self.pending = True
        self.buffer = bytearray()

    def links(self) -> int:
        """As `Node` says."""
        return 0 if self.removed else 1

    async def set_times(self, times: Times) -> None:
        """As `Node` says; `touch` has nothing else to do, so the sender is accepted now."""
        await super().set_times(times)
        if self.pending and self.handles and not self.changed:
            await self.send()

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says."""
        if intent.truncate:
            await self.truncate(0, None)
        return OpenAccept(self, writes=intent.write)

    async def truncate(self, size: int, opened: OpenFile | None) -> None:
        """As `File` says; a date that is set stays (PROTOCOL.md section 7, openSubSpace)."""
        if size > len(self.content()) or (self.content() and not self.pending and size == 0):
            raise OperationRefused(_FIXED)
        self.buffer = bytearray(self.content()[:size])

    def write(self, offset: int, data: bytes) -> int:
        """Puts `data` at `offset`.

        A whole line is looked at now, since shells tell of a failed write and not of a failed
        close.

        Raises:
            TooLarge: for what can be no date.
            InvalidInput, ClosureDatePassed: for a line that is none that could be set.
        """
        if offset + len(data) > _LONGEST:
            raise TooLarge("a closing date is shorter")
        if self.buffer is None:
            self.buffer = bytearray(self.content())
        self.buffer.extend(bytes(max(0, offset - len(self.buffer))))
        self.buffer[offset : offset + len(data)] = data
        self.changed = True
        if data.endswith(b"\n"):
            self._check_line()
        return len(data)

    def _check_line(self) -> None:
        try:
            expiry.parse_expiry(
                bytes(self.buffer or b"").decode("utf-8", "replace"), now=self._now()
            )
        except SmfsError as error:
            self._give_up(error)
            raise

    def _give_up(self, error: SmfsError) -> None:
        self._context.failures.note(f".accept/{self._node_id}", error)
        self.pending = self.changed = False
        self.buffer = None

    async def withdraw(self) -> bool:
        """Gives up what was not sent yet; False when the service knows of the sender already."""
        async with self._lock:
            was_pending, self.pending = self.pending, False
            if was_pending:
                self.removed, self.buffer = True, None
            return was_pending

    async def send(self) -> None:
        """Accepts the sender until the date that was written.

        Raises:
            InvalidInput: for what is no date; a new file is gone then.
            ClosureDatePassed: for a date that is not in the future.
            OperationRefused: when he is accepted until another date.
        """
        async with self._lock:
            if self.buffer is None or self.removed:
                return
            try:
                await self._send(bytes(self.buffer))
            except ServiceUnavailable:
                raise
            except SmfsError as error:
                self._give_up(error)
                raise
            finally:
                if not self.pending:
                    self.buffer = None
                    self.changed = False

    async def _send(self, written: bytes) -> None:
        now = self._now()
        text = written.decode("utf-8", "replace")
        if self.pending:
            await self._context.view.accept(self._node_id, expiry.parse_expiry(text, now=now))
            self.pending = False
            self._context.failures.made_good(f".accept/{self._node_id}")
        elif not self._says_the_same(text, now):
            raise OperationRefused(_FIXED)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._context.now(), UTC).astimezone()

    def _says_the_same(self, text: str, now: datetime) -> bool:
        closure_date = self._closure_date()
        if text.strip() == expiry.format_expiry(closure_date):
            return True
        return expiry.parse_expiry(text, now=now) == closure_date

    async def released(self) -> None:
        """What was not sent yet goes now; a failure is listed, and tried again."""
        self.handles -= 1
        if not self.handles and self.buffer is not None:
            try:
                await self.send()
            except SmfsError as error:
                self._context.failures.retry(f".accept/{self._node_id}", error, self.send)
        self._context.inodes.drop_if_unused(self)

    def _closure_date(self) -> float | None:
        sender = self._context.view.senders().get(self._node_id)
        return sender.closure_date if sender else None


class OpenAccept:
    """An open file in `.accept`."""

    direct_io = True
    keep_cache = False

    def __init__(self, file: AcceptFile, *, writes: bool) -> None:
        self._file = file
        self._writes = writes
        file.handles += 1

    async def read(self, offset: int, size: int) -> bytes:
        """As `OpenFile` says."""
        return self._file.content()[offset : offset + size]

    async def write(self, offset: int, data: bytes) -> int:
        """As `OpenFile` says."""
        return self._file.write(offset, data)

    async def flush(self) -> None:
        """As `OpenFile` says."""
        if self._writes and self._file.changed:
            await self._file.send()

    async def sync(self) -> None:
        """As `OpenFile` says."""
        await self._file.send()

    async def release(self) -> None:
        """As `OpenFile` says."""
        await self._file.released()
