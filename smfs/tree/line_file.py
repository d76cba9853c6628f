"""Files of one line that means something to smfs: a closing date, a node id."""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from typing import Final

import anyio

from smfs.errors import ServiceUnavailable, SmfsError, TooLarge
from smfs.tree.context import Context
from smfs.tree.node import File, Intent, OpenFile, Times

_LONGEST: Final = 4096


class LineFile(File, ABC):
    """One line, or one that will be.

    Args:
        context: of the mount.
        folder: the name of its directory, right under the root.
        name: its own.

    Attributes:
        context: as given.
        name: as given; a rename changes it.
        lock: held while something is sent or withdrawn.
        pending: the service was not told of it yet.
        buffer: what is being written; None when nobody writes.
        changed: something was written since it was last sent.
        removed: its name is gone.
        handles: how many open files there are.
    """

    def __init__(self, context: Context, folder: str, name: str) -> None:
        super().__init__(context.inodes, stat.S_IFREG | 0o600, Times.at(context.now()))
        self.context = context
        self.name = name
        self.lock = anyio.Lock()
        self.pending = False
        self.buffer: bytearray | None = None
        self.changed = False
        self.removed = False
        self.handles = 0
        self._folder = folder

    # --- what a subclass says -----------------------------------------------------------------

    @abstractmethod
    def line(self) -> str:
        """What the service has, as far as is known; empty where there is nothing."""

    @abstractmethod
    def check(self, text: str) -> None:
        """Raises InvalidInput or a ServiceError for a text that could not be sent."""

    @abstractmethod
    async def store(self, text: str) -> None:
        """Has the service take a text."""

    async def finish(self) -> None:
        """The last descriptor is gone, and something is in `buffer`."""
        await self.send()

    async def sync(self) -> None:
        """What fsync asks for."""
        await self.send()

    # --- what stat shows ----------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return not self.removed or bool(self.handles)

    @property
    def path(self) -> str:
        """Where it is, from the mount point."""
        return f"{self._folder}/{self.name}"

    def content(self) -> bytes:
        """The line with its newline, or what is being written."""
        if self.buffer is not None:
            return bytes(self.buffer)
        text = self.line()
        return f"{text}\n".encode() if text else b""

    def size(self) -> int:
        """As `Node` says."""
        return len(self.content())

    def links(self) -> int:
        """As `Node` says."""
        return 0 if self.removed else 1

    # --- writing ------------------------------------------------------------------------------

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says."""
        if intent.truncate:
            await self.truncate(0, None)
        return OpenLine(self, writes=intent.write)

    def begin(self) -> None:
        """Makes it one that the service is not told of yet."""
        self.pending = True
        self.buffer = bytearray()

    def write(self, offset: int, data: bytes) -> int:
        """Puts `data` at `offset`.

        A whole line is looked at now, since shells tell of a failed write and not of a failed
        close.

        Raises:
            TooLarge: for what can be no such line.
            SmfsError: as `check`.
        """
        if offset + len(data) > _LONGEST:
            raise TooLarge("what stands here is shorter")
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
            self.check(_text(self.content()))
        except SmfsError as error:
            self._give_up(error)
            raise

    def _give_up(self, error: SmfsError) -> None:
        self.context.failures.note(self.path, error)
        self.forget()

    def forget(self) -> None:
        """Drops what was written and not sent; a new file is gone then."""
        self.pending = self.changed = False
        self.buffer = None

    async def withdraw(self) -> bool:
        """Gives up what was not sent yet; False when the service knows of it already."""
        async with self.lock:
            was_pending, self.pending = self.pending, False
            if was_pending:
                self.removed, self.buffer = True, None
            return was_pending

    async def send(self) -> None:
        """Has the service take what was written.

        Raises:
            ServiceUnavailable: it stays, and can be sent again.
            SmfsError: it is refused, and given up.
        """
        async with self.lock:
            if self.buffer is None or self.removed:
                return
            written = bytes(self.buffer)
            try:
                await self.store(_text(written))
            except ServiceUnavailable:
                raise
            except SmfsError as error:
                self._give_up(error)
                raise
            self.pending = False
            self.context.failures.made_good(self.path)
            if self.buffer == written:
                self.forget()

    async def released(self) -> None:
        """One open file less; what was not sent yet goes now, and is tried again if it fails."""
        self.handles -= 1
        if not self.handles and self.buffer is not None:
            try:
                await self.finish()
            except SmfsError as error:
                self.context.failures.retry(self.path, error, self.send)
        self.context.inodes.drop_if_unused(self)


class OpenLine:
    """An open file of one line."""

    direct_io = True
    keep_cache = False

    def __init__(self, file: LineFile, *, writes: bool) -> None:
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
        await self._file.sync()

    async def release(self) -> None:
        """As `OpenFile` says."""
        await self._file.released()


def _text(written: bytes) -> str:
    return written.decode("utf-8", "replace")
