"""open(2): every flag, and who wins a race."""

from __future__ import annotations

import os
from pathlib import Path

from tests.mount.posix.harness import Child, get, opened, outcome, put, refuses, same, true

_NEW = os.O_WRONLY | os.O_CREAT


def _make_new(name: str) -> None:
    os.close(os.open(name, _NEW | os.O_EXCL))


def check_what_is_not_there() -> None:
    """A missing file, a missing directory, a file where a directory should be."""
    refuses("ENOENT", os.open, "missing", os.O_RDONLY)
    refuses("ENOENT", os.open, "missing", os.O_WRONLY)
    refuses("ENOENT", os.open, "missing/f", _NEW)
    refuses("ENOENT", os.open, "", os.O_RDONLY)
    put("f")
    refuses("ENOTDIR", os.open, "f/g", os.O_RDONLY)
    refuses("ENOTDIR", os.open, "f/g", _NEW)
    refuses("ENOTDIR", os.open, "f/", os.O_RDONLY)
    refuses("EISDIR", os.open, "new/", _NEW)


def check_directories_are_not_written() -> None:
    """They can be opened for reading their names only."""
    os.mkdir("d")
    for flags in (os.O_WRONLY, os.O_RDWR, _NEW, os.O_RDONLY | os.O_TRUNC):
        refuses("EISDIR", os.open, "d", flags)
    with opened("d", os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        refuses("EISDIR", os.read, descriptor, 1)
    refuses("ENOTDIR", os.open, put("f"), os.O_DIRECTORY)


def check_o_creat() -> None:
    """Makes what is missing, and opens what is there as it is."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        same(os.read(descriptor, 1), b"")
        os.write(descriptor, b"one")
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        same(os.read(descriptor, 9), b"one")


def check_o_excl() -> None:
    """Refuses what is there, a directory too."""
    with opened("f", _NEW | os.O_EXCL):
        refuses("EEXIST", os.open, "f", _NEW | os.O_EXCL)
    os.mkdir("d")
    refuses("EEXIST", os.open, "d", _NEW | os.O_EXCL)


def check_o_excl_has_one_winner() -> None:
    """Of several processes that make the same names at once."""
    names = [f"n{number}" for number in range(12)]

    def make() -> list[str]:
        return [name for name in names if outcome(_make_new, name) == "-"]

    children = [Child(make) for _ in range(4)]
    won = [name for child in children for name in child.answer()]
    same(sorted(won), sorted(names))


def check_o_trunc() -> None:
    """Empties, also when it is opened for reading only, which Linux allows."""
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY):
        put("f", b"long content")
        with opened("f", flags | os.O_TRUNC) as descriptor:
            same(os.fstat(descriptor).st_size, 0)
        same(get("f"), b"")


def check_o_append() -> None:
    """Every write goes to the end, pwrite's too (Linux), wherever the offset was."""
    put("f", b"abc")
    with opened("f", os.O_RDWR | os.O_APPEND) as descriptor:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"d")
        os.pwrite(descriptor, b"e", 0)
        same(os.lseek(descriptor, 0, os.SEEK_CUR), 4)
    same(get("f"), b"abcde")


def check_the_access_mode_holds() -> None:
    """Nothing is read through what was opened for writing, nor written the other way round."""
    put("f")
    with opened("f", os.O_RDONLY) as descriptor:
        refuses("EBADF", os.write, descriptor, b"x")
        refuses("EINVAL", os.ftruncate, descriptor, 0)
    with opened("f", os.O_WRONLY) as descriptor:
        refuses("EBADF", os.read, descriptor, 1)
    same(get("f"), b"content")


def check_flags_that_change_nothing_here() -> None:
    """They are taken, and the content is what was written."""
    for flag in (os.O_SYNC, os.O_DSYNC, os.O_NONBLOCK, os.O_NOATIME, os.O_NOFOLLOW, os.O_CLOEXEC,
                 os.O_NOCTTY, getattr(os, "O_LARGEFILE", 0)):  # fmt: skip
        with opened("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC | flag) as descriptor:
            os.write(descriptor, b"x")
            same(os.pread(descriptor, 9, 0), b"x")
        same(get("f"), b"x")


def check_o_path() -> None:
    """A descriptor that stands for the name only."""
    put("f")
    with opened("f", os.O_PATH) as descriptor:
        refuses("EBADF", os.read, descriptor, 1)
        same(os.stat(f"/proc/self/fd/{descriptor}").st_size, 7)


def check_o_direct() -> None:
    """Reads and writes past the kernel's cache show the same."""
    put("f", b"x" * 4096)
    with opened("f", os.O_RDONLY | os.O_DIRECT) as descriptor:
        same(len(os.read(descriptor, 4096)), 4096)


def check_the_mode_is_always_the_same() -> None:
    """Whatever creation asks for and whatever the umask takes away."""
    before = os.umask(0o777)
    for name, mode in (("a", 0o666), ("b", 0), ("c", 0o4755)):
        os.close(os.open(name, _NEW, mode))
        os.mkdir(f"{name}-d", mode)
        same(os.stat(name).st_mode, 0o100600)
        same(os.stat(f"{name}-d").st_mode, 0o040700)
    os.umask(before)


def check_nothing_is_executed() -> None:
    """The mount is `noexec`, and no file is executable."""
    put("f", b"#!/bin/sh\n")
    refuses("EACCES", os.execv, "f", ["f"])


def check_relative_to_a_directory() -> None:
    """openat(2) and its relatives go on after the directory was renamed."""
    os.mkdir("d")
    with opened("d", os.O_RDONLY) as directory:
        os.rename("d", "e")
        os.close(os.open("f", _NEW, dir_fd=directory))
        os.mkdir("sub", dir_fd=directory)
        same(sorted(os.listdir(directory)), ["f", "sub"])
        os.rename("f", "g", src_dir_fd=directory, dst_dir_fd=directory)
        os.unlink("g", dir_fd=directory)
    same(os.listdir("e"), ["sub"])


def check_many_descriptors() -> None:
    """Of one file at a time: they share its content and not their offsets."""
    put("f", b"0123456789")
    descriptors = [os.open("f", os.O_RDWR) for _ in range(50)]
    for number, descriptor in enumerate(descriptors):
        same(os.read(descriptor, number % 10), b"0123456789"[: number % 10])
    os.pwrite(descriptors[0], b"X", 0)
    true("all see it", holds=all(os.pread(each, 1, 0) == b"X" for each in descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    same(get("f"), b"X123456789")


def check_a_duplicate_closes_without_harm() -> None:
    """dup(2) and fork(2) share offset and content; each close is a flush."""
    with opened("f", os.O_RDWR | os.O_CREAT) as descriptor:
        os.write(descriptor, b"one")
        os.close(os.dup(descriptor))
        same(Child(lambda: os.write(descriptor, b"two")).answer(), 3)
        os.write(descriptor, b"three")
    same(get("f"), b"onetwothree")


def check_where_nothing_is_made() -> None:
    """At the top nothing, and under `from/` nothing either."""
    mount = Path(os.environ["MOUNT"])
    refuses("EPERM", os.open, mount / "f", _NEW)
    refuses("EACCES", os.open, mount / "from" / "f", _NEW)
    refuses("EACCES", os.mkdir, mount / "from" / "d")
    refuses("EACCES", os.open, mount / ".status", os.O_WRONLY)
