"""How the C library's allocator is set for a process that serves for months."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 256 * 1024
_ARENAS: Final = 2


def bound_allocator() -> None:
    """Has memory go back to the system once it is free, and few arenas keep some for later.

    Large bodies come in all sizes. By itself glibc raises its threshold to the largest block that
    was ever freed (mallopt(3)), from where they are cut out of heaps, which keep their holes.
    Another C library may know none of this; then it stays as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)
