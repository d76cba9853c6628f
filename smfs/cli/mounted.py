"""What can be told of a mount from outside: its `.status`, and its process."""

from __future__ import annotations

import json
import os
import select
import threading
from pathlib import Path
from typing import Any, Final

from smfs.errors import MountError

_ANSWER_TIME: Final = 5.0  # seconds; `.status` never waits for the network
_END_TIME: Final = 30.0  # seconds for the uploads that were still unsent


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
