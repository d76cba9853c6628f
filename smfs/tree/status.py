"""`.status`: what the mount is doing, as JSON; never a secret."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from typing import Any

from smfs.errors import AccessRefused
from smfs.tree.context import Context
from smfs.tree.node import File, Intent, OpenFile, Times
from smfs.tree.open_bytes import OpenBytes


class StatusFile(File):
    """The status file.

    Args:
        context: of the mount.
        report: gives what is reported now, ready for JSON.

    Attributes:
        changes: how often something happened on the service.
    """

    def __init__(self, context: Context, report: Callable[[], dict[str, Any]]) -> None:
        super().__init__(context.inodes, stat.S_IFREG | 0o400, Times.at(context.now()))
        self._context = context
        self._report = report
        self.changes = 0

    def changed(self) -> None:
        """Something happened on the service: who polls is to read anew."""
        self.changes += 1

    def size(self) -> int:
        """As `Node` says; the next report may have another one."""
        return len(self.text())

    def current_times(self) -> Times:
        """Always now."""
        return Times.at(self._context.now())

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says; what is read is the report of this moment."""
        if intent.write:
            raise AccessRefused("the status is read only")
        return OpenStatus(self)

    def text(self) -> bytes:
        """The report of this moment."""
        return (json.dumps(self._report(), indent=2) + "\n").encode()


class OpenStatus(OpenBytes):
    """An open status: a read from the beginning shows the report of that moment."""

    def __init__(self, file: StatusFile) -> None:
        super().__init__(file.text())
        self._file = file
        self._seen = file.changes

    @property
    def is_outdated(self) -> bool:
        """Whether something happened since it was opened or read from the beginning."""
        return self._seen != self._file.changes

    async def read(self, offset: int, size: int) -> bytes:
        """As `OpenFile` says."""
        if offset == 0:
            self._seen = self._file.changes
            self._content = self._file.text()
        return await super().read(offset, size)
