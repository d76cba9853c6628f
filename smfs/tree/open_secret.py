"""Open files on a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smfs.errors import AccessRefused, SecretNotFound, StaleNode

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


class OpenCopy:
    """An open file that shows one content, whatever becomes of the file.

    The kernel keeps none of it: its pages and its size are those of the file.

    Args:
        content: what it shows.
    """

    direct_io = True
    keep_cache = False

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self, offset: int, size: int) -> bytes:
        """As `OpenFile` says."""
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
        self._content = b""


async def open_copy(file: SecretFile) -> OpenCopy:
    """What the name of a file stands for now, apart from its node, of which the kernel has pages.

    Raises:
        StaleNode: when nothing can be shown so; the kernel then looks the name up once more.
    """
    assert file.secret_id is not None  # noqa: S101  # only secrets are stale
    try:
        look = await file.area.look(file.secret_id)
        if file.may_not_show(look.version):
            raise StaleNode("it is handed out only once now")
        return OpenCopy(await file.area.fetch(file.secret_id, look))
    except SecretNotFound:
        raise StaleNode("the name is gone, or its file is not uploaded yet") from None
