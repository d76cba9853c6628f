"""What programs are told when something cannot be done (the design, section 2.4)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.mount.homes import Home


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("cat missing", "No such file or directory"),
        ("cat $'not\\xff UTF-8'", "Invalid or incomplete multibyte or wide character"),
        (f"echo x >{'n' * 256}", "File name too long"),
        ("echo x >%x", "Invalid argument"),
        ("cat %x", "No such file or directory"),
        ("mkdir d; cat d", "Is a directory"),
        ("echo x >f; cat f/g", "Not a directory"),
        ("echo x >f; mkdir f", "File exists"),
        ("mkdir d; echo x >d/f; rmdir d", "Directory not empty"),
        ("echo x >f; ln f g", "Operation not permitted"),
        ("ln -s a b", "Operation not permitted"),
        ("mkfifo p", "Operation not permitted"),
        ("echo x >f; setfattr -n user.mine -v x f", "Operation not supported"),
        ("echo x >f; getfattr -n user.smfs.nothing f", "No such attribute"),
        ("mkdir d; mv d d/e", "Invalid argument|subdirectory of itself"),
        ("cp /bin/true f; ./f", "Permission denied"),
    ],
)
def test_a_program_is_told(home: Home, mounted: Path, script: str, message: str) -> None:
    """By its exit code and by the message that fits."""
    outcome = home.bash(script, cwd=home.make_in(mounted / "own"))

    assert outcome.code != 0
    assert re.search(message, outcome.err), outcome


def test_what_smfs_keeps_for_itself_is_neither_seen_nor_made(home: Home, mounted: Path) -> None:
    """`.smfs` in `own/`."""
    made = home.bash("echo x >.smfs", cwd=mounted / "own")
    assert (made.code, "Operation not permitted" in made.err) == (1, True)
    made = home.bash("mkdir .smfs", cwd=mounted / "own")
    assert (made.code, "Operation not permitted" in made.err) == (1, True)
    assert home.run("ls", mounted / "own" / ".smfs").code == 2


def test_the_top_of_the_mount_is_fixed(home: Home, mounted: Path) -> None:
    """Nothing is made, removed or renamed right under it."""
    for script in ("echo x >x", "mkdir x", "rmdir own", "mv own x", "rm .status"):
        assert home.bash(script, cwd=mounted).code == 1, script
    listed = home.do("ls", "-A", mounted).split()
    assert sorted(listed) == [b".accept", b".names", b".status", b"from", b"own", b"shared"]


def test_too_large_is_told_and_the_old_content_stays(
    home: Home, folder: Path, stored: Callable[[Path], bytes]
) -> None:
    """At the write, and at `truncate`."""
    home.bash("echo old >f", cwd=folder)

    copied = home.bash("head -c 3000000 /dev/zero | cat >g", cwd=folder)
    cut = home.run("truncate", "-s", "3000000", "f", cwd=folder)

    assert (copied.code, "File too large" in copied.err) == (1, True)
    assert (cut.code, "File too large" in cut.err) == (1, True)
    assert stored(folder / "f") == b"old\n"


def test_the_largest_content_is_taken(
    home: Home, folder: Path, stored: Callable[[Path], bytes]
) -> None:
    """1 MiB."""
    content = os.urandom(1 << 20)

    home.do("dd", f"of={folder}/f", "bs=64k", "iflag=fullblock", stdin=content)

    assert stored(folder / "f") == content


def test_a_truncated_file_is_stored_at_once(
    home: Home, folder: Path, stored: Callable[[Path], bytes]
) -> None:
    """`truncate` of a path, shorter and longer."""
    home.bash("echo 123456 >f", cwd=folder)

    home.do("truncate", "-s", "3", "f", cwd=folder)
    assert stored(folder / "f") == b"123"
    home.do("truncate", "-s", "5", "f", cwd=folder)
    assert stored(folder / "f") == b"123\0\0"


class _Service:
    """A service that can go away and come back at the same address."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._database = home.make("restarted") / "service.db"
        self._process: subprocess.Popen[bytes] | None = None
        self.address = self.start("127.0.0.1:0")

    def start(self, listen: str) -> str:
        """Starts it; returns its address once it listens."""
        self._process = self._home.start("serve", "--listen", listen, "--db", self._database)
        assert self._process.stdout is not None
        listening = self._process.stdout.readline().decode()
        found = re.search(r"http://([0-9.:]+)", listening)
        assert found is not None, listening
        return found[0]

    def stop(self) -> None:
        """Ends it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def come_back(self) -> None:
        """Starts it once more where it was."""
        self.start(self.address.removeprefix("http://"))


@pytest.fixture
def restarted(home: Home) -> Iterator[_Service]:
    """A service of the test's own."""
    service = _Service(home)
    yield service
    service.stop()


