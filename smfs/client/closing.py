"""Closing dates that come while nobody asks: the service is asked then, and tells of the end."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from smfs.client.freshness import Freshness
from smfs.client.known import Known
from smfs.client.listing import Listing
from smfs.errors import NotAccepted, SmfsError

_log: Final = logging.getLogger(__name__)

_AGAIN_S: Final = 15.0  # where the service's clock is behind
_LONGEST_S: Final = 60.0  # clocks are set, and machines sleep


class Closing:
    """Has senders go when their closing dates come.

    The feed tells of that only once the service has swept, up to a minute later. Until then a
    sender would be shown whom the service accepts no more, and accepting him anew be lost.

    Args:
        known: the maps.
        listing: asks for one sender.
        freshness: tells whether the maps can be believed.
    """

    def __init__(self, known: Known, listing: Listing, freshness: Freshness) -> None:
        self._known = known
        self._listing = listing
        self._freshness = freshness
        self._asked_at: dict[str, float] = {}

    async def run(self) -> None:
        """Watches the dates until it is cancelled."""
        while True:
            generation = self._known.generation
            pause = await self._close()
            with anyio.move_on_after(pause):
                await self._known.wait_for_change(generation)

    async def _close(self) -> float:
        """Asks for those whose date has come; returns the seconds until the next one's does."""
        pause = _LONGEST_S
        for sender in list(self._known.senders().values()):
            if sender.closure_date is not None:
                left = self._freshness.seconds_until(sender.closure_date)
                if left <= 0:
                    left = await self._ask(sender.node_id)
                pause = min(pause, left)
        return pause

    async def _ask(self, node_id: str) -> float:
        left = self._asked_at.get(node_id, float("-inf")) + _AGAIN_S - anyio.current_time()
        if left > 0 or not self._freshness.is_live:
            return max(left, 1.0)
        self._asked_at[node_id] = anyio.current_time()
        try:
            await self._listing.refresh_sender(node_id)
        except NotAccepted:
            del self._asked_at[node_id]
        except SmfsError as error:
            _log.info("a closing date has come, and was not looked at: %s", type(error).__name__)
        return _AGAIN_S
