"""Open files on a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smfs.errors import AccessRefused, SecretNotFound, StaleNode
from smfs.tree.open_bytes import OpenBytes

if TYPE_CHECKING:
    from smfs.tree.secret_file import SecretFile


class OpenSecret:
    """One open file description; the content is the file's, shared by all of them.

    Args:
        file: what is open.
        writes: whether it was opened for writing.
        keep_cache: whether the kernel's pages are still right.
    """

    direct_io = False

    def __init__(self, file: SecretFile, *, writes: bool, keep_cache: bool) -> None:
        self._file = file
        self._writes = writes
        self.keep_cache = keep_cache

    async def read(self, offset: int, size: int) -> bytes:
        """As `OpenFile` says."""
        return await self._file.read(offset, size)

    async def write(self, offset: int, data: bytes) -> int:
        """As `OpenFile` says."""
        if not self._writes:
            raise AccessRefused("not opened for writing")
        return self._file.write(offset, data)

    async def flush(self) -> None:
        """As `OpenFile` says; a reader's close is not told of a writer's trouble."""
        if self._writes:
            await self._file.flush()

    async def sync(self) -> None:
        """As `OpenFile` says."""
        await self._file.sync()

    async def release(self) -> None:
        """As `OpenFile` says."""
        await self._file.released(was_writer=self._writes)


async def open_copy(file: SecretFile) -> OpenBytes:
    """What the name of a file stands for now, apart from its node, of which the kernel has pages.

    Raises:
        StaleNode: when nothing can be shown so; the kernel then looks the name up once more.
    """
    assert file.secret_id is not None  # noqa: S101  # only secrets are stale
    try:
        look = await file.area.look(file.secret_id)
        if file.may_not_show(look.version):
            raise StaleNode("it is handed out only once now")
        return OpenBytes(await file.area.fetch(file.secret_id, look))
    except SecretNotFound:
        raise StaleNode("the name is gone, or its file is not uploaded yet") from None
