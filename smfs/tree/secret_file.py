"""A secret as a file: one buffer for all that have it open, and when it travels."""

from __future__ import annotations

import enum
import stat
from typing import TYPE_CHECKING, Final

import anyio

from smfs.client.view import Version
from smfs.errors import (
    AccessRefused,
    NoSuchName,
    ServiceUnavailable,
    SmfsError,
    StaleNode,
    TooLarge,
)
from smfs.tree import attributes
from smfs.tree.node import Attributes, File, Intent, OpenFile, Times
from smfs.tree.open_secret import OpenSecret

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


class SecretFile(File):
    """A secret, or a scratch file, which never travels.

    Attributes:
        secret_id: None for a scratch file.
        hides: for a scratch file, the id of the secret that was renamed to it; that secret is
            deleted when the scratch file is.
        stored: whether the service has a secret under `secret_id`, as far as is known.
        state: what is not on the service yet; a scratch file's is never looked at.
        token: the version that `buffer` began with or was uploaded as.
        buffer: the content while somebody has the file open or it is unsent; always for scratch.
        handles: how many open files there are.
        unlinked: its name is gone, so it is never uploaded.
        edits: how often the buffer was changed.
        lock: held by whatever may change more than the buffer.
    """

    def __init__(self, area: Area, secret_id: str | None, *, stored: bool) -> None:
        mode = WRITABLE_MODE if area.store.writable else READ_ONLY_MODE
        super().__init__(area.context.inodes, mode, Times.at(area.context.now()))
        self.area = area
        self.secret_id = secret_id
        self.hides: str | None = None
        self.stored = stored
        self.state = State.CLEAN
        self.token: str | None = None
        self.buffer: bytearray | None = None
        self.handles = 0
        self.unlinked = False
        self.lock = anyio.Lock()
        self._writers = 0
        self.edits = 0
        self._refused_edits = -1
        self._overflowed = False
        self._cached_token: str | None = None
        self._times_token: str | None = None
        self._told_size: int | None = None

    # --- what stat shows ----------------------------------------------------------------------

    @property
    def unsent(self) -> bool:
        """Whether something of it is still to be uploaded."""
        is_secret = self.secret_id is not None and not self.unlinked
        return is_secret and self.state is not State.CLEAN

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return bool(self.handles) or self.unsent or self.area.holds(self)

    @property
    def version(self) -> Version | None:
        """The newest known version."""
        return None if self.secret_id is None else self.area.store.listed().get(self.secret_id)

    def size(self) -> int:
        """As `Node` says."""
        if self.buffer is not None:
            return len(self.buffer)
        version = self.version
        return (version.size or 0) if version else 0

    def attributes(self) -> Attributes:
        """As `Node` says; what was told is what the kernel gives appenders their offsets by."""
        self._told_size = self.size()
        return super().attributes()

    def current_times(self) -> Times:
        """Those of the newest version, unless it was written or given times here."""
        version = self.version
        if self.buffer is None and version is not None and version.token != self._times_token:
            self.times = Times.at(version.changed_at)
            self._times_token = version.token
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
        state = "dirty" if self.unsent else "clean"
        return attributes.extended(name, self.version, self.area.context.view.node_id, state)

    # --- opening ------------------------------------------------------------------------------

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says.

        Raises:
            StaleNode: when the secret has changed since the kernel was last told of it in a way
                that this node cannot show: the kernel then looks the name up once more.
        """
        if (intent.write or intent.truncate) and not self.area.store.writable:
            raise AccessRefused("this file is read only")
        async with self.lock:
            keep_cache = await self._prepare(intent)
            if intent.truncate:
                self.resize(0)
            return self.opened(intent, keep_cache=keep_cache)

    def opened(self, intent: Intent, *, keep_cache: bool = False) -> OpenFile:
        """An open file on what `buffer` holds now."""
        if self.buffer is None:
            self.buffer = bytearray()
        self.handles += 1
        changes = intent.write or intent.truncate
        self._writers += changes
        return OpenSecret(self, writes=changes, keep_cache=keep_cache)

    def begin(self) -> None:
        """Makes it a new and empty file."""
        self.buffer = bytearray()
        self.state = State.WAITING

    async def _prepare(self, intent: Intent) -> bool:
        """Brings `buffer` up to date; returns whether the kernel's pages are still right."""
        if self.unlinked and not self.handles:
            raise StaleNode("the name has got another file")
        if self.secret_id is None or self.unlinked:
            return True
        if self.unsent:
            if intent.write or intent.truncate:
                await self.area.store.check(self.secret_id)
            return True
        if intent.truncate:
            version = await self.area.store.check(self.secret_id)
            self.token = version.token if version else None
            if self.buffer is None:
                self.buffer = bytearray()
            return False
        return await self._load(self.secret_id, intent)

    async def _load(self, secret_id: str, intent: Intent) -> bool:
        reading = await self.area.fetch(secret_id)
        if intent.write and not self.area.store.fetch_is_check:
            await self.area.store.check(secret_id)
        token = reading.version.token
        if self.handles:
            if token != self.token:
                self.area.supersede(self)
                raise StaleNode("changed elsewhere while it was open here")
            return True
        if intent.write and len(reading.content) != self._told_size:
            raise StaleNode("its size has changed since it was looked up")
        self.current_times()
        self.buffer = bytearray(reading.content)
        self.token = token
        keep_cache = token == self._cached_token
        self._cached_token = token
        return keep_cache

    # --- changing -----------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""
        return bytes(memoryview(self.buffer or b"")[offset : offset + size])

    def write(self, offset: int, data: bytes) -> int:
        """Puts `data` at `offset`; no traffic.

        Raises:
            TooLarge: past the size that the service takes, before anything is allocated.
        """
        end = offset + len(data)
        try:
            self._check_size(end)
        except TooLarge:
            # Half of what was to be written is not to replace the old content.
            self._overflowed = True
            raise
        buffer = self._changing()
        if offset > len(buffer):
            buffer.extend(bytes(offset - len(buffer)))
        buffer[offset:end] = data
        self.state = State.DIRTY
        return len(data)

    def resize(self, size: int) -> None:
        """Cuts the content, or extends it by zero bytes; TooLarge as for `write`."""
        self._check_size(size)
        buffer = self._changing()
        self._overflowed = False
        del buffer[size:]
        buffer.extend(bytes(size - len(buffer)))
        if self.state is not State.DIRTY:
            self.state = State.DIRTY if size else State.WAITING

    async def truncate(self, size: int, opened: OpenFile | None) -> None:
        """As `File` says."""
        if not self.area.store.writable:
            raise AccessRefused("this file is read only")
        if opened is not None or self.secret_id is None:
            self.resize(size)
            return
        async with self.lock:
            await self._truncate_at_once(size)

    async def _truncate_at_once(self, size: int) -> None:
        self._check_size(size)
        if not self.unsent:
            await self._prepare(Intent(read=False, write=size == 0, truncate=size == 0))
        self.resize(size)
        if self._writers:
            return  # it goes with what they write
        try:
            await self.upload()
        except SmfsError:
            self.give_up()
            raise
        finally:
            self.let_go()

    def _changing(self) -> bytearray:
        if self.buffer is None:
            raise StaleNode("changed without being open")
        self.edits += 1
        self._cached_token = None
        self.times = Times.at(self.area.context.now())
        return self.buffer

    def _check_size(self, size: int) -> None:
        limit = self.area.context.view.content_limit()
        if size > limit:
            raise TooLarge(f"the service takes secrets of at most {limit} bytes")

    # --- uploading ----------------------------------------------------------------------------

    async def flush(self) -> None:
        """Uploads what was written; who calls holds no lock."""
        async with self.lock:
            if self.unsent and (self.state is State.DIRTY or self._overflowed):
                await self._upload_and_note()

    async def sync(self) -> None:
        """Uploads what was written, created or emptied."""
        async with self.lock:
            if self.unsent:
                await self._upload_and_note()

    async def upload(self) -> None:
        """Puts the content onto the service; who calls holds the lock."""
        if self.secret_id is None or self.buffer is None:
            raise NoSuchName("a file that never travels")
        edits, content = self.edits, bytes(self.buffer)
        try:
            if self._overflowed:
                raise TooLarge("what was to be written is larger than the service takes")
            self.area.context.view.check_size(content)
            version = await self.area.store.put(self.secret_id, content)
        except SmfsError:
            self._refused_edits = edits
            raise
        self.settle(version, edits)

    def settle(self, version: Version, edits: int | None = None) -> None:
        """The service has the content as it was after `edits` changes (None: as it is now)."""
        if edits is None or edits == self.edits:
            self.state = State.CLEAN
            self._cached_token = version.token if self.buffer is not None else None
        self.token = version.token
        self._times_token = version.token
        self.stored = True
        self.area.saved(self)
        self.area.context.failures.made_good(self.area.path_of(self))

    async def _upload_and_note(self) -> None:
        try:
            await self.upload()
        except SmfsError as error:
            self.area.context.failures.note(self.area.path_of(self), error)
            raise

    async def released(self, *, was_writer: bool) -> None:
        """One open file less; what could not be told to anybody is retried and listed."""
        async with self.lock:
            self.handles -= 1
            self._writers -= was_writer
            if was_writer and not self._writers and self.unsent:
                await self._last_upload()
            self.let_go()
        self.inodes.drop_if_unused(self)

    async def _last_upload(self) -> None:
        if self._refused_edits == self.edits:
            self.give_up()  # whoever wrote it was told by flush
            return
        path = self.area.path_of(self)
        try:
            await self.upload()
        except ServiceUnavailable as error:
            self.area.context.failures.retry(path, error, self.try_again)
        except SmfsError as error:
            self.area.context.failures.note(path, error)
            self.give_up()

    async def try_again(self) -> None:
        """Uploads what is still unsent; gives it up where the service refuses it.

        While somebody writes it is left alone: it goes whole, when he closes it.
        """
        async with self.lock:
            if not self.unsent or self._writers:
                return
            try:
                await self.upload()
            except ServiceUnavailable:
                raise
            except SmfsError:
                self.give_up()
                raise
            finally:
                self.let_go()

    def give_up(self) -> None:
        """Drops what was not taken: the old content stays, and a file without one goes."""
        self.state = State.CLEAN
        self._overflowed = False
        self.token = None
        self._cached_token = None
        self._times_token = None
        if not self.stored:
            self.area.vanish(self)
        self.let_go()

    def let_go(self) -> None:
        """Drops the plaintext that nobody needs any more."""
        if not self.handles and not self.unsent and self.secret_id is not None:
            self.buffer = None

    async def content(self) -> bytes:
        """The whole content as it is now, for a rename; who calls holds the lock."""
        if self.buffer is not None:
            return bytes(self.buffer)
        if self.secret_id is None:
            return b""
        return (await self.area.fetch(self.secret_id)).content