def test_a_service_that_is_away_is_told_at_once(home: Home, restarted: _Service) -> None:
    """By writing, within the deadline; what is known is read; the root answers all the time."""
    directory = home.mount("--service", restarted.address, profile="away")
    own = directory / "own"
    home.bash("echo before >f", cwd=own)
    restarted.stop()
    home.do("bash", "-c", "until grep -q unreachable .status; do sleep 0.01; done", cwd=directory)

    for script in ("echo x >new", "echo x >f", "echo x >>f", "rm f", "mv f g"):
        outcome = home.bash(script, cwd=own)
        assert outcome.code == 1, script
        assert re.search("No route to host|timed out", outcome.err), outcome
    assert home.run("ls", directory).code == 0
    assert home.do("cat", own / "f") == b"before\n"
    assert home.do("ls", own) == b"f\n"
    assert home.status(directory)["connection"] == "unreachable"
    assert home.status(directory)["source"] == "cache"

    restarted.come_back()
    assert home.do("cat", own / "f") == b"before\n"
    assert home.bash("echo after >f; echo x >new", cwd=own).code == 0
    assert home.do("cat", own / "f") == b"after\n"
    assert home.status(directory)["failures"] == []
    home.unmount(directory)


def test_an_unmount_waits_for_what_is_unsent(home: Home, restarted: _Service) -> None:
    """What a program has closed without hearing of an error is not thrown away."""
    directory = home.mount("--service", restarted.address, profile="unsent")
    script = """
import os, sys
descriptor = os.open("f", os.O_WRONLY | os.O_CREAT, 0o600)
print("created", flush=True)
sys.stdin.readline()
os.close(descriptor)
print("closed", flush=True)
"""
    with home.talk("python3", "-c", script, cwd=directory / "own") as say:
        assert say(b"") == b"created\n"
        restarted.stop()
        assert say(b"\n") == b"closed\n"
    outcome = home.smfs("umount", directory)
    assert outcome.code == 1
    assert "own/f" in outcome.err

    restarted.come_back()
    home.unmount(directory)
    assert home.must("get", "--profile", "unsent", "f") == b""


def test_a_failed_close_is_told(home: Home, restarted: _Service) -> None:
    """Opened while the service was there, closed when it was away; the next flush tries again."""
    directory = home.mount("--service", restarted.address, profile="close")
    script = """
import os, sys
descriptor = os.open("f", os.O_WRONLY | os.O_CREAT, 0o600)
os.write(descriptor, b"content")
print("written", flush=True)
sys.stdin.readline()
try:
    os.fsync(descriptor)
except OSError as error:
    print("failed", flush=True)
sys.stdin.readline()
os.fsync(descriptor)
os.close(descriptor)
print("closed", flush=True)
"""
    with home.talk("python3", "-c", script, cwd=directory / "own") as say:
        assert say(b"") == b"written\n"
        restarted.stop()
        assert say(b"\n") == b"failed\n"
        assert [failure["path"] for failure in home.status(directory)["failures"]] == ["own/f"]
        restarted.come_back()
        assert say(b"\n") == b"closed\n"
    assert home.status(directory)["failures"] == []
    assert home.do("cat", directory / "own" / "f") == b"content"
    home.unmount(directory)
