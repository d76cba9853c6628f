"""mmap(2)."""

from __future__ import annotations

import mmap
import os

from tests.mount.posix.harness import Child, get, opened, put, refuses, same


def check_a_shared_map_is_read() -> None:
    """It shows the content, and what is written to the file meanwhile."""
    put("f", b"hello")
    with (
        opened("f", os.O_RDWR) as descriptor,
        mmap.mmap(descriptor, 5, mmap.MAP_SHARED, mmap.PROT_READ) as mapped,
    ):
        same(mapped[:], b"hello")
        os.pwrite(descriptor, b"j", 0)
        same(mapped[:], b"jello")
        same(Child(lambda: str(mapped[:])).answer(), "b'jello'")


def check_a_private_map_stays_private() -> None:
    """What is written into it reaches no file."""
    put("f", b"hello")
    access = mmap.PROT_READ | mmap.PROT_WRITE
    with (
        opened("f", os.O_RDONLY) as descriptor,
        mmap.mmap(descriptor, 5, mmap.MAP_PRIVATE, access) as mapped,
    ):
        mapped[0:1] = b"j"
        same(mapped[:], b"jello")
    same(get("f"), b"hello")


def check_a_shared_map_is_written() -> None:
    """msync(2) brings it to the file, the close of the file to the service."""
    put("f", b"x" * 10_000)
    with opened("f", os.O_RDWR) as descriptor, mmap.mmap(descriptor, 10_000) as mapped:
        mapped[0:1] = b"A"
        mapped[9_999:10_000] = b"Z"
        mapped.flush()
        same(os.pread(descriptor, 1, 9_999), b"Z")
    same(get("f"), b"A" + b"x" * 9_998 + b"Z")
    same(os.getxattr("f", "user.smfs.state"), b"clean")


def check_a_map_without_msync() -> None:
    """Unmapping or closing is enough."""
    put("f", b"hello")
    with opened("f", os.O_RDWR) as descriptor:
        mapped = mmap.mmap(descriptor, 5)
        mapped[0:1] = b"j"
    same(get("f"), b"jello")
    mapped[4:5] = b"y"
    mapped.close()
    same(get("f"), b"jelly")


def check_a_map_outlives_its_name() -> None:
    """Unlinked or renamed over."""
    put("f", b"hello")
    with opened("f", os.O_RDWR) as descriptor:
        mapped = mmap.mmap(descriptor, 5)
    os.unlink("f")
    mapped[0:1] = b"j"
    same(mapped[:], b"jello")
    mapped.close()
    same(os.listdir("."), [])


def check_a_map_needs_the_access() -> None:
    """No writable shared map of what is open for reading, none of what is open for writing."""
    put("f", b"hello")
    with opened("f", os.O_RDONLY) as descriptor:
        refuses("EACCES", mmap.mmap, descriptor, 5, mmap.MAP_SHARED, mmap.PROT_WRITE)
    with opened("f", os.O_WRONLY) as descriptor:
        refuses("EACCES", mmap.mmap, descriptor, 5, mmap.MAP_SHARED, mmap.PROT_READ)


def check_two_processes_share_a_map() -> None:
    """What one writes, the other reads."""
    put("f", b"hello")
    with opened("f", os.O_RDWR) as descriptor, mmap.mmap(descriptor, 5) as mapped:

        def write() -> str:
            with opened("f", os.O_RDWR) as mine, mmap.mmap(mine, 5) as other:
                other[0:1] = b"j"
                other.flush()
            return "done"

        same(Child(write).answer(), "done")
        same(mapped[:], b"jello")
    same(get("f"), b"jello")
