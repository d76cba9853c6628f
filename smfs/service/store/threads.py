"""Threads for what blocks, and the way back from them to the event loop."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.lowlevel

from smfs.errors import ServiceBusy

T = TypeVar("T")
Post = Callable[[Callable[[], None]], object]

_IDLE_S: Final = 60.0


def poster() -> Post:
    """A function for any thread: has the event loop that runs now call something."""
    token: Any = anyio.lowlevel.current_token().native_token
    run_soon: Post = getattr(token, "run_sync_soon", None) or token.call_soon_threadsafe

    def post(call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is over, and nobody waits
            run_soon(call)

    return post


class Outcome(Generic[T]):
    """What a call in a thread will come to; made, shown and awaited on the event loop's thread."""

    def __init__(self) -> None:
        self._is_shown = False
        self._shown: anyio.Event | None = None  # of who waits
        self._value: T | None = None
        self._error: BaseException | None = None
        self.is_abandoned = False

    def set(self, value: T) -> None:
        """It went well; for any thread, which then has the event loop call `show`."""
        self._value = value

    def fail(self, error: BaseException) -> None:
        """It failed."""
        self._error = error

    def show(self) -> None:
        """Lets go who waits."""
        self._is_shown = True
        if self._shown is not None:
            self._shown.set()

    async def ready(self) -> None:
        """Waits until it came, whatever it is."""
        if not self._is_shown:
            self._shown = self._shown or anyio.Event()
            await self._shown.wait()

    async def wait(self) -> T:
        """The value, or the error raised; a cancelled wait abandons it."""
        try:
            await self.ready()
        except BaseException:
            self.is_abandoned = True
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback would keep this frame, and this frame it
        return self._value  # type: ignore[return-value]  # T may be None


class Threads:
    """A few threads that take what there is to do in its order.

    Args:
        count: how many at the most; they start when they are needed.
        waiting: how much may wait.
    """

    def __init__(self, count: int, waiting: int) -> None:
        self._count = count
        self._most = waiting
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._threads = 0
        self._is_over = False

    def start(self, call: Callable[[], None]) -> None:
        """Has a thread call it; it must not raise.

        Raises:
            ServiceBusy: when too much waits already, or nothing is to be begun any more.
        """
        with self._changed:
            if self._is_over:
                raise ServiceBusy("the service ends")
            if len(self._calls) >= self._most:
                raise ServiceBusy("too many requests wait for the database")
            self._calls.append(call)
            # Who was notified before counts as idle until it has run.
            if len(self._calls) <= self._idle:
                self._changed.notify()
            elif self._threads < self._count:
                self._threads += 1
                threading.Thread(target=self._run, name="store", daemon=True).start()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call()
            del call  # what it holds is not to wait for the next one

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._calls:
                self._idle += 1
                came = not self._is_over and self._changed.wait(_IDLE_S)
                self._idle -= 1
                if not came and not self._calls:
                    self._threads -= 1
                    self._changed.notify_all()
                    return None
            return self._calls.popleft()

    def finish(self, ends_at: float = math.inf) -> None:
        """Waits until all that was begun is done and no thread is left; blocks.

        Args:
            ends_at: when to leave those alone that are held up, by `time.monotonic`.
        """
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            while self._threads and (left := ends_at - time.monotonic()) > 0:
                self._changed.wait(min(left, threading.TIMEOUT_MAX))

    def begin(self) -> None:
        """Lets calls be started, also after an end."""
        with self._changed:
            self._is_over = False


def settle(outcome: Outcome[Any], call: Callable[[], Any]) -> None:
    """Takes what a call comes to; for its thread."""
    try:
        outcome.set(call())
    except Exception as error:  # noqa: BLE001 - raised again, where somebody waits for it
        outcome.fail(error)
