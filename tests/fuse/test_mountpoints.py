"""Directories that are to be mounted on."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from smfs.errors import MountError
from smfs.fuse import mountpoints
from smfs.fuse.mountinfo import mount_at
from smfs.fuse.mountpoints import claimed_mountpoint, unmount


def prepared(path: Path) -> Path:
    """The directory, made ready and claimed no more."""
    with claimed_mountpoint(path) as mountpoint:
        return mountpoint


def test_a_missing_directory_is_made_for_the_user_alone(tmp_path: Path) -> None:
    """Whoever mounts on a new path needs no mkdir."""
    made = prepared(tmp_path / "secrets")

    assert made == tmp_path / "secrets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_an_empty_directory_is_taken_as_it_is(tmp_path: Path) -> None:
    """What is there keeps its mode."""
    (tmp_path / "secrets").mkdir(mode=0o755)

    prepared(tmp_path / "secrets")

    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o755


def test_a_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    """The kernel lists a mount under its true path."""
    (tmp_path / "true").mkdir()
    (tmp_path / "link").symlink_to("true")

    assert prepared(tmp_path / "link") == tmp_path / "true"


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    """A mount would hide what is there."""
    (tmp_path / "file").touch()

    with pytest.raises(MountError, match="is not empty: choose an empty directory"):
        prepared(tmp_path)


def test_a_file_is_refused(tmp_path: Path) -> None:
    """Only directories can be mounted on."""
    (tmp_path / "file").touch()

    with pytest.raises(MountError, match="is no directory: choose another place"):
        prepared(tmp_path / "file")


def test_a_path_without_a_parent_is_refused(tmp_path: Path) -> None:
    """A mistyped path shall make no chain of directories."""
    with pytest.raises(MountError, match="is no directory: make it first"):
        prepared(tmp_path / "missing" / "secrets")


def test_a_missing_fusermount_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the package."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MountError, match=r"fusermount3 is missing: .*apt-get install fuse3"):
        prepared(tmp_path / "secrets")


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_missing_device_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The line names the kernel's module."""
    device = tmp_path / "fuse"
    if kind == "a file":
        device.touch()
    monkeypatch.setattr(mountpoints, "_DEVICE", device)

    with pytest.raises(MountError, match=r"fuse is missing: .*modprobe fuse"):
        prepared(tmp_path / "secrets")


def test_what_is_no_mount_of_ours_is_not_unmounted(tmp_path: Path) -> None:
    """Neither a plain directory nor another filesystem."""
    with pytest.raises(MountError, match="is no mount of smfs"):
        unmount(tmp_path)
    with pytest.raises(MountError, match="is no mount of smfs"):
        unmount(Path("/proc"))


def test_the_kernel_tells_what_is_mounted() -> None:
    """The device is that of the files below."""
    found = mount_at(Path("/proc"))

    assert found is not None
    assert found.kind == "proc"
    assert found.device == Path("/proc").stat().st_dev
    assert mount_at(Path("/proc/self")) is None


def _is_locked(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_a_claim_keeps_others_off_while_it_lasts(tmp_path: Path) -> None:
    """And leaves nothing open that would keep the filesystem below busy."""
    before = set(Path("/proc/self/fd").iterdir())

    with claimed_mountpoint(tmp_path / "secrets") as mountpoint:
        assert _is_locked(mountpoint)

    assert not _is_locked(mountpoint)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_directory_that_others_keep_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits, but not for ever."""
    monkeypatch.setattr(mountpoints, "_LOCK_TIME", 0.0)

    with (
        claimed_mountpoint(tmp_path),
        pytest.raises(MountError, match="is locked by another program"),
    ):
        prepared(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_locks_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some network filesystems have none."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert prepared(tmp_path) == tmp_path
