"""Sizes, holes, offsets and the limit."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from tests.mount.posix.harness import get, opened, put, refuses, same

_LIMIT: Final = 1 << 20


def check_truncate() -> None:
    """Cuts, and extends by zero bytes."""
    put("f", b"0123456789")
    os.truncate("f", 4)
    same(get("f"), b"0123")
    os.truncate("f", 6)
    same(get("f"), b"0123\0\0")
    os.truncate("f", 0)
    same(get("f"), b"")


def check_truncate_is_refused() -> None:
    """A negative size, one past the limit, a directory, a missing file."""
    put("f", b"old")
    os.mkdir("d")
    refuses("EINVAL", os.truncate, "f", -1)
    refuses("EFBIG", os.truncate, "f", _LIMIT + 1)
    refuses("EISDIR", os.truncate, "d", 0)
    refuses("ENOENT", os.truncate, "missing", 0)
    same(get("f"), b"old")


def check_ftruncate() -> None:
    """Is seen by every descriptor, and moves no offset."""
    put("f", b"0123456789")
    with opened("f", os.O_RDWR) as one, opened("f", os.O_RDWR) as other:
        os.lseek(one, 8, os.SEEK_SET)
        os.ftruncate(one, 4)
        same(os.fstat(other).st_size, 4)
        same(os.pread(other, 9, 0), b"0123")
        os.write(one, b"X")
        refuses("EFBIG", os.ftruncate, one, _LIMIT + 1)
    same(get("f"), b"0123\0\0\0\0X")


def check_a_path_is_truncated_while_it_is_written() -> None:
    """Both work on one content."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.write(descriptor, b"0123456789")
        os.truncate("f", 2)
        same(os.fstat(descriptor).st_size, 2)
        os.write(descriptor, b"X")
    same(get("f"), b"01" + bytes(8) + b"X")


def check_holes() -> None:
    """What was never written is zero bytes."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.pwrite(descriptor, b"end", 10_000)
        os.pwrite(descriptor, b"begin", 0)
        same(os.pread(descriptor, 20, 0), b"begin" + bytes(15))
        same(os.fstat(descriptor).st_size, 10_003)
    same(get("f"), b"begin" + bytes(9995) + b"end")


def check_reading_at_the_end() -> None:
    """Gives what is there, then nothing."""
    put("f", b"0123")
    with opened("f", os.O_RDONLY) as descriptor:
        same(os.pread(descriptor, 9, 2), b"23")
        same(os.pread(descriptor, 9, 4), b"")
        same(os.pread(descriptor, 9, 1 << 40), b"")
        refuses("EINVAL", os.pread, descriptor, 9, -1)


def check_scattered_reads_and_writes() -> None:
    """readv(2), writev(2) and their relatives with offsets."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.writev(descriptor, [b"ab", b"", b"cd"])
        os.pwritev(descriptor, [b"X", b"Y"], 1)
        parts = [bytearray(1), bytearray(9)]
        same(os.preadv(descriptor, parts, 0), 4)
        same(bytes(parts[0]) + bytes(parts[1][:3]), b"aXYd")


def check_lseek() -> None:
    """Everywhere from the begin on; a secret is data up to its end."""
    put("f", b"0123456789")
    with opened("f", os.O_RDONLY) as descriptor:
        same(os.lseek(descriptor, -3, os.SEEK_END), 7)
        same(os.lseek(descriptor, 2, os.SEEK_CUR), 9)
        same(os.lseek(descriptor, 1 << 40, os.SEEK_SET), 1 << 40)
        refuses("EINVAL", os.lseek, descriptor, -1, os.SEEK_SET)
        same(os.lseek(descriptor, 3, os.SEEK_DATA), 3)
        same(os.lseek(descriptor, 3, os.SEEK_HOLE), 10)
        refuses("ENXIO", os.lseek, descriptor, 10, os.SEEK_DATA)
        refuses("ENXIO", os.lseek, descriptor, 10, os.SEEK_HOLE)


