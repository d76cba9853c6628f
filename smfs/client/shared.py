"""An operation that many want at the same time and one carries out for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from smfs.errors import ServiceUnavailable, SmfsError

E = TypeVar("E", bound=SmfsError)


def again(error: E) -> E:
    """A remembered error, to be raised anew: one object must not be raised in many tasks."""
    return type(error)(*error.args)


class SharedTurn:
    """Lets one in after the other; who waited while a service could not be reached is told so.

    Without that, ten who wait for a hanging service would wait one deadline after the other.
    """

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._failed_at = float("-inf")
        self._failure: ServiceUnavailable | None = None

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Holds the turn; look again at whether there is still something to do.

        Raises:
            ServiceUnavailable: the one that ended somebody else's turn during the waiting.
        """
        called_at = anyio.current_time()
        async with self._lock:
            if self._failure is not None and self._failed_at > called_at:
                raise again(self._failure)
            try:
                yield
            except ServiceUnavailable as error:
                self._failed_at, self._failure = anyio.current_time(), error
                raise
