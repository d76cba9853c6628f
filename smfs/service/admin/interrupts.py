"""Signals that end a command: what is half done is undone, and what is done is not denied."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from smfs.errors import OutcomeUnknown

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What becomes of the signals that end a process; of none, unless `interruptible` made it.

    Attributes:
        ended_by: the signal that has ended what was to be done.
    """

    def __init__(self) -> None:
        self.ended_by: int | None = None
        self._is_held = False
        self._is_told = False
        self._late: set[int] = set()

    def hold(self) -> None:
        """Begins what cannot be undone: a signal now comes too late, unless it comes again.

        Raises:
            KeyboardInterrupt: when one has come before.
        """
        if self.ended_by is not None:
            # Code that must not fail, as that of callbacks, has swallowed it.
            raise KeyboardInterrupt
        self._is_held = True

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        del frame
        if self._is_held and number not in self._late:
            self._late.add(number)
            return
        if self._is_told:
            return  # nothing is gained by breaking off what cleans up
        self._is_told = True
        if self._is_held:
            # A server may wait for a standby for ever.
            raise OutcomeUnknown("interrupted at the very end: all of it may be there, or nothing")
        self.ended_by = number
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Has every signal that ends the process raise KeyboardInterrupt in the block.

    After the block the signal does what it would have done without it, so that whoever has started
    the process sees what ended it. One that the process ignores stays ignored. For the main thread.
    """
    interrupts = Interrupts()
    before = {
        number: handler
        for number in _ENDING
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    try:
        for number in before:
            signal.signal(number, interrupts.take)
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if interrupts.ended_by is not None:
            signal.raise_signal(interrupts.ended_by)
