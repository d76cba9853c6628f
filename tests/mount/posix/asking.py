"""access(2), statvfs(3) and extended attributes."""

from __future__ import annotations

import os
from pathlib import Path

from tests.mount.posix.harness import opened, put, refuses, same, true


def check_access() -> None:
    """Files can be read and written, directories be entered too; root is no exception."""
    put("f")
    os.mkdir("d")
    for path, mode, may in (
        ("f", os.F_OK, True),
        ("f", os.R_OK | os.W_OK, True),
        ("f", os.X_OK, False),
        ("d", os.R_OK | os.W_OK | os.X_OK, True),
        ("missing", os.F_OK, False),
        ("f/g", os.F_OK, False),
    ):
        same((path, mode, os.access(path, mode)), (path, mode, may))
        same(os.access(path, mode, effective_ids=True), may)


def check_access_to_what_is_read_only() -> None:
    """`from/` and `.status`."""
    mount = Path(os.environ["MOUNT"])
    true("R_OK | X_OK", holds=os.access(mount / "from", os.R_OK | os.X_OK))
    true("W_OK", holds=not os.access(mount / "from", os.W_OK))
    true("R_OK", holds=os.access(mount / ".status", os.R_OK))
    true("W_OK", holds=not os.access(mount / ".status", os.W_OK))


def check_statvfs() -> None:
    """Room for any secret, counts that hold together, and the limits of names."""
    found = os.statvfs(".")
    same((found.f_bsize, found.f_frsize, found.f_namemax), (4096, 4096, 255))
    true("a secret fits", holds=found.f_bavail * found.f_frsize >= 1 << 20)
    true("free of total", holds=0 < found.f_bavail <= found.f_bfree <= found.f_blocks)
    true("files, too", holds=0 < found.f_favail <= found.f_ffree <= found.f_files)
    true("a sane size", holds=found.f_blocks * found.f_frsize < 1 << 50)
    wanted = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
    same(found.f_flag & wanted, wanted)
    same(found.f_flag & os.ST_RDONLY, 0)


def check_statvfs_follows() -> None:
    """What is stored is used; the total stays. It is the same wherever it is asked."""
    before = os.statvfs(".")
    put("f", b"x" * 100_000)
    with opened("f", os.O_RDONLY) as descriptor:
        after = os.fstatvfs(descriptor)
    same(after.f_blocks, before.f_blocks)
    same(before.f_ffree - after.f_ffree, 1)
    true("less is free", holds=after.f_bfree < before.f_bfree)
    same(os.statvfs(os.environ["MOUNT"]).f_files, after.f_files)
    os.unlink("f")
    same(os.statvfs(".").f_ffree, before.f_ffree)


def check_extended_attributes() -> None:
    """They answer when asked for by name, are not listed, and cannot be changed."""
    put("f")
    os.mkdir("d")
    same(os.getxattr("f", "user.smfs.state"), b"clean")
    same(os.getxattr("f", "user.smfs.verified"), b"yes")
    same(os.getxattr("f", "user.smfs.one-time"), b"no")
    same((os.listxattr("f"), os.listxattr("d")), ([], []))
    for path in ("f", "d"):
        refuses("ENODATA", os.getxattr, path, "user.other")
        refuses("ENODATA", os.getxattr, path, "user.smfs.nothing")
        refuses("ENOTSUP", os.setxattr, path, "user.other", b"x")
        refuses("ENOTSUP", os.removexattr, path, "user.smfs.state")
    refuses("ENOENT", os.getxattr, "missing", "user.smfs.state")


def check_the_state_of_what_is_written() -> None:
    """`dirty` until the service has it."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.write(descriptor, b"x")
        same(os.getxattr("f", "user.smfs.state"), b"dirty")
        os.fsync(descriptor)
        same(os.getxattr(descriptor, "user.smfs.state"), b"clean")