def check_seek_hole_follows_what_is_written() -> None:
    """`cp` and `tar` look for holes with the size that is true now."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.write(descriptor, b"x" * 5000)
        same(os.lseek(descriptor, 0, os.SEEK_HOLE), 5000)
        os.ftruncate(descriptor, 10)
        same(os.lseek(descriptor, 0, os.SEEK_HOLE), 10)


def check_posix_fallocate() -> None:
    """Extends by zero bytes (the C library writes them), and keeps to the limit."""
    put("f", b"0123")
    with opened("f", os.O_RDWR) as descriptor:
        os.posix_fallocate(descriptor, 0, 10)
        same(os.fstat(descriptor).st_size, 10)
        os.posix_fallocate(descriptor, 0, 5)
        same(os.pread(descriptor, 99, 0), b"0123" + bytes(6))
        refuses("EFBIG", os.posix_fallocate, descriptor, 0, _LIMIT + 4096)
        os.ftruncate(descriptor, 10)  # else the close refuses what was cut off by the limit


def check_the_limit() -> None:
    """The largest content is taken; past it EFBIG, and the old content stays."""
    put("f", b"x" * _LIMIT)
    same(os.stat("f").st_size, _LIMIT)
    with opened("f", os.O_RDWR) as descriptor:
        refuses("EFBIG", os.pwrite, descriptor, b"x", _LIMIT)
        refuses("EFBIG", os.pwrite, descriptor, b"x", 1 << 50)
        os.ftruncate(descriptor, 5)
    same(get("f"), b"xxxxx")


def check_a_write_across_the_limit() -> None:
    """Takes what fits, or nothing; the next one says why, and the old content stays."""
    put("f", b"old")
    descriptor = os.open("f", os.O_RDWR)
    os.pwrite(descriptor, b"new", 0)
    with contextlib.suppress(OSError):
        same(os.pwrite(descriptor, b"x" * 8192, _LIMIT - 4096), 4096)
    refuses("EFBIG", os.pwrite, descriptor, b"x", _LIMIT)
    refuses("EFBIG", os.close, descriptor)
    same(get("f"), b"old")


def check_a_refused_write_is_forgotten() -> None:
    """Once the file is closed: who opens it anew writes as ever."""
    put("f", b"old")
    with opened("f", os.O_RDWR) as descriptor:
        refuses("EFBIG", os.pwrite, descriptor, b"x", _LIMIT)
    same(get("f"), b"old")
    with opened("f", os.O_WRONLY | os.O_APPEND) as descriptor:
        os.write(descriptor, b" and new")
    same(get("f"), b"old and new")


def check_copies_inside_the_kernel() -> None:
    """copy_file_range(2), sendfile(2) and splice(2) take what is there."""
    put("f", b"0123456789" * 1000)
    with opened("f", os.O_RDONLY) as source, opened("g", os.O_RDWR | os.O_CREAT) as target:
        same(os.copy_file_range(source, target, 10_000, 0, 0), 10_000)
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        same(os.sendfile(target, source, 0, 10_000), 10_000)
        same(os.pread(target, 20_000, 0), b"0123456789" * 1000)


def check_the_size_that_stat_tells() -> None:
    """While it is written, when it is closed, and when it is opened anew."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        for length in (1, 511, 512, 513, 5000):
            os.pwrite(descriptor, b"x" * length, 0)
            same((os.stat("f").st_size, os.fstat(descriptor).st_size), (length, length))
    found = os.stat("f")
    same((found.st_size, found.st_blocks, found.st_blksize), (5000, 10, 4096))


def check_fsync_of_everything() -> None:
    """fsync(2), fdatasync(2) and sync_file_range's big brother syncfs(2), also of a directory."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        os.fdatasync(descriptor)
    with opened(".", os.O_RDONLY) as directory:
        os.fsync(directory)
        os.fdatasync(directory)
