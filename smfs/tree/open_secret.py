"""An open file on a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smfs.errors import AccessRefused

if TYPE_CHECKING:
    from smfs.tree.secret_file import SecretFile


class OpenSecret:
    """One open file description; the content is the file's, shared by all of them.

    Args:
        file: what is open.
        writes: whether it was opened for writing.
        keep_cache: whether the kernel's pages are still right.
        direct_io: whether the kernel shall keep none.
    """

    def __init__(
        self, file: SecretFile, *, writes: bool, keep_cache: bool, direct_io: bool = False
    ) -> None:
        self._file = file
        self._writes = writes
        self.keep_cache = keep_cache
        self.direct_io = direct_io

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
