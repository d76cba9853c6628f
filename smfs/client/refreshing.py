"""Bringing the maps of a view up to date where no feed does."""

from __future__ import annotations

from typing import Final

from smfs.client.deadlines import operation
from smfs.client.knowledge import Knowledge
from smfs.errors import ServiceUnavailable

_TTL_S: Final = 5.0
_TTL_OURS_S: Final = 1.0


class Refreshing(Knowledge):
    """The part of a view that lists its space."""

    @operation
    async def refresh(self, max_age: float | None = None) -> None:
        """Brings the maps up to date; callers at the same time share one request.

        Args:
            max_age: how many seconds old they may be where there is no feed; None: the time to
                live; 0: as of now.

        Raises:
            SpaceNotFound: when the space is gone.
        """
        if not await self._freshness.must_ask(for_names=True):
            return
        try:
            await self._listing.refresh(self._time_to_live() if max_age is None else max_age)
        except ServiceUnavailable as error:
            self._fall_back(error)
        else:
            self._feed.was_listed()

    @operation
    async def look_again(self, since: float) -> bool:
        """Brings the maps up to date for a name that they lack, unless that is too costly.

        Args:
            since: maps asked for after this moment (`anyio.current_time()`) are new enough.

        Returns:
            whether they are that new now; if not, ask for the one secret.
        """
        if not await self._freshness.must_ask(for_names=True):
            return True
        try:
            return await self._listing.look_again(since)
        except ServiceUnavailable as error:
            self._fall_back(error)
            return True

    def _time_to_live(self) -> float:
        if self._ttl is not None:
            return self._ttl
        ttl = _TTL_S if self.client.connection.discovered is None else _TTL_OURS_S
        return max(ttl, self._listing.pause)

    def _fall_back(self, error: ServiceUnavailable) -> None:
        """Lets what was known do, where a service without a feed is away; else raises `error`."""
        if not self._freshness.may_fall_back():
            raise error
        self._freshness.check_age(error)
