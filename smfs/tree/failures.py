"""What failed after nobody could be told any more: kept for `.status`, and tried again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.abc

from smfs.errors import ServiceUnavailable, SmfsError

_log: Final = logging.getLogger(__name__)

_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 60.0
_MOST: Final = 1000


@dataclass(frozen=True)
class Failure:
    """One upload that was not taken.

    Attributes:
        path: where the file is, from the mount point.
        error: why, in words; never content.
        since: seconds since 1970.
        retrying: whether it is tried again in the background.
    """

    path: str
    error: str
    since: float
    retrying: bool


class Failures:
    """The uploads that failed, each listed until it is made good.

    Args:
        tasks: where the tries run.
        now: seconds since 1970.
    """

    def __init__(self, tasks: anyio.abc.TaskGroup, now: Callable[[], float]) -> None:
        self._tasks = tasks
        self._now = now
        self._listed: dict[str, Failure] = {}
        self._hurry = anyio.Event()

    def list(self) -> list[Failure]:
        """What is not made good yet, the oldest first."""
        return sorted(self._listed.values(), key=lambda failure: failure.since)

    def try_now(self) -> None:
        """Has everything tried again at once: the service is back."""
        hurry, self._hurry = self._hurry, anyio.Event()
        hurry.set()

    def made_good(self, path: str) -> None:
        """The newest content of this path is on the service, or nobody wants it any more."""
        self._listed.pop(path, None)

    def note(self, path: str, error: SmfsError, *, retrying: bool = False) -> None:
        """Lists a failure; only the newest thousand are kept."""
        known = self._listed.get(path)
        since = known.since if known else self._now()
        text = str(error) or type(error).__name__
        self._listed[path] = Failure(path, text, since, retrying)
        while len(self._listed) > _MOST:
            del self._listed[next(iter(self._listed))]

    def retry(self, path: str, error: SmfsError, upload: Callable[[], Awaitable[None]]) -> None:
        """Lists a failure and, as long as the service is away, goes on trying.

        Args:
            path: from the mount point.
            error: what the first try raised.
            upload: makes it good, or raises a SmfsError.
        """
        known = self._listed.get(path)
        self.note(path, error, retrying=True)
        if known is None or not known.retrying:
            self._tasks.start_soon(self._keep_trying, path, error, upload)

    async def _keep_trying(
        self, path: str, error: SmfsError, upload: Callable[[], Awaitable[None]]
    ) -> None:
        delay = _FIRST_DELAY_S
        while path in self._listed and isinstance(error, ServiceUnavailable):
            with anyio.move_on_after(delay):
                await self._hurry.wait()
            delay = min(2 * delay, _LONGEST_DELAY_S)
            try:
                await upload()
            except SmfsError as next_error:
                error = next_error
                self.note(path, error, retrying=True)
            except Exception as unforeseen:  # noqa: BLE001 - what is unsent stays, and so the mount
                _log.error("%s was not uploaded: %s", path, type(unforeseen).__name__)
            else:
                self.made_good(path)
        if path in self._listed:
            self.note(path, error)
