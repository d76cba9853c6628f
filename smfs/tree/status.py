"""`.status`: what the mount is doing, as JSON; never a secret."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from typing import Any

from smfs.errors import AccessRefused
from smfs.tree.context import Context
from smfs.tree.node import File, Intent, OpenFile, Times


class StatusFile(File):
    """The status file.

    Args:
        context: of the mount.
        report: gives what is reported now, ready for JSON.
    """

    def __init__(self, context: Context, report: Callable[[], dict[str, Any]]) -> None:
        super().__init__(context.inodes, stat.S_IFREG | 0o400, Times.at(context.now()))
        self._context = context
        self._report = report

    def size(self) -> int:
        """As `Node` says; the next report may have another one."""
        return len(self._text())

    def current_times(self) -> Times:
        """Always now."""
        return Times.at(self._context.now())

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says; what is read is the report of this moment."""
        if intent.write:
            raise AccessRefused("the status is read only")
        return OpenBytes(self._text())

    def _text(self) -> bytes:
        return (json.dumps(self._report(), indent=2) + "\n").encode()


class OpenBytes:
    """An open file on fixed bytes."""

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
        """Nothing is held."""
