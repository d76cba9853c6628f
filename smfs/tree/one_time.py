"""A one-time secret as a file: looking at it costs nothing, the first read consumes it."""

from __future__ import annotations

import contextlib

import anyio

from smfs.client.view import Version
from smfs.errors import AccessRefused, SmfsError
from smfs.tree import attributes
from smfs.tree.context import Context
from smfs.tree.node import File, Intent, OpenFile, Times
from smfs.tree.secret_node import READ_ONLY_MODE
from smfs.tree.stores import FromStore


class OneTimeFile(File):
    """A one-time secret that nobody has read yet.

    Attributes:
        version: the one that is listed.
        gone: whether it is listed no more.
    """

    def __init__(
        self, context: Context, store: FromStore, secret_id: str, version: Version
    ) -> None:
        super().__init__(context.inodes, READ_ONLY_MODE, Times.at(version.changed_at))
        self.version = version
        self.gone = False
        self._context = context
        self._store = store
        self._secret_id = secret_id

    @property
    def held(self) -> bool:
        """As `Node` says."""
        return not self.gone

    @property
    def may_be_kept(self) -> bool:
        """As `Node` says: once the size is known."""
        return self.version.is_measured and not self.gone

    async def get_ready(self) -> None:
        """As `Node` says."""
        with contextlib.suppress(SmfsError):  # it is then shown as empty
            self.version = await self._store.opened(self._secret_id)

    def is_other(self, version: Version) -> bool:
        """Whether another secret is there now."""
        shown = self.version
        is_same = shown.revision is not None and shown.revision == version.revision
        is_same = is_same or (bool(shown.token) and shown.token == version.token)
        return not (version.one_time and is_same)

    def size(self) -> int:
        """As `Node` says."""
        return self.version.size or 0

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says; does not consume it."""
        if intent.write:
            raise AccessRefused("this file is read only")
        return OpenOneTime(self._store, self._secret_id)

    async def extended_attribute(self, name: str) -> bytes:
        """As `Node` says."""
        if not self.version.is_opened:
            await self.get_ready()
        return attributes.extended(name, self.version, self._context.view, "clean")


class OneTimeFiles:
    """The one-time secrets of one area that anybody has looked at.

    Args:
        context: of the mount.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._files: dict[str, OneTimeFile] = {}

    def get(self, secret_id: str) -> OneTimeFile | None:
        """The node of a secret id, if there is one."""
        return self._files.get(secret_id)

    def file(self, secret_id: str, version: Version, store: FromStore) -> OneTimeFile:
        """The node of a version; each secret that comes under an id gets its own."""
        known = self._files.get(secret_id)
        if known is not None and not known.is_other(version):
            known.version = version
            return known
        self.drop(secret_id)
        made = self._files[secret_id] = OneTimeFile(self._context, store, secret_id, version)
        return made

    def drop(self, secret_id: str) -> None:
        """The secret of an id is gone, or another one is there."""
        known = self._files.pop(secret_id, None)
        if known is not None:
            known.gone = True
            self._context.inodes.drop_if_unused(known)


class OpenOneTime:
    """One open file on a one-time secret; what its first read takes belongs to it alone."""

    direct_io = True
    keep_cache = False

    def __init__(self, store: FromStore, secret_id: str) -> None:
        self._store = store
        self._secret_id = secret_id
        self._content: bytes | None = None
        self._lock = anyio.Lock()

    async def read(self, offset: int, size: int) -> bytes:
        """As `OpenFile` says; SecretNotFound when somebody else was faster."""
        async with self._lock:
            if self._content is None:
                self._content = (await self._store.consume(self._secret_id)).content
        return self._content[offset : offset + size]

    async def write(self, offset: int, data: bytes) -> int:
        """Never."""
        raise AccessRefused("not opened for writing")

    async def flush(self) -> None:
        """Nothing was written."""

    async def sync(self) -> None:
        """Nothing was written."""

    async def release(self) -> None:
        """Forgets the content."""
        self._content = None
