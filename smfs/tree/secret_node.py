"""A secret as a node: what `stat` and `getfattr` show of it."""

from __future__ import annotations

import contextlib
import enum
import stat
from typing import TYPE_CHECKING, Final

from smfs.client.view import Version
from smfs.errors import SmfsError
from smfs.tree import attributes
from smfs.tree.node import Attributes, File, Times

if TYPE_CHECKING:
    from smfs.tree.area import Area

WRITABLE_MODE: Final = stat.S_IFREG | 0o600
READ_ONLY_MODE: Final = stat.S_IFREG | 0o400


class State(enum.Enum):
    """What of a file is not on the service yet."""

    CLEAN = "clean"
    WAITING = "waiting"
    """Created or emptied: goes with the first write, at fsync or at release. Shells flush once
    before they write, and nobody else shall see the file empty."""
    DIRTY = "dirty"
    """Written: goes with the next flush."""


class SecretNode(File):
    """A secret, or a scratch file, which never travels.

    Attributes:
        area: where it is shown.
        secret_id: None for a scratch file.
        state: what is not on the service yet; a scratch file's is never looked at.
        snapshot: the version that is open; None while nobody has it open, and where what is open
            was not on the service.
        buffer: the content, once somebody has read or changed it, while it is open or unsent;
            always for scratch.
        handles: how many open files there are.
        unlinked: its name is gone, so it is never uploaded.
    """

    def __init__(self, area: Area, secret_id: str | None) -> None:
        mode = WRITABLE_MODE if area.store.writable else READ_ONLY_MODE
        super().__init__(area.context.inodes, mode, Times.at(area.context.now()))
        self.area = area
        self.secret_id = secret_id
        self.state = State.CLEAN
        self.snapshot: Version | None = None
        self.buffer: bytearray | None = None
        self.handles = 0
        self.unlinked = False
        self._times_mark: int | str | None = None
        self._told_size: int | None = None

    @property
    def unsent(self) -> bool:
        """Whether something of it is still to be uploaded."""
        return self.state is not State.CLEAN and self.secret_id is not None and not self.unlinked

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return bool(self.handles) or self.unsent or self.area.holds(self)

    @property
    def version(self) -> Version | None:
        """The version that is shown: the one that is open, else the newest known one."""
        if self.snapshot is not None:
            return self.snapshot
        return None if self.secret_id is None else self.area.store.listed().get(self.secret_id)

    @property
    def may_be_kept(self) -> bool:
        """As `Node` says: once the size is known."""
        if self.buffer is not None:
            return True
        version = self.version
        return version is not None and version.is_measured

    async def get_ready(self) -> None:
        """As `Node` says: its size is found out by decrypting it."""
        if self.secret_id is None or self.may_be_kept:
            return
        if await self.area.store.measure(self.secret_id):
            return
        with contextlib.suppress(SmfsError):  # it is then shown as empty
            await self.area.store.opened(self.secret_id)

    def size(self) -> int:
        """As `Node` says."""
        return self._size_of(self.version)

    def _size_of(self, version: Version | None) -> int:
        if self.buffer is not None:
            return len(self.buffer)
        return (version.size or 0) if version is not None else 0

    def attributes(self) -> Attributes:
        """As `Node` says; what was told is what the kernel reads and appends by."""
        version = self.version  # looked up once: whole directories are listed so
        self._told_size = size = self._size_of(version)
        times = self._times_of(version)
        return Attributes(self.inode, self.mode, size, self.links(), times)

    def current_times(self) -> Times:
        """Those of the version, unless it was written or given times here."""
        return self._times_of(self.version)

    def _times_of(self, version: Version | None) -> Times:
        if version is None or (self.buffer is not None and self.snapshot is None):
            return self.times
        if version.is_measured and version.mark != self._times_mark:
            if not self.unsent:
                self.times = Times.at(version.changed_at)
            self._times_mark = version.mark
        return self.times

    def links(self) -> int:
        """As `Node` says."""
        return 0 if self.unlinked or not self.area.holds(self) else 1

    async def set_times(self, times: Times) -> None:
        """As `Node` says; they stay until another version comes."""
        self.current_times()
        self.times = times

    async def extended_attribute(self, name: str) -> bytes:
        """As `Node` says."""
        if self.secret_id is not None and self.snapshot is None:
            with contextlib.suppress(SmfsError):
                await self.area.store.opened(self.secret_id)
        state = "dirty" if self.unsent else "clean"
        return attributes.extended(name, self.version, self.area.context.view, state)
