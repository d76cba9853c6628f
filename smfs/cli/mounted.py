"""What can be told of a mount from outside: its `.status`, and its process."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from smfs.errors import MountError
from smfs.fuse.control import LOCK, QUIET

_ANSWER_TIME: Final = 5.0  # seconds; `.status` never waits for the network
_END_TIME: Final = 30.0  # seconds until the process has ended
_UPLOAD_TIME: Final = 12.0  # seconds for what is unsent: one deadline of a request, and some more
_PAUSE: Final = 0.05
_SHOWN: Final = 3


def read_status(directory: Path) -> dict[str, Any]:
    """The `.status` of a mount.

    Raises:
        MountError: when there is no mount of ours, or it does not answer.
    """
    found: list[bytes | OSError] = []

    def read() -> None:
        try:
            found.append((directory / ".status").read_bytes())
        except OSError as error:
            found.append(error)

    # Only a thread can be left behind: a read from a mount that hangs answers to no signal.
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(_ANSWER_TIME)
    if not found:
        raise MountError(f"the mount at {directory} does not answer")
    return _parse(directory, found[0])


def _parse(directory: Path, content: bytes | OSError) -> dict[str, Any]:
    if isinstance(content, OSError):
        raise MountError(f"cannot ask the mount at {directory}: {content.strerror}")
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise MountError(f"{directory} is no mount of smfs")
    return value


def wait_for_uploads(directory: Path) -> None:
    """Waits until a mount has nothing left to upload; one that cannot be asked has nothing.

    Raises:
        MountError: when the service has not taken everything in time.
    """
    end = time.monotonic() + _UPLOAD_TIME
    while unsent := _unsent(directory):
        if time.monotonic() > end:
            shown = ", ".join(unsent[:_SHOWN]) + (", …" if len(unsent) > _SHOWN else "")
            raise MountError(
                f"not on the service yet: {shown}; `smfs status {directory}` says why, and "
                f"`smfs umount --lazy {directory}` gives it up"
            )
        time.sleep(_PAUSE)


def _unsent(directory: Path) -> list[str]:
    try:
        unsent = read_status(directory).get("unsent")
    except MountError:
        return []
    return [str(path) for path in unsent] if isinstance(unsent, list) else []


def lock(directory: Path) -> None:
    """Has the kernel drop what it keeps of a mount; it has when this returns.

    Raises:
        MountError: when there is no mount of ours, or it cannot.
    """
    read_status(directory)
    try:
        os.setxattr(directory / ".status", LOCK, b"")
    except OSError as error:
        raise MountError(f"the mount at {directory} cannot: {error.strerror}") from None


def clear_the_way(directory: Path) -> None:
    """Has a mount keep off itself for a moment, so that an unmount does not find it busy.

    One that cannot be asked is left alone.
    """
    with suppress(MountError, OSError):
        read_status(directory)
        os.setxattr(directory / ".status", LOCK, QUIET)


def process_of(directory: Path) -> int | None:
    """A descriptor of the process behind a mount (pidfd_open(2)); None when it cannot be found."""
    try:
        return os.pidfd_open(int(read_status(directory)["pid"]))
    except (MountError, KeyError, TypeError, ValueError, OSError):
        return None


def wait_for_end(process: int) -> bool:
    """Waits for the end of a process, and closes its descriptor.

    Returns:
        whether it ended in time.
    """
    try:
        ended, _, _ = select.select([process], [], [], _END_TIME)
        return bool(ended)
    finally:
        os.close(process)
