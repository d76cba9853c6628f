"""Memory that requests share: who finds none waits for a while, and is then refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from smfs.errors import ServiceBusy

_WAIT_S: Final = 4.0


class Room:
    """So many bytes, to be taken and given back.

    Args:
        size: bytes; nobody ever takes more than that at once.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._changed = anyio.Condition()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Has `size` bytes as long as the block lasts.

        Raises:
            ServiceBusy: when they do not become free in time.
        """
        with anyio.move_on_after(_WAIT_S) as scope:
            async with self._changed:
                while self._free < size:
                    await self._changed.wait()
                self._free -= size
        if scope.cancelled_caught:
            raise ServiceBusy("too many large requests at once")
        try:
            yield
        finally:
            self._free += size
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()
