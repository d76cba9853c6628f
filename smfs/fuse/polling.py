"""poll(2) on open files: `.status` is ready when something happened on the service."""

from __future__ import annotations

import logging
import select
from typing import Final

import pyfuse3

from smfs.tree.node import OpenFile
from smfs.tree.status import OpenStatus

_log: Final = logging.getLogger(__name__)

ALWAYS: Final = select.POLLIN | select.POLLRDNORM | select.POLLOUT | select.POLLWRNORM
"""What every other file answers, as where a filesystem knows nothing of poll."""

OUTDATED: Final = select.POLLIN | select.POLLRDNORM | select.POLLPRI
"""What a status answers that is to be read anew."""


class Pollers:
    """Who waits for a change of an open status."""

    def __init__(self) -> None:
        self._waiting: dict[int, pyfuse3.PollHandle] = {}

    def ready(self, handle: int, opened: OpenFile, waiter: pyfuse3.PollHandle | None) -> int:
        """What an open file is ready for.

        Args:
            handle: of the open file.
            opened: the open file.
            waiter: what is to be woken when that changes; None when nobody waits.
        """
        if not isinstance(opened, OpenStatus):
            return ALWAYS
        if waiter is not None:
            self._waiting[handle] = waiter
        return OUTDATED if opened.is_outdated else 0

    def wake(self) -> None:
        """Something happened on the service.

        To wake somebody is a write to the kernel that waits for nobody.
        """
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            try:
                waiter.notify()
            except OSError as error:
                _log.warning("nobody was woken by a change: %s", type(error).__name__)

    def closed(self, handle: int) -> None:
        """An open file is gone."""
        self._waiting.pop(handle, None)
