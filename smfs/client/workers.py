"""Work that would keep the event loop waiting, in worker threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")

_INLINE_HEX: Final = 64 * 1024  # below, opening takes less time than a change of threads
_LARGE_HEX: Final = 8 * 1024 * 1024  # above, several at once would take much memory

_one_at_a_time: Final = anyio.lowlevel.RunVar[anyio.CapacityLimiter]("smfs_one_at_a_time")


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """What `work` returns, done in a worker thread when `size` (hex digits) is large.

    The largest are done one after the other. Who is cancelled does not wait for the end of `work`,
    which therefore must change nothing.
    """
    if size < _INLINE_HEX:
        return work()
    limiter = _large_limiter() if size >= _LARGE_HEX else None
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)


def _large_limiter() -> anyio.CapacityLimiter:
    try:
        return _one_at_a_time.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(1)
        _one_at_a_time.set(limiter)
        return limiter
