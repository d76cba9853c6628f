"""What failed after nobody could be told any more: kept for `.status`, and tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.abc

from smfs.errors import ServiceUnavailable, SmfsError

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0


@dataclass(frozen=True)
class Failure:
    """One upload that was not taken.

    Attributes:
        path: where the file is, from the mount point.
        error: why, in words; never content.
        since: seconds since 1970.
    """

    path: str
    error: str
    since: float


class Failures:
    """The uploads that failed at a release, each tried again until it is made good.

    Args:
        tasks: where the tries run.
        now: seconds since 1970.
    """

    def __init__(self, tasks: anyio.abc.TaskGroup, now: Callable[[], float]) -> None:
        self._tasks = tasks
        self._now = now
        self._listed: dict[int, Failure] = {}

    def list(self) -> list[Failure]:
        """What is not made good yet, the oldest first."""
        return sorted(self._listed.values(), key=lambda failure: failure.since)

    def made_good(self, inode: int) -> None:
        """The file's newest content is on the service, or nobody wants it there any more."""
        self._listed.pop(inode, None)

    def retry(
        self, inode: int, path: str, error: SmfsError, upload: Callable[[], Awaitable[None]]
    ) -> None:
        """Lists a failure and goes on trying in the background.

        Args:
            inode: of the file.
            path: from the mount point.
            error: what the first try raised.
            upload: makes it good, or raises a SmfsError; a refusal by the service ends the trying.
        """
        known = inode in self._listed
        self._note(inode, path, error)
        if not known:
            self._tasks.start_soon(self._keep_trying, inode, path, error, upload)

    def _note(self, inode: int, path: str, error: SmfsError) -> None:
        since = self._listed[inode].since if inode in self._listed else self._now()
        self._listed[inode] = Failure(path, str(error) or type(error).__name__, since)

    async def _keep_trying(
        self, inode: int, path: str, error: SmfsError, upload: Callable[[], Awaitable[None]]
    ) -> None:
        delay = _FIRST_DELAY
        while inode in self._listed and isinstance(error, ServiceUnavailable):
            await anyio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
            try:
                await upload()
            except SmfsError as next_error:
                error = next_error
                self._note(inode, path, error)
            else:
                self.made_good(inode)
