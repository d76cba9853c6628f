"""`smfs mount` in the background and in the foreground, `umount`, and `status DIR`."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smfs.fuse.mountinfo import mount_at

if TYPE_CHECKING:
    from tests.cli.conftest import Program

Mount = Callable[..., Path]
PATIENCE = 60.0


@contextmanager
def _ends(process: int) -> Iterator[None]:
    watched = os.pidfd_open(process)
    try:
        yield
        ready, _, _ = select.select([watched], [], [], PATIENCE)
        assert ready, f"process {process} goes on"
    finally:
        os.close(watched)


def test_the_first_mount_makes_an_identity_and_says_so(program: Program) -> None:
    """The very first command of a new user; its output goes to standard error."""
    directory = program.home / "secrets"

    outcome = program("mount", directory)

    assert (outcome.code, outcome.out) == (0, b"")
    assert outcome.err.splitlines() == [
        "made the profile default",
        f"your node id is {program.must('id')}",
    ]
    assert json.loads((directory / ".status").read_text())["nodeId"] == program.must("id")
    program.must("umount", directory)
    assert mount_at(directory) is None


def test_it_can_be_used_once_the_command_returns(program: Program, mount: Mount) -> None:
    """And the command line sees what a program wrote, and the other way round."""
    directory = mount()

    (directory / "own" / "password").write_text("hunter2\n")

    assert program("get", "password").out == b"hunter2\n"
    program.must("set", "other", stdin=b"x")
    assert (directory / "own" / "other").read_bytes() == b"x"


def test_the_first_mount_can_name_the_service(program: Program, served: str, mount: Mount) -> None:
    """The new profile uses it from then on."""
    directory = mount("--service", served)
    (directory / "own" / "a").write_text("x")

    assert program.must("get", "a") == "x"
    assert json.loads(program.must("status", "--json"))["service"] == served


def test_a_mount_comes_up_while_the_service_is_away(program: Program, mount: Mount) -> None:
    """The root answers; what needs the service fails with an errno."""
    directory = mount("--service", "http://127.0.0.1:9")

    assert sorted(each.name for each in directory.iterdir()) == [
        ".accept", ".names", ".status", "from", "own", "shared",
    ]  # fmt: skip
    with pytest.raises(OSError, match="No route to host"):
        (directory / "own" / "a").write_text("x")


def test_umount_returns_when_the_process_has_ended(program: Program, mount: Mount) -> None:
    """Nothing of it goes on."""
    directory = mount()
    process = os.pidfd_open(json.loads((directory / ".status").read_text())["pid"])

    program.must("umount", directory)

    assert select.select([process], [], [], 0) == ([process], [], [])
    os.close(process)


def test_umount_of_what_is_no_mount_is_told(program: Program, tmp_path: Path) -> None:
    """In one line."""
    outcome = program("umount", tmp_path)

    assert outcome.code == 1
    assert outcome.err == f"smfs: {tmp_path} is no mount of smfs\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_foreground_mount_with_0(
    program: Program, number: signal.Signals
) -> None:
    """Nothing stays mounted, and nothing is said."""
    directory = program.home / "secrets"
    program.must("init")
    with program.running("mount", "--foreground", directory) as process:
        _wait_until_mounted(directory)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, b"", b"")

    assert mount_at(directory) is None


def test_a_mount_that_was_killed_is_mounted_over(program: Program, mount: Mount) -> None:
    """By the same command; what was written is there."""
    directory = mount()
    (directory / "own" / "a").write_text("x")
    process = json.loads((directory / ".status").read_text())["pid"]
    with _ends(process):
        os.kill(process, signal.SIGKILL)
    assert program("status", directory).code == 1

    program.must("mount", directory)

    assert (directory / "own" / "a").read_text() == "x"


def test_a_mount_that_was_killed_can_be_unmounted(program: Program, mount: Mount) -> None:
    """`smfs umount` clears it away."""
    directory = mount()
    process = json.loads((directory / ".status").read_text())["pid"]
    with _ends(process):
        os.kill(process, signal.SIGKILL)

    program.must("umount", directory)

    assert mount_at(directory) is None


def test_an_error_of_the_background_is_told_with_its_code(program: Program) -> None:
    """As if it had happened in the foreground: one line, and its own exit code."""
    program.must("init")
    (program.home / "full").mkdir()
    (program.home / "full" / "file").touch()

    background = program("mount", program.home / "full")
    foreground = program("mount", "--foreground", program.home / "full")

    assert (background.code, background.err) == (foreground.code, foreground.err)
    assert background.code == 1
    assert "is not empty" in background.err
    assert len(background.err.splitlines()) == 1


def test_wrong_configuration_of_the_background_is_2(program: Program) -> None:
    """A database that is none is named."""
    program.must("init")
    (program.home / "data/smfs/service.db").write_text("Dear Sir, " * 1000)

    outcome = program("mount", program.home / "secrets")

    assert outcome.code == 2
    assert "service.db" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_log_that_cannot_be_written_is_told_as_wrong_configuration(program: Program) -> None:
    """What cannot be written, and why, as for any other file."""
    program.must("init")
    (program.home / "state").touch()

    outcome = program("mount", program.home / "secrets")

    log = program.home / "state/smfs/default.log"
    assert (outcome.code, outcome.err) == (
        2,
        f"smfs: cannot write the log {log}: Not a directory\n",
    )


def test_one_identity_may_be_mounted_twice(mount: Mount) -> None:
    """What one mount wrote is in the other."""
    one, other = mount(), mount()

    (one / "own" / "a").write_text("x")

    _wait_until(other, (other / "own" / "a").exists)
    assert (other / "own" / "a").read_text() == "x"


def test_two_profiles_share_through_two_mounts(
    program: Program, two_profiles: tuple[str, str], mount: Mount
) -> None:
    """Over the embedded service, with nothing else running."""
    alice_id, bob_id = two_profiles
    alice, bob = mount("--profile", "alice"), mount("--profile", "bob")

    # It also sets the time, and so returns once he is accepted; to open and close it may be early.
    subprocess.run(["touch", bob / ".accept" / alice_id], check=True)
    (alice / "shared" / bob_id / "key").write_text("x")

    _wait_until(bob, (bob / "from" / alice_id / "key").exists)
    assert (bob / "from" / alice_id / "key").read_text() == "x"


def test_status_of_a_mount(program: Program, mount: Mount) -> None:
    """For people and as JSON."""
    directory = mount()

    shown = json.loads(program.must("status", "--json", directory))

    assert shown["nodeId"] == program.must("id")
    assert shown["failures"] == []
    assert f"pid: {shown['pid']}" in program.must("status", directory).splitlines()


def test_status_of_what_is_no_mount_is_told(program: Program, tmp_path: Path) -> None:
    """In one line."""
    outcome = program("status", tmp_path)

    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1


def test_status_tells_how_stale_a_mount_is(program: Program, tmp_path: Path) -> None:
    """Whatever `.status` holds is shown, what lies deeper with its way there."""
    cache = {"path": "/home/me/.cache/smfs/default.cache", "size": 4096, "entries": 3}
    status = {"source": "cache", "age": 61.5, "cache": cache, "service": None}
    (tmp_path / ".status").write_text(json.dumps(status))

    shown = program.must("status", tmp_path).splitlines()

    assert {"source: cache", "age: 61.5", "cache.entries: 3", "service: -"} <= set(shown)
    assert json.loads(program.must("status", "--json", tmp_path)) == status


def test_the_background_knows_the_options(mount: Mount) -> None:
    """Those about the cache too."""
    directory = mount("--no-cache", "--max-stale", "1h", "--allow-unsigned")

    process = json.loads((directory / ".status").read_text())["pid"]
    arguments = Path(f"/proc/{process}/cmdline").read_text().split("\0")
    assert {"--no-cache", "--max-stale=1h", "--allow-unsigned"} <= set(arguments)


def test_a_time_that_is_none_is_refused_before_anything_is_made(program: Program) -> None:
    """With the exit code of wrong usage."""
    outcome = program("mount", "--max-stale", "soon", program.home / "secrets")

    assert outcome.code == 2
    assert "'soon'" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert list(program.home.iterdir()) == []


def test_the_background_keeps_no_directory_in_use(program: Program, mount: Mount) -> None:
    """The place where it was started can be unmounted and removed."""
    process = json.loads((mount() / ".status").read_text())["pid"]

    assert Path(f"/proc/{process}/cwd").readlink() == Path("/")


def test_the_log_is_closed_to_others(program: Program, mount: Mount) -> None:
    """It is made with mode 0600 in a directory of mode 0700."""
    mount()

    log = program.home / "state/smfs/default.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def _wait_until(mount: Path, condition: Callable[[], bool]) -> None:
    """A mount tells by its `.status` that something has changed on the service."""
    with (mount / ".status").open("rb", buffering=0) as status:
        changes = select.poll()
        changes.register(status, select.POLLPRI)
        while True:
            os.pread(status.fileno(), 1, 0)
            if condition():
                return
            assert changes.poll(PATIENCE * 1000), "nothing has changed"


def _wait_until_mounted(directory: Path) -> None:
    """The kernel tells by POLLPRI that the table of mounts has changed."""
    end = time.monotonic() + PATIENCE
    with Path("/proc/self/mountinfo").open() as table:
        changes = select.poll()
        changes.register(table, select.POLLPRI)
        while mount_at(directory) is None:
            assert changes.poll(max(0.0, end - time.monotonic()) * 1000)
