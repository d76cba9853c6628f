"""Times, inode numbers, modes and owners."""

from __future__ import annotations

import itertools
import os
import stat

from tests.mount.posix.harness import get, opened, put, refuses, same, true

_LONG_AGO = 1_000_000_000_123_456_789


def _times(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_ctime_ns


def check_times_move_when_content_does() -> None:
    """By a write, a truncation and an emptying; later each time."""
    put("f")
    seen = [_times("f")]
    with opened("f", os.O_WRONLY) as descriptor:
        os.write(descriptor, b"x")
        seen.append(_times("f"))
        os.ftruncate(descriptor, 1)
        seen.append(_times("f"))
    os.truncate("f", 2)
    seen.append(_times("f"))
    put("f", b"")
    seen.append(_times("f"))
    for before, after in itertools.pairwise(seen):
        true(f"{before} < {after}", holds=before[0] < after[0] and before[1] < after[1])


def check_times_stay_otherwise() -> None:
    """Reading, asking, mode, owner, opening, closing, listing, locking and renaming move none."""
    put("f")
    before = _times("f")
    get("f")
    os.chmod("f", 0o644)
    os.chown("f", 12, 34)
    with opened("f", os.O_RDWR):
        pass
    os.listdir(".")
    os.listxattr("f")
    os.rename("f", "g")
    same(_times("g"), before)
    os.rename("g", "f")
    same(_times("f"), before)


def check_times_do_not_jump_at_close() -> None:
    """What was shown while it was written is what is shown afterwards."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.write(descriptor, b"x")
        before = _times("f")
        os.fsync(descriptor)
        same(_times("f"), before)
    same(_times("f"), before)
    get("f")
    same(_times("f"), before)


def check_utimensat() -> None:
    """Both times to the nanosecond, now, or one of them left as it is."""
    put("f")
    os.utime("f", ns=(_LONG_AGO, _LONG_AGO + 1))
    found = os.stat("f")
    same((found.st_atime_ns, found.st_mtime_ns), (_LONG_AGO, _LONG_AGO + 1))
    true("ctime is now", holds=found.st_ctime_ns > 10**18 + 5 * 10**17)
    os.utime("f")
    true("mtime is now", holds=os.stat("f").st_mtime_ns > 10**18 + 5 * 10**17)
    with opened("f", os.O_RDWR) as descriptor:
        os.utime(descriptor, ns=(5, 6))
        same(os.stat("f").st_mtime_ns, 6)
    same(get("f"), b"content")
    same(os.stat("f").st_mtime_ns, 6)
    refuses("ENOENT", os.utime, "missing")


def check_times_of_all_ages() -> None:
    """From before 1970 until after 2106."""
    put("f")
    for seconds in (-1, 0, 2**31, 2**32 + 1, 2**33):
        os.utime("f", (seconds, seconds))
        same(os.stat("f").st_mtime, seconds)


def check_a_write_after_utimensat() -> None:
    """Moves the time on from what was set."""
    put("f")
    os.utime("f", ns=(5, 6))
    with opened("f", os.O_WRONLY | os.O_APPEND) as descriptor:
        os.write(descriptor, b"x")
    true("mtime is now", holds=os.stat("f").st_mtime_ns > 10**18 + 5 * 10**17)


def check_times_of_a_directory() -> None:
    """Move when a name in it comes, goes or changes, and when nothing of this happens, not."""
    os.mkdir("d")
    seen = [_times("d")]
    for change in (
        lambda: put("d/f"),
        lambda: os.rename("d/f", "d/g"),
        lambda: os.mkdir("d/e"),
        lambda: os.rmdir("d/e"),
        lambda: os.unlink("d/g"),
    ):
        change()
        seen.append(_times("d"))
    for before, after in itertools.pairwise(seen):
        true(f"{before} < {after}", holds=before < after)
    os.listdir("d")
    os.chmod("d", 0o755)
    same(_times("d"), seen[-1])
    os.utime("d", ns=(5, 6))
    same(os.stat("d").st_mtime_ns, 6)


def check_inode_numbers_stay() -> None:
    """Over listing anew, reading, writing, truncating and renaming; and listings tell the same."""
    put("f")
    os.mkdir("d")
    inodes = os.stat("f").st_ino, os.stat("d").st_ino
    for _ in range(3):
        listed = {entry.name: entry.inode() for entry in os.scandir(".")}
        same((listed["f"], listed["d"]), inodes)
    put("f", b"written anew")
    os.truncate("f", 3)
    get("f")
    os.rename("f", "g")
    same((os.stat("g").st_ino, os.stat("d").st_ino), inodes)
    true("they differ", holds=len({*inodes, os.stat(".").st_ino}) == 3)


def check_an_editors_save_is_a_new_file() -> None:
    """By a temporary file and a rename: the number is that of the temporary file."""
    put("f", b"old")
    before = os.stat("f").st_ino
    put("f.tmp", b"new")
    made = os.stat("f.tmp").st_ino
    os.replace("f.tmp", "f")
    same(os.stat("f").st_ino, made)
    true("it is another one", holds=made != before)


def check_modes_and_owners_stay() -> None:
    """Changing them succeeds and changes nothing."""
    put("f")
    os.mkdir("d")
    for path, mode in (("f", stat.S_IFREG | 0o600), ("d", stat.S_IFDIR | 0o700)):
        os.chmod(path, 0o777)
        os.chmod(path, 0)
        os.chown(path, 1, 2)
        os.lchown(path, -1, 3)
        found = os.stat(path)
        same((found.st_mode, found.st_uid, found.st_gid), (mode, os.getuid(), os.getgid()))
    with opened("f", os.O_RDONLY) as descriptor:
        os.fchmod(descriptor, 0o644)
        os.fchown(descriptor, 1, 1)
        same(os.fstat(descriptor).st_mode, stat.S_IFREG | 0o600)
    refuses("ENOENT", os.chmod, "missing", 0o600)
    refuses("ENOENT", os.chown, "missing", 0, 0)


def check_what_else_stat_tells() -> None:
    """One filesystem, one name for each file, no device."""
    put("f")
    found, here = os.lstat("f"), os.stat(".")
    same((found.st_dev, found.st_nlink, found.st_rdev), (here.st_dev, 1, 0))
