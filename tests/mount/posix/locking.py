"""flock(2), fcntl(2) and open file description locks, between processes of one mount."""

from __future__ import annotations

import fcntl
import os
import struct

from tests.mount.posix.harness import Child, opened, outcome, put, refuses, same

_F_OFD_SETLK = 37
_NB = fcntl.LOCK_NB


def _try(function: str, kind: int, length: int = 0, start: int = 0) -> str:
    """What another process is told that wants a lock of the file `f`, without waiting."""

    def attempt() -> str:
        with opened("f", os.O_RDWR) as descriptor:
            if function == "flock":
                return outcome(fcntl.flock, descriptor, kind | _NB)
            if function == "lockf":
                return outcome(fcntl.lockf, descriptor, kind | _NB, length, start)
            return outcome(_ofd, descriptor, kind)

    answer: str = Child(attempt).answer()
    return answer


def _ofd(descriptor: int, kind: int) -> None:
    types = {
        fcntl.LOCK_SH: fcntl.F_RDLCK,
        fcntl.LOCK_EX: fcntl.F_WRLCK,
        fcntl.LOCK_UN: fcntl.F_UNLCK,
    }
    fcntl.fcntl(descriptor, _F_OFD_SETLK, struct.pack("hhqqi4x", types[kind], 0, 0, 0, 0))


def check_flock() -> None:
    """One writer or many readers; gone with the descriptor."""
    put("f")
    with opened("f", os.O_RDWR) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        same(_try("flock", fcntl.LOCK_EX), "EAGAIN")
        same(_try("flock", fcntl.LOCK_SH), "EAGAIN")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        same(_try("flock", fcntl.LOCK_SH), "-")
        same(_try("flock", fcntl.LOCK_EX), "EAGAIN")
    same(_try("flock", fcntl.LOCK_EX), "-")


def check_flock_within_a_process() -> None:
    """Two opens of a file are two owners, a duplicate is none."""
    put("f")
    with opened("f", os.O_RDWR) as one, opened("f", os.O_RDWR) as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        refuses("EAGAIN", fcntl.flock, other, fcntl.LOCK_EX | _NB)
        duplicate = os.dup(one)
        fcntl.flock(duplicate, fcntl.LOCK_EX | _NB)
        os.close(duplicate)
        refuses("EAGAIN", fcntl.flock, other, fcntl.LOCK_EX | _NB)


def check_fcntl_locks() -> None:
    """Ranges of bytes; who holds one is told."""
    put("f", b"0123456789")
    with opened("f", os.O_RDWR) as descriptor:
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 5, 0)
        same(_try("lockf", fcntl.LOCK_EX, 5, 0), "EAGAIN")
        same(_try("lockf", fcntl.LOCK_SH, 1, 4), "EAGAIN")
        same(_try("lockf", fcntl.LOCK_EX, 5, 5), "-")

        def holder() -> int:
            with opened("f", os.O_RDWR) as mine:
                asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
                told = fcntl.fcntl(mine, fcntl.F_GETLK, asked)
            held: int = struct.unpack("hhqqi4x", told)[4]
            return held

        same(Child(holder).answer(), os.getpid())
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 5, 0)
        same(_try("lockf", fcntl.LOCK_EX), "-")


def check_fcntl_locks_go_with_any_descriptor() -> None:
    """Closing another descriptor of the file drops them, as POSIX wants it."""
    put("f")
    with opened("f", os.O_RDWR) as descriptor:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        same(_try("lockf", fcntl.LOCK_EX), "EAGAIN")
        os.close(os.open("f", os.O_RDONLY))
        same(_try("lockf", fcntl.LOCK_EX), "-")


def check_ofd_locks() -> None:
    """They belong to the open file, and stay when another descriptor is closed."""
    put("f")
    with opened("f", os.O_RDWR) as descriptor:
        _ofd(descriptor, fcntl.LOCK_EX)
        os.close(os.open("f", os.O_RDONLY))
        same(_try("ofd", fcntl.LOCK_EX), "EAGAIN")
        same(_try("ofd", fcntl.LOCK_SH), "EAGAIN")
        _ofd(descriptor, fcntl.LOCK_SH)
        same(_try("ofd", fcntl.LOCK_SH), "-")
    same(_try("ofd", fcntl.LOCK_EX), "-")


def check_who_waits_gets_the_lock() -> None:
    """Once it is let go; and a process that ends lets go of its locks."""
    put("f")
    gate, waits = os.pipe(), os.pipe()

    def wait() -> str:
        os.read(gate[0], 1)
        with opened("f", os.O_RDWR) as descriptor:
            os.write(waits[1], b"x")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            return os.pread(descriptor, 9, 0).decode()

    child = Child(wait)  # before the file is opened: a lock of flock(2) is inherited
    with opened("f", os.O_RDWR) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        os.write(gate[1], b"x")
        os.read(waits[0], 1)
        os.pwrite(descriptor, b"written", 0)
    same(child.answer(), "written")
    with opened("f", os.O_RDWR) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX | _NB)
    for each in (*gate, *waits):
        os.close(each)


def check_a_counter_under_a_lock() -> None:
    """Several processes read, add one, and write; none is lost."""
    put("f", b"0")

    def add() -> int:
        for _ in range(10):
            with opened("f", os.O_RDWR) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                number = int(os.pread(descriptor, 9, 0)) + 1
                os.pwrite(descriptor, b"%d" % number, 0)
        return 10

    same([child.answer() for child in [Child(add) for _ in range(3)]], [10, 10, 10])
    with opened("f", os.O_RDONLY) as descriptor:
        same(os.read(descriptor, 9), b"30")
