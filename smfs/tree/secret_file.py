"""A secret as a file: one buffer for all that have it open, and when it travels."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio

from smfs.client.view import Version
from smfs.errors import (
    AccessRefused,
    NoSuchName,
    ServiceUnavailable,
    SmfsError,
    StaleNode,
    TamperedSecret,
    TooLarge,
)
from smfs.tree.node import Intent, OpenFile, Times
from smfs.tree.open_secret import OpenSecret, open_copy
from smfs.tree.secret_node import SecretNode, State

if TYPE_CHECKING:
    from smfs.tree.area import Area


class SecretFile(SecretNode):
    """A secret, or a scratch file, which never travels, as something to read and write.

    Attributes:
        hides: for a scratch file, the id of the secret that was renamed to it; that secret is
            deleted when the scratch file is.
        stored: whether the service has a secret under `secret_id`, as far as is known.
        token: the version that the content began with or was uploaded as.
        edits: how often the buffer was changed.
        lock: held by whatever may change more than the buffer.
    """

    def __init__(self, area: Area, secret_id: str | None, *, stored: bool) -> None:
        super().__init__(area, secret_id)
        self.hides: str | None = None
        self.stored = stored
        self.token: str | None = None
        self.edits = 0
        self.lock = anyio.Lock(fast_acquire=True)
        self._writers = 0
        self._refused_edits = -1
        self._overflowed = False
        self._cached_token: str | None = None

    # --- opening ------------------------------------------------------------------------------

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says.

        Raises:
            StaleNode: when the secret has changed since the kernel was last told of it in a way
                that this node cannot show: the kernel then looks the name up once more.
        """
        if (intent.write or intent.truncate) and not self.area.store.writable:
            raise AccessRefused("this file is read only")
        if not self.lock.locked() and (known := self._open_known(intent)):
            return known
        async with self.lock:
            try:
                keep_cache = await self._prepare(intent)
            except StaleNode:
                if intent.write or intent.truncate or not self._must_be_copied():
                    raise
                return await open_copy(self)
            if intent.truncate:
                self.resize(0)
                self._told_size = 0
            elif intent.write:
                await self.fill()
            return self.opened(intent, keep_cache=keep_cache)

    def _open_known(self, intent: Intent) -> OpenFile | None:
        """The commonest case, for which nobody has to be asked or waited for."""
        if intent.write or intent.truncate or self.unlinked or self.unsent or not self.secret_id:
            return None
        version = self.area.store.peek(self.secret_id)
        if version is None or self.may_not_show(version):
            return None
        shown, wanted = (
            (version.token, self.token) if self.handles else (version.size, self._told_size)
        )
        if shown != wanted:
            return None
        keep_cache = bool(self.handles) or self._take_snapshot(version)
        return self.opened(intent, keep_cache=keep_cache)

    def may_not_show(self, version: Version) -> bool:
        """Whether only a node that consumes it may show a version."""
        return version.one_time and not self.area.store.writable

    def _take_snapshot(self, version: Version) -> bool:
        """Shows a version from now on; returns whether the kernel's pages are still right."""
        self.snapshot, self.token, self.buffer = version, version.token, None
        self.current_times()
        keep_cache = version.token == self._cached_token
        self._cached_token = version.token
        return keep_cache

    def opened(self, intent: Intent, *, keep_cache: bool = False) -> OpenFile:
        """An open file on the content as it is now."""
        self.handles += 1
        self._overflowed = self._overflowed and bool(self._writers)
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

    def _must_be_copied(self) -> bool:
        """Whether the kernel would find this node stale once more, and tell the program."""
        if self.secret_id is None:
            return False
        is_again = self.area.staleness.is_found_again(self.secret_id)
        return is_again or (self.unlinked and not self.handles)

    async def _load(self, secret_id: str, intent: Intent) -> bool:
        store, content = self.area.store, None
        if intent.write and (store.peek(secret_id) or not store.fetch_is_check):
            await store.check(secret_id)
        # While the feed is alive nothing is waited for after this, so this is the newest one.
        version = store.peek(secret_id)
        if version is None:
            look = await self.area.look(secret_id)
            version, content = look.version, look.content
            if intent.write and content is None and store.fetch_is_check:
                await store.check(secret_id)
        if self.may_not_show(version):
            raise StaleNode("it is handed out only once now")
        if self.handles:
            if version.token != self.token:
                self.area.supersede(self)
                raise StaleNode("changed elsewhere while it was open here")
            return True
        if (version.size or 0) != self._told_size:
            raise StaleNode("its size has changed since it was looked up")
        keep_cache = self._take_snapshot(version)
        self.buffer = None if content is None else bytearray(content)
        return keep_cache

    async def fill(self) -> bytearray:
        """The buffer, with the content of the snapshot in it; who calls holds the lock."""
        if self.buffer is None:
            content = b""
            if self.snapshot is not None and self.secret_id is not None:
                content = await self.area.store.load(self.secret_id, self.snapshot)
            self.buffer = bytearray(content)
        return self.buffer

    # --- changing -----------------------------------------------------------------------------

    async def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""
        buffer = self.buffer
        if buffer is None:
            async with self.lock:
                buffer = await self.fill()
        return bytes(memoryview(buffer)[offset : offset + size])

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
        # The kernel holds on to this size, also when the upload is refused.
        self._told_size = max(self._told_size or 0, end)
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
            await self._prepare(Intent(read=False, write=True, truncate=size == 0))
            await self.fill()
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
            version = await self._put(self.secret_id, content)
        except SmfsError:
            self._refused_edits = edits
            raise
        self.settle(version, edits)

    async def _put(self, secret_id: str, content: bytes) -> Version:
        """Uploads; the same bytes as those that are there do not travel."""
        there = self.area.store.peek(secret_id) if self.area.store.fetch_is_check else None
        if there is not None and there.size == len(content):
            with contextlib.suppress(TamperedSecret):  # all the more reason to set it anew
                if await self.area.store.load(secret_id, there) == content:
                    return there
        return await self.area.store.put(secret_id, content)

    def settle(self, version: Version, edits: int | None = None) -> None:
        """The service has the content as it was after `edits` changes (None: as it is now)."""
        if edits is None or edits == self.edits:
            self.state = State.CLEAN
            self._cached_token = version.token if self.buffer is not None else None
        self.token = version.token
        self.snapshot = version if self.handles else None
        self._times_mark = version.mark
        self.stored = True
        self.area.saved(self, version)
        self.area.context.failures.made_good(self.area.path_of(self))

    async def _upload_and_note(self) -> None:
        try:
            await self.upload()
        except SmfsError as error:
            self.area.context.failures.note(self.area.path_of(self), error)
            raise

    async def released(self, *, was_writer: bool) -> None:
        """One open file less; what could not be told to anybody is retried and listed."""
        if was_writer or self.lock.locked():
            async with self.lock:
                self.handles -= 1
                self._writers -= was_writer
                if was_writer and not self._writers and self.unsent:
                    await self._last_upload()
                self._closed()
        else:
            self.handles -= 1
            self._closed()
        self.inodes.drop_if_unused(self)

    def _closed(self) -> None:
        was_outrun = not self.handles and self._is_outrun()
        self.let_go()
        if was_outrun and self.secret_id is not None:
            self.area.reconsider(self.secret_id)

    def _is_outrun(self) -> bool:
        """Whether what was open is older than what its name is to show."""
        if self.snapshot is None or self.secret_id is None or not self.area.holds(self):
            return False
        newest = self.area.store.listed().get(self.secret_id)
        return newest is not None and newest.token != self.snapshot.token

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
        self._times_mark = None
        if not self.stored:
            self.area.withdraw(self)
        self.let_go()
        self.area.rejected(self)

    def let_go(self) -> None:
        """Drops the plaintext that nobody needs any more."""
        if not self.handles and not self.unsent:
            self.snapshot = None
            if self.secret_id is not None:
                self.buffer = None

    async def content(self) -> bytes:
        """The whole content as it is now, for a rename; who calls holds the lock."""
        if self.buffer is not None:
            return bytes(self.buffer)
        if self.secret_id is None:
            return b""
        return await self.area.fetch(self.secret_id)
