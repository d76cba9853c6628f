"""What the kernel keeps of a mount, and how it is made to drop it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.mount.followed import Followed
    from tests.mount.homes import Home

_MAP = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    flags = mmap.MAP_SHARED if sys.argv[2] == "shared" else mmap.MAP_PRIVATE
    with mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ) as mapped:
        print(mapped[:6].decode())
"""


def _pages(home: Home, file: Path) -> int:
    """How many pages of a file are in the kernel's cache."""
    return int(home.do("fincore", "--noheadings", "--output", "PAGES", file))


def _read(home: Home, file: Path) -> None:
    """The second time, the kernel keeps the pages that it has."""
    home.do("cat", file)
    home.do("cat", file)


def test_lock_drops_pages_and_names(home: Home, followed: Followed) -> None:
    """Once the command has returned; the mount goes on."""
    followed.order("keep")
    home.must("set", "locked", stdin=b"secret")
    file = followed.directory / "own" / "locked"
    _read(home, file)
    assert _pages(home, file) == 1

    home.must("lock", followed.directory)

    assert _pages(home, file) == 0
    assert home.do("cat", file) == b"secret"


def test_lock_leaves_working_directories_alone(home: Home, followed: Followed) -> None:
    """A program in the mount still knows where it is."""
    followed.order("keep")
    own = followed.directory / "own"
    with home.talk("bash", "-c", "echo; read _; /bin/pwd", cwd=own) as say:
        say(b"")
        home.must("lock", followed.directory)
        assert say(b"\n") == f"{own}\n".encode()


def test_lock_of_what_is_no_mount_is_told(home: Home) -> None:
    """In one line."""
    outcome = home.smfs("lock", home.make("plain"))

    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1


def test_without_a_kernel_cache_nothing_is_kept(home: Home) -> None:
    """No page after reading, writing and mapping; a shared map is refused."""
    directory = home.mount("--no-kernel-cache")
    file = directory / "own" / "uncached"
    home.bash("echo secret >uncached", cwd=file.parent)
    _read(home, file)
    assert _pages(home, file) == 0

    assert home.do("python3", "-c", _MAP, file, "private") == b"secret\n"
    assert b"No such device" in home.run("python3", "-c", _MAP, file, "shared").err.encode()

    home.must("lock", directory)
    assert _pages(home, file) == 0
    home.unmount(directory)


def test_the_environment_and_the_configuration_say_it_too(home: Home) -> None:
    """As for every setting."""
    directory = home.make("mount")
    outcome = home.smfs("mount", directory, SMFS_KERNEL_CACHE="0")
    home.adopt(directory)
    assert outcome.code == 0
    home.bash("echo secret >own/unkept", cwd=directory)
    _read(home, directory / "own" / "unkept")

    assert _pages(home, directory / "own" / "unkept") == 0
