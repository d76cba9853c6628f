"""Which filesystems are mounted where, as the kernel tells (proc(5), `mountinfo`)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_MAJOR_MINOR, _MOUNT_POINT = 2, 4
_TYPE_AFTER_SEPARATOR: Final = 1


@dataclass(frozen=True)
class Mount:
    """One mounted filesystem.

    Attributes:
        device: its device number (st_dev).
        kind: its type, as `fuse.smfs`.
    """

    device: int
    kind: str


def mount_at(mountpoint: Path) -> Mount | None:
    """The filesystem that is mounted exactly at a path; the topmost when there are several.

    Args:
        mountpoint: absolute and without symbolic links.
    """
    found = None
    for line in _MOUNTINFO.read_bytes().splitlines():
        fields = line.split(b" ")
        if _unescaped(fields[_MOUNT_POINT]) == os.fsencode(mountpoint):
            found = _parse(fields)
    return found


def _parse(fields: list[bytes]) -> Mount:
    major, minor = fields[_MAJOR_MINOR].split(b":")
    kind = fields[fields.index(b"-") + _TYPE_AFTER_SEPARATOR]
    return Mount(os.makedev(int(major), int(minor)), os.fsdecode(kind))


def _unescaped(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field)
