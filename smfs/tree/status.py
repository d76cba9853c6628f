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
        self._reported: dict[str, Any] = {}
        self._reported_at = self.times
        self._length = 0

    def changed(self) -> None:
        """Something happened on the service: who polls is to read anew."""
        self.changes += 1

    def size(self) -> int:
        """As `Node` says; a later report may be longer, and is never shorter."""
        return len(self.text())

    def current_times(self) -> Times:
        """Those of the last report that differed in more than its age, however it was seen."""
        self.text()
        return self._reported_at

    async def open(self, intent: Intent) -> OpenFile:
        """As `File` says; what is read is the report of this moment."""
        if intent.write:
            raise AccessRefused("the status is read only")
        return OpenStatus(self)

    def text(self) -> bytes:
        """The report of this moment.

        Programs that copy a file take it for changed when its times or its size move meanwhile, so
        that the passing of time alone moves neither.
        """
        report = self._report()
        text = json.dumps(report, indent=2)
        told = {**report, "age": None}
        if told != self._reported:
            self._reported, self._reported_at = told, Times.at(self._context.now())
        self._length = max(self._length, len(text))
        return (text.ljust(self._length) + "\n").encode()


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
