"""What keeps keys out of core dumps and away from other processes of the same user."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def harden_process() -> None:
    """Switches core dumps off, makes the process undumpable, and new files private.

    An undumpable process can be read through /proc or ptrace by root alone. On a kernel that
    refuses one of these, smfs goes on without it.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
