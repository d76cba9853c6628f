"""Open files that show fixed bytes, whatever becomes of the file."""

from __future__ import annotations

from smfs.errors import AccessRefused


class OpenBytes:
    """An open file on fixed bytes, read only.

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
        """Never.

        Raises:
            AccessRefused: always.
        """
        raise AccessRefused("not opened for writing")

    async def flush(self) -> None:
        """Nothing was written."""

    async def sync(self) -> None:
        """Nothing was written."""

    async def release(self) -> None:
        """Forgets the content, which may be a secret."""
        self._content = b""
