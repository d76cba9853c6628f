"""Where the workers of a service add up their figures: a directory in memory, gone with them.

A first process that is killed leaves it behind, and the next one takes it away. Whether one is in
use is told by a lock on it, which ends with the last process that has it: a number of a process may
be another's by now, or that of another container over the same memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PREFIX: Final = "smfs-workers-"
_UNLOCKED: Final = "smfs-starting-"


@dataclass(frozen=True)
class MetricsDirectory:
    """A directory that is in use.

    Attributes:
        path: of it.
        lock: a descriptor that keeps it from being taken away, also in who inherits it.
    """

    path: Path
    lock: int


@contextlib.contextmanager
def metrics_directory() -> Iterator[MetricsDirectory]:
    """A new one for the length of the block; what killed services have left is removed first."""
    place = Path(_memory() or tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_unused(left)
    path = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=place))
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under this name others look for it, and so they never find it without its lock.
        path = path.rename(place / f"{_PREFIX}{path.name.removeprefix(_UNLOCKED)}")
        yield MetricsDirectory(path, lock)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _memory() -> str | None:
    """Where files need no disk, which may be full: systemd's directory is gone in the end, too."""
    places = (os.environ.get("RUNTIME_DIRECTORY"), "/dev/shm")  # noqa: S108 - mkdtemp follows
    return next((each for each in places if each and os.access(each, os.W_OK | os.X_OK)), None)


def _remove_unused(path: Path) -> None:
    """Removes a directory of this user; OSError when somebody has its lock, or it is none."""
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
