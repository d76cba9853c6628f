"""Following a service's change feed: what keeps the maps of a view exact (docs/additions.md)."""

from __future__ import annotations

import enum
import logging
import random
import time
from typing import Final

import anyio

from smfs.client.changes import Changing
from smfs.client.envelopes import Envelopes
from smfs.client.retries import Delivery
from smfs.client.shared import again
from smfs.client.spaces import read_changes
from smfs.errors import ServiceError, ServiceUnavailable, SmfsError, UnknownRoute
from smfs.protocol.changes import LONGEST_WAIT_MS, Changes
from smfs.protocol.requests import GetChanges

_log: Final = logging.getLogger(__name__)

_GATHER_S: Final = 0.01
# A connection that was cut in silence looks alive for so long.
_WAIT_MS: Final = min(15_000, LONGEST_WAIT_MS)
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_ORIGINAL_PAUSE_S: Final = 60.0  # until a service without a feed is looked at again
_NUDGE_S: Final = 2.0
_BEAT_S: Final = 1.0
_SLEPT_S: Final = 2.5  # without a beat


class State(enum.Enum):
    """How far the maps can be believed."""

    OFF = "off"
    """There is no feed: who wants to know something asks the service."""
    STARTING = "starting"
    """Nobody knows yet whether there is one."""
    FILLING = "filling"
    """The names are known, the contents are on their way."""
    LIVE = "live"
    """The maps are what the service has."""
    AWAY = "away"
    """The service cannot be reached; the maps are what it had."""


