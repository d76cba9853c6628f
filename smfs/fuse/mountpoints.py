"""Directories that are mounted on: making them ready, and unmounting."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from smfs.errors import MountError
from smfs.fuse.mountinfo import mount_at

KIND: Final = "fuse.smfs"
"""The type under which the kernel lists our mounts."""

_DEVICE: Final = Path("/dev/fuse")
_PROGRAM: Final = "fusermount3"
_LOCK_TIME: Final = 10.0  # seconds; whoever has the lock is about to mount
_PAUSE: Final = 0.05


@contextmanager
def claimed_mountpoint(path: Path) -> Iterator[Path]:
    """Makes a directory ready to be mounted on: it is there, ours, empty, and nothing is on it.

    A missing directory is made; what a mount left behind whose process died is unmounted. As long
    as the block lasts, which is to end when the mount is there, the directory is claimed: who else
    wants it waits, and then finds it mounted.

    Args:
        path: the directory, as it was named.

    Yields:
        the directory, absolute and without symbolic links.

    Raises:
        MountError: when it cannot be mounted on; one line that says what to do.
    """
    _check_programs()
    mountpoint = resolve(path)
    clear_stale(mountpoint)
    _refuse_mounted(path, mountpoint)
    with ExitStack() as claim:
        try:
            _make(mountpoint)
            is_ours = _lock(mountpoint, claim)
            _refuse_mounted(path, mountpoint)
            _check_directory(mountpoint)
        except OSError as error:
            raise MountError(f"{path} cannot be mounted on: {error.strerror}") from None
        if not is_ours:
            raise MountError(f"{path} is locked by another program: it may be mounting; try again")
        yield mountpoint


def resolve(path: Path) -> Path:
    """A path made absolute and free of symbolic links, even where a mount no longer answers."""
    return Path(os.path.realpath(path))


def clear_stale(mountpoint: Path) -> None:
    """Unmounts what is left of a mount whose process died; leaves everything else alone."""
    if not is_stale(mountpoint):
        return
    with ExitStack() as lock:
        # A dead mount cannot be opened, and so not be locked.
        _lock(mountpoint.parent, lock)
        if not is_stale(mountpoint):
            return  # somebody else has cleared it, and may have mounted there again
        mounted = mount_at(mountpoint)
        if mounted is None or mounted.kind != KIND:
            raise MountError(f"{mountpoint} is a dead mount of another program: unmount it first")
        unmount(mountpoint, lazy=True)


def is_stale(mountpoint: Path) -> bool:
    """Whether a path is a mount whose process died."""
    try:
        mountpoint.stat()
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def unmount(path: Path, *, lazy: bool = False) -> None:
    """Unmounts one of our mounts.

    Args:
        path: where it is.
        lazy: take it away at once, although programs still use it.

    Raises:
        MountError: when there is none, or it is in use; one line that says what to do.
    """
    mountpoint = resolve(path)
    mounted = mount_at(mountpoint)
    if mounted is None or mounted.kind != KIND:
        raise MountError(f"{path} is no mount of smfs")
    options = ["-u", "-z"] if lazy else ["-u"]
    finished = subprocess.run(  # noqa: S603 - the program is found in PATH, the path is one argument
        [_program(), *options, "--", str(mountpoint)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if finished.returncode != 0:
        said = finished.stderr.decode(errors="replace").strip().partition(": ")[2]
        if os.strerror(errno.EBUSY) in said:
            raise MountError(
                f"{path} is busy: programs still use it; `smfs umount --lazy {path}` takes it "
                "away all the same"
            )
        raise MountError(f"{path} cannot be unmounted: {said or 'fusermount3 failed'}")


def _refuse_mounted(path: Path, mountpoint: Path) -> None:
    mounted = mount_at(mountpoint)
    if mounted is not None and mounted.kind == KIND:
        raise MountError(f"{path} is mounted already; `smfs umount {path}` unmounts it")


def _lock(directory: Path, stack: ExitStack) -> bool:
    """Locks a directory against all others that do, until `stack` is closed.

    Returns:
        False when somebody else has kept it locked. True also where there are no such locks, as on
        some network filesystems: one goes on without.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        return _wait_for_lock(descriptor)
    except OSError:
        return True


def _wait_for_lock(descriptor: int) -> bool:
    end = time.monotonic() + _LOCK_TIME
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
        else:
            return True
        time.sleep(_PAUSE)


def _check_programs() -> None:
    _program()
    try:
        is_device = stat.S_ISCHR(_DEVICE.stat().st_mode)
    except OSError:
        is_device = False
    if not is_device:
        raise MountError(f"{_DEVICE} is missing: load it with `modprobe fuse` as root")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise MountError(f"{_DEVICE} is closed to you: open it with `chmod 666 {_DEVICE}` as root")


def _program() -> str:
    found = shutil.which(_PROGRAM)
    if found is None:
        raise MountError(f"{_PROGRAM} is missing: install it with `apt-get install fuse3` as root")
    return found


def _make(mountpoint: Path) -> None:
    if mountpoint.exists():
        return
    if not mountpoint.parent.is_dir():
        raise MountError(f"{mountpoint.parent} is no directory: make it first")
    mountpoint.mkdir(mode=0o700, exist_ok=True)  # somebody else may have been quicker


def _check_directory(mountpoint: Path) -> None:
    found = mountpoint.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise MountError(f"{mountpoint} is no directory: choose another place")
    user = os.geteuid()
    if user not in (0, found.st_uid):
        raise MountError(f"{mountpoint} is another user's: choose a directory of your own")
    if any(mountpoint.iterdir()):
        raise MountError(f"{mountpoint} is not empty: choose an empty directory")
