"""Whether what is known can be believed, or the service must be asked, or cannot be."""

from __future__ import annotations

from typing import Final

from smfs.client.feed import Feed, State
from smfs.client.session import Session
from smfs.errors import ServiceUnavailable, SpaceNotFound

# For so long a mount that knows something waits for a service that is slow to answer.
_START_S: Final = 2.0


class Freshness:
    """The rules of staleness (the design, section 4).

    Args:
        feed: what the service tells by itself.
        session: with the service.
        max_stale: for how many seconds what is known may be read while the service is away; None:
            for ever.
    """

    def __init__(self, feed: Feed, session: Session, max_stale: float | None) -> None:
        self._feed = feed
        self._session = session
        self._max_stale = max_stale

    @property
    def is_live(self) -> bool:
        """Whether the maps are what the service has, as far as one can know."""
        return self._feed.state in (State.LIVE, State.FILLING)

    @property
    def source(self) -> str:
        """`live`, or `cache` while the service is away."""
        is_connected = self._session.connection.health.connection == "connected"
        is_away = self._feed.state is State.AWAY or (
            self._feed.state is not State.LIVE and not is_connected
        )
        return "cache" if is_away else "live"

    async def must_ask(self, *, for_names: bool = False) -> bool:
        """Whether the service has to be asked; what is known will do otherwise.

        Args:
            for_names: whether it is enough to know which secrets there are.

        Raises:
            ServiceUnavailable: when it is away and what is known is too old, or nothing is; it was
                tried once more.
            SpaceNotFound: when it says that the space is gone.
        """
        state = await self._settled()
        if state is State.AWAY and self._is_too_old():
            state = await self._tried_again()
        match state:
            case State.LIVE:
                return False
            case State.FILLING:
                return not for_names
            case State.OFF:
                return True
        failure = self._feed.failure
        if isinstance(failure, SpaceNotFound):
            raise failure
        self.check_age(failure)
        return False

    async def need_service(self) -> bool:
        """Makes sure that the service is there, as far as that can be known without asking it.

        Returns:
            whether what is known can be believed.

        Raises:
            ServiceUnavailable: when it is away; it was tried once more.
        """
        state = await self._settled()
        if state is State.AWAY:
            state = await self._tried_again()
        if state in (State.AWAY, State.STARTING):
            raise self._feed.failure
        return state is not State.OFF

    def check_age(self, failure: ServiceUnavailable | Exception) -> None:
        """Raises `failure` when what is known is not to be read any more."""
        if self._is_too_old():
            raise failure

    def seconds_until(self, moment: float) -> float:
        """Seconds until a moment (ms since 1970) by the service's clock, as far as it is known."""
        return (moment - self._session.connection.clock.now()) / 1000

    def may_fall_back(self) -> bool:
        """Whether what a listing once told will do when the service, which has no feed, is away."""
        return self._feed.is_running

    def _is_too_old(self) -> bool:
        if not self._feed.is_complete:
            return True
        age = self._feed.age()
        return self._max_stale is not None and (age is None or age > self._max_stale)

    async def _tried_again(self) -> State:
        await self._feed.nudge()
        return await self._settled()

    async def _settled(self) -> State:
        self._feed.notice_sleep()
        while self._feed.state is State.STARTING and not self._feed.is_complete:
            await self._feed.wait_for_move()
        return await self._feed.settled(_START_S)