class Feed:
    """Follows the feed for as long as `run` runs.

    Args:
        envelopes: the secrets of the node.
        changing: takes its pages over into the maps.

    Attributes:
        state: how far the maps can be believed.
        cursor: the feed's identity and the revision that the maps stand for.
        is_running: whether `run` runs.
        is_complete: whether the maps ever were all that the service had.
        confirmed_at: `time.time()` when they were last known to be current; None: never.
    """

    def __init__(self, envelopes: Envelopes, changing: Changing) -> None:
        self._envelopes = envelopes
        self._changing = changing
        self.state = State.OFF
        self.cursor = ("", 0)
        self.is_running = False
        self.is_complete = False
        self.confirmed_at: float | None = None
        self._failure: SmfsError | None = None
        self._failures = 0
        self._moved = anyio.Event()
        self._hurry = anyio.Event()
        self._beat = 0.0
        self._following = anyio.CancelScope()

    # --- what it knows ------------------------------------------------------------------------

    @property
    def failure(self) -> SmfsError:
        """Why the service cannot be used."""
        return again(self._failure) if self._failure else ServiceUnavailable("not reached yet")

    def age(self) -> float | None:
        """Seconds since the maps were last known to be current; None: they never were."""
        return None if self.confirmed_at is None else max(0.0, time.time() - self.confirmed_at)

    async def wait_for_move(self) -> None:
        """Returns after the next change of the state."""
        await self._moved.wait()

    async def wait_for(self, *states: State) -> None:
        """Returns once it is in one of these states."""
        while self.state not in states:
            await self._moved.wait()

    async def settled(self, patience: float) -> State:
        """The state once it is known whether there is a feed, after `patience` seconds at most."""
        if self.state is State.STARTING:
            with anyio.move_on_after(patience):
                await self.wait_for(State.OFF, State.FILLING, State.LIVE, State.AWAY)
        return self.state

    async def filled(self) -> None:
        """Returns once no contents are on their way."""
        while self.state is State.FILLING:
            await self._moved.wait()

    async def nudge(self) -> None:
        """Tries at once to reach a service that is away, and returns when that is decided."""
        if self.state is State.AWAY:
            failures = self._failures
            self._hurry.set()
            with anyio.move_on_after(_NUDGE_S):
                while self._failures == failures:
                    await self._moved.wait()

    def notice_sleep(self) -> None:
        """Believes nothing any more, until the service was asked, after the process has slept.

        A machine that was suspended wakes with connections that look alive and are not.
        """
        now = time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine is suspended
        has_slept, self._beat = now - self._beat > _SLEPT_S, now
        if has_slept:
            self.doubt()

    def doubt(self) -> None:
        """Believes nothing any more, until the service was asked: something else got no answer."""
        if self.state in (State.LIVE, State.FILLING):
            self._set(State.STARTING)
            self._following.cancel()

    def moved(self) -> None:
        """Follows another service from now on; what the old one had is nothing to go by."""
        self.cursor, self.is_complete, self.confirmed_at = ("", 0), False, None
        self._changing.abandon()
        self.doubt()
        self._following.cancel()  # whatever is under way is the other one's
        self._hurry.set()

    # --- following ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Has everybody wait until it is known whether there is a feed."""
        self.is_running = True
        self._set(State.STARTING)

    def begin_with(self, cursor: tuple[str, int], confirmed_at: float) -> None:
        """Goes on from what was known before; fields as the attributes."""
        self.cursor, self.confirmed_at = cursor, confirmed_at
        self.is_complete = True
        self._set(self.state)

    async def run(self) -> None:
        """Follows the feed until it is cancelled."""
        self.begin()
        self._envelopes.session.followers.add(self)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._notice_sleep_regularly)
                tasks.start_soon(self._changing.measuring.run)
                while True:
                    await self._try_to_follow()
        finally:
            self._envelopes.session.followers.discard(self)
            self.is_running = False
            self._set(State.OFF)

    async def _notice_sleep_regularly(self) -> None:
        while True:
            self.notice_sleep()
            await anyio.sleep(_BEAT_S)

    async def _try_to_follow(self) -> None:
        try:
            with anyio.CancelScope() as self._following:
                await self._follow()
        except UnknownRoute:
            # It has become an original, or says that it has a feed and has none.
            self._failures += 1
            self._end_without_feed()
            await self._rest(self._pause())
            self._envelopes.session.connection.forget()
        except (ServiceError, ServiceUnavailable) as error:
            if isinstance(error, ServiceUnavailable) and self.state in (State.LIVE, State.FILLING):
                # A connection that broke says nothing yet of the service: who reads waits for that.
                self._set(State.STARTING)
            else:
                self._fail(error)
            await self._rest(self._pause())
        except Exception as error:  # noqa: BLE001 - a mount that is not up to date is better than none
            self._fail(ServiceUnavailable(f"what it told was of no use ({type(error).__name__})"))
            await self._rest(self._pause())

    async def _follow(self) -> None:
        found = await self._envelopes.session.connection.discover()
        if found is None or GetChanges.route() not in found.features:
            self._succeed()
            self._end_without_feed()
            await self._rest(_ORIGINAL_PAUSE_S)
            self._envelopes.session.connection.forget()
            return
        page = await self._ask_and_apply()
        while True:
            await self._catch_up(page)
            self.is_complete = True
            self._set(State.LIVE)
            page = await self._ask_and_apply(wait=_WAIT_MS)
            if page.changes:
                # Who changes one thing often changes the next: one page then tells of many.
                await anyio.sleep(_GATHER_S)

    def _end_without_feed(self) -> None:
        """What is known changes by other ways now: a feed that comes back begins with all."""
        self.cursor = ("", 0)
        self._changing.abandon()
        self._set(State.OFF)

    async def _catch_up(self, page: Changes) -> None:
        """Asks for the pages after one, until that is all."""
        begun = 0
        while page.more:
            begun += page.since == 0
            if begun > 1:
                await self._rest(self._pause())
            if self._changing.is_listing and self.state is not State.FILLING:
                await self._list_names()
                self._set(State.FILLING)
            page = await self._ask_and_apply()

    async def _ask_and_apply(self, *, wait: int = 0) -> Changes:
        feed, since = self.cursor
        while True:
            mark = self._envelopes.history.mark()
            page = await self._ask(feed, since, wait=wait, listing=self._changing.is_listing)
            if await self._changing.apply(page, mark):
                break
            wait = 0
        self.cursor = page.feed, page.revision
        self._succeed()
        self._changing.measuring.begin()
        return page

    async def _list_names(self) -> None:
        """Learns which secrets there are, which takes far less time than to fetch them all."""
        feed, since = "", 0
        while True:
            page = await self._ask(feed, since, contents=False, listing=since > 0)
            if page.since != since:
                return  # it begins anew; the contents are listed anew, too
            self._changing.announce(page)
            feed, since = page.feed, page.revision
            if not page.more:
                return

    async def _ask(
        self, feed: str, since: int, *, wait: int = 0, listing: bool = False, contents: bool = True
    ) -> Changes:
        answer = await self._envelopes.session.call(
            GetChanges,
            Delivery(patience=wait / 1000, tries=self._tries()),
            feed=feed,
            since=since,
            listing=listing,
            contents=contents,
            wait=wait,
        )
        page = await read_changes(self._envelopes.session.identity, answer.value)
        return _checked(page, feed, since)

    def _tries(self) -> int:
        # Whoever reads before anything is known has nothing else to go by than this one request.
        return 1 if self.is_complete or self.state is not State.STARTING else 2

    # --- success and failure ------------------------------------------------------------------

    def was_listed(self) -> None:
        """A service without a feed was asked for all that it has."""
        if self.is_running:
            self.is_complete = True
            self.confirmed_at = time.time()

    def _succeed(self) -> None:
        self.confirmed_at = time.time()
        if self._failures:
            _log.info("the service is back")
        self._failures, self._failure = 0, None

    def _fail(self, error: SmfsError) -> None:
        if not self._failures:
            _log.warning("the service cannot be used: %s", type(error).__name__)
        self._failures += 1
        self._failure = error
        self._set(State.AWAY)

    def _pause(self) -> float:
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret

    async def _rest(self, seconds: float) -> None:
        self._hurry = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._hurry.wait()

    def _set(self, state: State) -> None:
        self.state = state
        self._changing.set_followed(followed=state is not State.OFF)
        moved, self._moved = self._moved, anyio.Event()
        moved.set()


def _checked(page: Changes, feed: str, since: int) -> Changes:
    """The page, if it can be the one that was asked for.

    Raises:
        ServiceUnavailable: when it goes on from elsewhere, or to nowhere.
    """
    goes_on = page.feed == feed and page.since == since
    is_within = all(page.since < each.revision <= page.revision for each in page.changes)
    leads_on = not page.more or page.revision > page.since
    if (goes_on or page.since == 0) and is_within and leads_on:
        return page
    raise ServiceUnavailable("the service answered with nonsense: a page out of its order")
