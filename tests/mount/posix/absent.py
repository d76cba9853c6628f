"""What a filesystem of secrets does not do: the operations of docs/posix.md."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.mount.posix.harness import LIBC, RENAME_WHITEOUT, get, outcome, put, rename2

_PUNCH_HOLE: Final = 0x03
_FICLONE: Final = 0x40049409
_ACL: Final = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHi", tag, permissions, -1) for tag, permissions in ((1, 6), (4, 0), (32, 0))
)
"""What stands for the mode 0600 (acl(5))."""


def _fallocate(mode: int) -> None:
    descriptor = os.open("f", os.O_RDWR)
    size = ctypes.c_long(4096)
    failed = LIBC.fallocate(descriptor, mode, ctypes.c_long(0), size)
    os.close(descriptor)
    if failed:
        raise OSError(ctypes.get_errno(), "fallocate")


def _bind() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")


def _clone() -> None:
    source, target = os.open("f", os.O_RDONLY), os.open("g", os.O_RDWR)
    try:
        fcntl.ioctl(target, _FICLONE, source)
    finally:
        os.close(source)
        os.close(target)


def _atime() -> None:
    before = os.stat("f").st_atime_ns
    get("f")
    if os.stat("f").st_atime_ns == before:
        raise OSError(0, "unchanged")


def _kept(change: Callable[[], None]) -> None:
    before = os.stat("f")
    change()
    after = os.stat("f")
    names = ("st_mode", "st_uid", "st_gid")
    if any(getattr(before, name) != getattr(after, name) for name in names):
        raise AssertionError("it was changed")


def _shared() -> Path:
    return Path(os.environ["MOUNT"]) / "shared" / ("0" * 64)


def _put_deep() -> None:
    here = Path.cwd()
    try:
        # Step by step: no call takes so long a path.
        for _ in range(41):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        put("f")
    finally:
        os.chdir(here)


OPERATIONS: Final[dict[str, Callable[[], object]]] = {
    "link": lambda: os.link("f", "linked"),
    "symlink": lambda: os.symlink("f", "linked"),
    "readlink": lambda: os.readlink("f"),
    "mkfifo": lambda: os.mkfifo("fifo"),
    "mknod of a file": lambda: os.mknod("node", stat.S_IFREG | 0o600),
    "mknod of a device": lambda: os.mknod("node", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    "bind of a socket": _bind,
    "open with O_TMPFILE": lambda: os.open(".", os.O_RDWR | os.O_TMPFILE),
    "execve": lambda: os.execv("f", ["f"]),
    "chmod": lambda: _kept(lambda: os.chmod("f", 0o777)),
    "chown": lambda: _kept(lambda: os.chown("f", 12, 34)),
    "setxattr": lambda: os.setxattr("f", "user.mine", b"x"),
    "removexattr": lambda: os.removexattr("f", "user.smfs.state"),
    "setxattr of an ACL": lambda: os.setxattr("f", "system.posix_acl_access", _ACL),
    "write past 1 MiB": lambda: os.truncate("f", (1 << 20) + 1),
    "fallocate": lambda: _fallocate(0),
    "fallocate of a hole": lambda: _fallocate(_PUNCH_HOLE),
    "ioctl FICLONE": _clone,
    "renameat2 with RENAME_WHITEOUT": lambda: rename2("f", "h", RENAME_WHITEOUT),
    "rename to another area": lambda: os.rename("f", _shared() / "f"),
    "rename at the top": lambda: os.rename(
        _shared().parents[1] / "own", _shared().parents[1] / "x"
    ),
    "creat under from/": lambda: put(str(_shared().parents[1] / "from" / "f")),
    "creat of a name that is no UTF-8": lambda: put(b"\xff"),
    "creat of a name that begins with %": lambda: put("%x"),
    "creat of own/%-": lambda: put(str(_shared().parents[1] / "own" / "%-")),
    "creat under a path past 8 KiB": _put_deep,
    "creat of own/.smfs": lambda: put(str(_shared().parents[1] / "own" / ".smfs")),
}
"""Each operation of the page, done in a directory that holds the files `f` and `g`."""


def outcomes(mount: Path) -> dict[str, str]:
    """The errno of every operation, by its name; `-` where it succeeds."""
    folder = mount / "own" / "absent"
    folder.mkdir()
    os.chdir(folder)
    put("f")
    put("g")
    return {name: outcome(operation) for name, operation in OPERATIONS.items()}
