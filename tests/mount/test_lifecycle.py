"""Mounting, unmounting, and what is left when a mount dies."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smfs.fuse.mountinfo import mount_at

if TYPE_CHECKING:
    from tests.mount.homes import Home

PATIENCE = 60.0


@contextmanager
def _ends(process: int) -> Iterator[None]:
    """The process with this id has ended afterwards."""
    watched = os.pidfd_open(process)
    try:
        yield
        ready, _, _ = select.select([watched], [], [], PATIENCE)
        assert ready, f"process {process} goes on"
    finally:
        os.close(watched)


def _process_of(home: Home, directory: Path) -> int:
    return int(home.status(directory)["pid"])


def test_the_mount_is_listed_and_closed_to_others(home: Home, mounted: Path) -> None:
    """Whose it is, and with which options."""
    found = mount_at(mounted)

    assert found is not None
    assert found.kind == "fuse.smfs"
    shown = home.do("stat", "-c", "%u %a", mounted, mounted / "own", mounted / "from")
    uid = home.account.uid
    assert shown.decode().splitlines() == [f"{uid} 700", f"{uid} 700", f"{uid} 500"]
    options = home.do("findmnt", "-n", "-o", "OPTIONS", mounted).decode().strip().split(",")
    assert {"nosuid", "nodev", "noexec"} <= set(options)
    assert not {"allow_other", "default_permissions"} & set(options)


if os.geteuid() == 0:  # nobody else could try

    def test_nobody_else_gets_in(home: Home, mounted: Path) -> None:
        """Neither root into an ordinary user's mount, nor a stranger into root's."""
        stranger = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]
        command = stranger if home.account.uid == 0 else []

        other = subprocess.run(
            [*command, "cat", mounted / ".status"], capture_output=True, check=False
        )

        assert other.returncode == 1
        assert b"Permission denied" in other.stderr


def test_umount_ends_the_process(home: Home) -> None:
    """Once `smfs umount` has returned, the directory is plain again, and soon nobody is left."""
    directory = home.mount()

    with _ends(_process_of(home, directory)):
        home.must("umount", directory)

    assert mount_at(directory) is None
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts(home: Home, number: signal.Signals) -> None:
    """Cleanly: nothing stays mounted, and what was written is there afterwards."""
    directory = home.mount()
    home.bash(f"echo {number.name} >own/by-{number.name}", cwd=directory)
    process = _process_of(home, directory)

    with _ends(process):
        os.kill(process, number)

    assert mount_at(directory) is None
    assert home.must("get", f"by-{number.name}") == f"{number.name}\n".encode()


def test_a_file_that_is_open_can_be_closed_after_the_signal(home: Home) -> None:
    """The mount is gone for new programs, yet who has begun a write gets it through."""
    directory = home.mount()
    process = _process_of(home, directory)
    script = "exec 3>own/late; echo ready; read _; echo content >&3 && exec 3>&- && echo done"
    with home.talk("bash", "-c", script, cwd=directory) as say, _ends(process):
        assert say(b"") == b"ready\n"
        os.kill(process, signal.SIGTERM)
        _wait_until_gone(directory)
        assert say(b"\n") == b"done\n"

    assert home.must("get", "late") == b"content\n"


def _wait_until_gone(directory: Path) -> None:
    """The kernel tells by POLLPRI that the table of mounts has changed."""
    with Path("/proc/self/mountinfo").open() as table:
        changes = select.poll()
        changes.register(table, select.POLLPRI)
        while mount_at(directory) is not None:
            assert changes.poll(PATIENCE * 1000)


def test_a_mount_in_use_is_not_unmounted(home: Home) -> None:
    """`smfs umount` says so in one line and leaves it working."""
    directory = home.mount()
    home.bash("echo x >own/in-use", cwd=directory)
    user = subprocess.Popen(
        home.command("sleep", "600", cwd=directory / "own"), env=home.environment
    )
    try:
        outcome = home.smfs("umount", directory)
    finally:
        user.kill()
        user.wait()

    told = (
        f"smfs: {directory} is busy: programs still use it; "
        f"`smfs umount --lazy {directory}` takes it away all the same\n"
    )
    assert (outcome.code, outcome.err) == (1, told)
    assert home.do("cat", directory / "own" / "in-use") == b"x\n"
    home.unmount(directory)


def test_after_a_crash_the_same_command_mounts_again(home: Home) -> None:
    """What the dead mount left is detected and mounted over; nothing written is lost."""
    directory = home.mount()
    home.bash("echo before >own/crash", cwd=directory)
    process = _process_of(home, directory)
    with _ends(process):
        os.kill(process, signal.SIGKILL)
    assert b"not connected" in home.run("ls", directory).err.encode()

    home.must("mount", directory)

    assert home.do("cat", directory / "own" / "crash") == b"before\n"
    home.unmount(directory)


def test_a_second_mount_at_one_place_is_refused(home: Home, mounted: Path) -> None:
    """In one line, and the first goes on."""
    outcome = home.smfs("mount", mounted)

    assert outcome.code == 1
    assert "mounted already" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert home.run("ls", mounted).code == 0


def _mount_at_once(home: Home, directory: Path) -> None:
    """Two try to mount at one place; one does, and the other is told that it has."""
    both = [home.start("mount", directory) for _ in range(2)]
    home.adopt(directory)
    told = {each.communicate(timeout=PATIENCE)[1].decode(): each.returncode for each in both}

    refused = f"smfs: {directory} is mounted already; `smfs umount {directory}` unmounts it\n"
    assert told == {"": 0, refused: 1}


def _mounts_at(directory: Path) -> int:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sum(line.split()[4] == str(directory) for line in lines)


def test_of_two_that_mount_at_once_one_does(home: Home) -> None:
    """Also where the directory has to be made; one unmount is enough afterwards."""
    home.smfs("init")
    for number in range(3):
        directory = home.make("parent") / f"secrets-{number}"

        _mount_at_once(home, directory)

        assert _mounts_at(directory) == 1
        assert home.run("ls", directory / "own").code == 0
        home.unmount(directory)
        assert mount_at(directory) is None


def test_of_two_that_mount_at_once_after_a_crash_one_does(home: Home) -> None:
    """Neither takes the new mount for what was left of the old one."""
    directory = home.mount()
    for _ in range(3):
        process = _process_of(home, directory)
        with _ends(process):
            os.kill(process, signal.SIGKILL)

        _mount_at_once(home, directory)

        assert _mounts_at(directory) == 1
        assert home.run("ls", directory / "own").code == 0
    home.unmount(directory)


def test_a_directory_that_holds_something_is_refused(home: Home) -> None:
    """In one line that says what to do."""
    directory = home.make("full")
    home.do("touch", directory / "file")

    outcome = home.smfs("mount", directory)

    assert outcome.code == 1
    assert "is not empty: choose an empty directory" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_missing_fusermount_is_told(home: Home) -> None:
    """In one line that names the package."""
    nothing = home.make("path")
    directory = home.make("mount")

    outcome = home.smfs("mount", directory, PATH=str(nothing))

    assert outcome.code == 1
    assert "apt-get install fuse3" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_missing_directory_is_made(home: Home) -> None:
    """For its owner alone."""
    directory = home.make("parent") / "secrets"

    home.must("mount", directory)

    home.adopt(directory)
    home.unmount(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_the_foreground_mount_serves_until_it_is_ended(home: Home) -> None:
    """`--foreground` returns only after the unmount, with 0."""
    directory = home.make("mount")
    process = home.start("mount", "--foreground", directory)
    with Path("/proc/self/mountinfo").open() as table:
        changes = select.poll()
        changes.register(table, select.POLLPRI)
        while mount_at(directory) is None:
            assert changes.poll(PATIENCE * 1000)
    assert b"own" in home.do("ls", directory).split()

    home.must("umount", directory)

    assert process.wait(PATIENCE) == 0
