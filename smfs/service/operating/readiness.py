"""Whether requests may be sent here: asked at most once a second, and not for long."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from smfs.errors import SmfsError

_log: Final = logging.getLogger(__name__)

_KEPT_S: Final = 1.0


class Readiness:
    """Remembers for a second whether the store can be used.

    Args:
        check: raises an error of ours when it cannot.
        seconds: how long that may take.
        now: a clock that nobody can move, s.
    """

    def __init__(
        self, check: Callable[[], Awaitable[None]], seconds: float, now: Callable[[], float]
    ) -> None:
        self._check = check
        self._seconds = seconds
        self._now = now
        self._asking = anyio.Lock()
        self._reason: str | None = None
        self._ends = float("-inf")

    async def reason(self) -> str | None:
        """Why it is not ready; None: it is."""
        async with self._asking:
            if self._now() >= self._ends:
                before, self._reason = self._reason, await self._ask()
                self._ends = self._now() + _KEPT_S
                self._tell(before)
        return self._reason

    async def _ask(self) -> str | None:
        with anyio.move_on_after(self._seconds):
            try:
                await self._check()
            except SmfsError:
                return "the store cannot be used"
            return None
        return "the store does not answer"

    def _tell(self, before: str | None) -> None:
        if self._reason != before:
            _log.warning("ready: %s", self._reason or "again")
