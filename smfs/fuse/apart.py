"""A thread with descriptors of its own, for system calls on the mount itself.

Such a call may wait in the kernel for a program that waits for the mount, and cannot be killed
there. If the process is killed then, the thread lives on; and did it hold `/dev/fuse` open, the
kernel would never learn that the mount is dead, and all three would hang for good.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections.abc import Callable
from typing import Final, TypeVar

_CLONE_FILES: Final = 0x400
_FIRST: Final = 3  # behind the standard streams, whose numbers nothing else must get

_T = TypeVar("_T")


class ThreadApart:
    """The thread; what runs there can use no descriptor that was not opened there.

    So it must not log, and wake no event loop.

    Attributes:
        id: of the thread (gettid(2)).
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        ready: queue.SimpleQueue[int] = queue.SimpleQueue()
        # Nobody joins it: it may wait in the kernel.
        thread = threading.Thread(target=self._run, args=[ready], name="smfs-apart", daemon=True)
        thread.start()
        self.id = ready.get()

    def run(self, function: Callable[[], _T]) -> _T:
        """Runs a function there; who calls waits for it.

        Raises:
            Exception: what the function raised.
        """
        answers: queue.SimpleQueue[tuple[_T, None] | tuple[None, Exception]] = queue.SimpleQueue()

        def call() -> None:
            try:
                answers.put((function(), None))
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                answers.put((None, error))

        self._calls.put(call)
        match answers.get():
            case (None, Exception() as error):
                raise error
            case (result, _):
                return result

    def end(self) -> None:
        """Has it end after what it does now; does not wait."""
        self._calls.put(None)

    def _run(self, ready: queue.SimpleQueue[int]) -> None:
        _leave_descriptors()
        ready.put(threading.get_native_id())
        while (call := self._calls.get()) is not None:
            call()


def _leave_descriptors() -> None:
    """Gives the calling thread a table of descriptors of its own, with nothing in it.

    Where the machine forbids that, all goes on as it is.
    """
    libc = ctypes.CDLL(None)
    if libc.unshare(_CLONE_FILES) == 0:
        os.closerange(_FIRST, os.sysconf("SC_OPEN_MAX"))
