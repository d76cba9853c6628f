"""SIGHUP of `smfs serve`: files are to be read again, or the terminal is gone.

It ends no start: as long as nobody listens, it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import stat
from collections.abc import Callable, Iterator
from typing import Final

_HANGUP: Final = {signal.SIGHUP}


def hold_hangup() -> None:
    """Has SIGHUP wait until `listen_to_hangup`, in what is started meanwhile, too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)


@contextlib.contextmanager
def hangup_held() -> Iterator[None]:
    """Has SIGHUP wait for the length of the block, and until they listen in what it starts."""
    hold_hangup()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANGUP)


def listen_to_hangup(
    loop: asyncio.AbstractEventLoop, reload: Callable[[], object] | None, end: Callable[[], object]
) -> None:
    """Hears SIGHUP from now on, and the one that has waited.

    Args:
        loop: that runs, in the main thread.
        reload: reads files again; None: there are none.
        end: called where there are none and the terminal is gone; any other SIGHUP is ignored.
    """

    def heard() -> None:
        if reload is not None:
            reload()
        elif _has_lost_terminal():
            end()

    # Where nohup or the like has it ignored, the loss of the terminal is not to end anything.
    if reload is not None or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, heard)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANGUP)


def _has_lost_terminal() -> bool:
    """Whether a standard stream is a terminal that has hung up."""
    hung_up = select.poll()
    for descriptor in range(3):
        # A pipe hangs up, too, when whoever is at its other end has gone.
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            hung_up.register(descriptor, 0)
    return any(events & select.POLLHUP for _, events in hung_up.poll(0))
