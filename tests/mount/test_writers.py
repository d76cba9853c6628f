"""Programs that write: each ends with 0, and what it wrote is on the service."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

Stored = Callable[[Path], bytes]
Elsewhere = Callable[[Path], Path]

_BACKUP: Final = "set backupskip= backup"
"""What has vim make backups of files below /tmp too, where the mounts of the tests are."""


def _sample(home: Home) -> Path:
    """A directory outside of the mount with a few files, in the modes that secrets have."""
    top = home.make("sample")
    script = """
        umask 077
        mkdir -p tree/deep/er tree/empty
        printf 'one\\n' >tree/a
        head -c 100000 /dev/urandom >tree/deep/random
        printf '' >tree/deep/er/nothing
        printf 'spaces and ünïcode' >"tree/deep/er/a name with ünïcode"
    """
    outcome = home.bash(script, cwd=top)
    assert outcome.code == 0, outcome
    return top / "tree"


def test_echo_makes_a_secret(home: Home, folder: Path, stored: Stored) -> None:
    """The first thing that anybody tries."""
    assert home.bash("echo hunter2 >password", cwd=folder).code == 0

    assert home.do("cat", folder / "password") == b"hunter2\n"
    assert stored(folder / "password") == b"hunter2\n"


def test_echo_replaces_a_secret(home: Home, folder: Path, stored: Stored) -> None:
    """A shorter content leaves nothing of the longer one."""
    home.bash("echo a long first content >f", cwd=folder)
    assert home.bash("echo short >f", cwd=folder).code == 0

    assert home.do("cat", folder / "f") == b"short\n"
    assert stored(folder / "f") == b"short\n"


def test_a_secret_can_be_empty(home: Home, folder: Path, stored: Stored) -> None:
    """`: > f` and `touch` make files of no bytes, which are secrets too."""
    assert home.bash(": >a; touch b", cwd=folder).code == 0

    assert stored(folder / "a") == b""
    assert stored(folder / "b") == b""


def test_appending(home: Home, folder: Path, stored: Stored) -> None:
    """`>>` begins at the end, for a new file and for one that is there."""
    for word in ("one", "two", "three"):
        assert home.bash(f"echo {word} >>f", cwd=folder).code == 0

    assert stored(folder / "f") == b"one\ntwo\nthree\n"


def test_two_appenders_at_once(home: Home, folder: Path, stored: Stored) -> None:
    """No line of either is lost or torn."""
    script = "for i in $(seq 30); do echo $NAME-$i >>f || exit; done"
    running = [
        subprocess.Popen(
            home.command("bash", "-c", script, cwd=folder),
            env=home.environment | {"NAME": name},
        )
        for name in ("first", "second")
    ]

    assert [process.wait(120) for process in running] == [0, 0]
    lines = stored(folder / "f").decode().splitlines()
    for name in ("first", "second"):
        of_one = [line for line in lines if line.startswith(name)]
        assert of_one == [f"{name}-{number}" for number in range(1, 31)]
    assert len(lines) == 60


def test_sed_in_place(home: Home, folder: Path, stored: Stored) -> None:
    """Its temporary file does not become a secret."""
    home.bash("printf 'user=me\\npassword=old\\n' >f", cwd=folder)

    home.do("sed", "-i", "s/old/new/", "f", cwd=folder)

    assert home.do("ls", "-A", folder) == b"f\n"
    assert stored(folder / "f") == b"user=me\npassword=new\n"


def test_vim_in_ex_mode(home: Home, folder: Path, stored: Stored) -> None:
    """With a swap file, and with the backup that it renames the old file to and keeps."""
    home.bash("echo old >f", cwd=folder)

    backup = f"{_BACKUP} backupcopy=no"
    home.do("vim", "-es", "-c", backup, "-c", "%s/old/new/", "-c", "wq", "f", cwd=folder)

    assert home.do("ls", "-A", folder) == b"f\nf~\n"
    assert stored(folder / "f") == b"new\n"


def test_vim_makes_a_file(home: Home, folder: Path, stored: Stored) -> None:
    """Without a file before, and with a backup that stays."""
    home.do("vim", "-es", "-c", _BACKUP, "-c", "normal ihello", "-c", "wq", "f", cwd=folder)
    home.do("vim", "-es", "-c", _BACKUP, "-c", "normal xihallo w", "-c", "wq", "f", cwd=folder)

    assert stored(folder / "f") == b"hallo wello\n"


def test_nano(home: Home, folder: Path, stored: Stored) -> None:
    """Typed, written with ^O, left with ^X."""
    keys = [(b"^X", b"secret\x0f"), (b"File Name to Write", b"\r"), (b"Wrote 1 line", b"\x18")]

    assert home.in_terminal("nano", "--ignorercfiles", folder / "f", keys=keys) == 0

    assert stored(folder / "f") == b"secret\n"


def test_cp(home: Home, folder: Path, elsewhere: Elsewhere) -> None:
    """`cp -a` of a whole tree, with times, modes and owners that it wants to keep."""
    source = _sample(home)

    home.do("cp", "-a", source, folder / "copy")

    home.do("diff", "-r", "-x", "empty", source, elsewhere(folder / "copy"))
    copied = _seconds(home, folder / "copy" / "a")
    assert copied == pytest.approx((source / "a").stat().st_mtime, abs=1e-5)


def test_cp_within_the_mount(home: Home, folder: Path, stored: Stored) -> None:
    """From one secret to another, and over one that is there."""
    home.bash("echo one >a; echo two >b", cwd=folder)

    home.do("cp", "a", "b", cwd=folder)
    home.do("cp", "a", "c", cwd=folder)

    assert stored(folder / "b") == stored(folder / "c") == b"one\n"


def test_mv(home: Home, folder: Path, stored: Stored) -> None:
    """A file to a new name, over another file, into a directory; a directory with all in it."""
    home.bash("echo a >a; echo b >b; echo c >c; mkdir d", cwd=folder)

    home.do("mv", "a", "renamed", cwd=folder)
    home.do("mv", "b", "c", cwd=folder)
    home.do("mv", "c", "d", cwd=folder)
    home.do("mv", "d", "moved", cwd=folder)

    files = home.do("find", ".", "-type", "f", cwd=folder).split()
    assert sorted(files) == [b"./moved/c", b"./renamed"]
    assert stored(folder / "renamed") == b"a\n"
    assert stored(folder / "moved" / "c") == b"b\n"


def test_mv_in_and_out(home: Home, folder: Path, stored: Stored) -> None:
    """Across filesystems `mv` copies and removes."""
    outside = home.make("outside")
    home.bash("umask 077; echo in >f", cwd=outside)

    home.do("mv", outside / "f", folder)
    assert stored(folder / "f") == b"in\n"
    home.do("mv", folder / "f", outside)

    assert home.do("cat", outside / "f") == b"in\n"
    assert home.do("ls", "-A", folder) == b""


def test_rm(home: Home, folder: Path, mounted: Path) -> None:
    """`rm -r` leaves nothing, on the service neither."""
    home.do("cp", "-r", _sample(home), folder / "tree")

    home.do("rm", "-r", folder / "tree")

    assert home.do("ls", "-A", folder) == b""
    listed = home.must("ls").decode().splitlines()
    assert not [line for line in listed if str(folder.relative_to(mounted / "own")) in line]


def test_tar(home: Home, folder: Path, elsewhere: Elsewhere) -> None:
    """`tar x` sets times, modes and owners after writing."""
    source = _sample(home)
    packed = home.do("tar", "c", "-C", source.parent, "tree")

    home.do("tar", "x", stdin=packed, cwd=folder)

    home.do("diff", "-r", "-x", "empty", source, elsewhere(folder / "tree"))
    unpacked = _seconds(home, folder / "tree" / "a")
    assert unpacked == int((source / "a").stat().st_mtime)  # tar keeps whole seconds


def test_install(home: Home, folder: Path, stored: Stored) -> None:
    """Twice: the second time it removes what is there."""
    source = _sample(home)

    home.do("install", "-m", "600", source / "a", folder / "installed")
    home.do("install", "-D", "-m", "640", source / "a", folder / "deep" / "installed")
    home.do("install", "-m", "600", "/etc/hostname", folder / "installed")

    assert stored(folder / "installed") == Path("/etc/hostname").read_bytes()
    assert stored(folder / "deep" / "installed") == b"one\n"


def test_git(home: Home, folder: Path, elsewhere: Elsewhere) -> None:
    """A repository made in the mount is whole in another one."""
    home.do("git", "init", "-q", "repository", cwd=folder)
    repository = folder / "repository"
    for number in (1, 2):
        home.bash(f"echo {number} >file", cwd=repository)
        home.do("git", "add", "file", cwd=repository)
        home.do("git", "commit", "-q", "-m", f"commit {number}", cwd=repository)

    assert home.do("git", "status", "--porcelain", cwd=repository) == b""
    seen = elsewhere(repository)
    home.do("git", "fsck", "--strict", "--no-dangling", cwd=seen)
    assert home.do("git", "log", "--format=%s", cwd=seen) == b"commit 2\ncommit 1\n"
    assert home.do("git", "show", "HEAD:file", cwd=seen) == b"2\n"


def test_rsync(home: Home, folder: Path, elsewhere: Elsewhere) -> None:
    """A second run finds nothing to do."""
    source = _sample(home)

    home.do("rsync", "-a", f"{source}/", folder / "tree")

    again = home.do("rsync", "-a", "--itemize-changes", f"{source}/", folder / "tree")
    assert b">f" not in again
    home.do("diff", "-r", "-x", "empty", source, elsewhere(folder / "tree"))
    names = home.do("find", folder, "-type", "f", "-name", ".*")
    assert names == b""


def test_a_temporary_file_that_replaces(home: Home, folder: Path, stored: Stored) -> None:
    """What careful programs do to save: tempfile, fsync, os.replace."""
    home.bash("echo old >f", cwd=folder)
    script = """
import os, tempfile
with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as file:
    file.write("new")
    file.flush()
    os.fsync(file.fileno())
os.replace(file.name, "f")
"""

    home.do("python3", "-c", script, cwd=folder)

    assert home.do("ls", "-A", folder) == b"f\n"
    assert stored(folder / "f") == b"new"


def test_what_is_removed_while_open_can_still_be_read(home: Home, folder: Path) -> None:
    """An unlinked file lives as long as a descriptor."""
    script = "echo content >f; exec 3<f; rm f; cat <&3; ls -A"

    outcome = home.bash(script, cwd=folder)

    assert (outcome.code, outcome.out) == (0, b"content\n")


def test_a_map_can_be_written(home: Home, folder: Path, stored: Stored) -> None:
    """What a program writes through memory is stored by its fsync."""
    home.bash("echo hello >f", cwd=folder)
    script = """
import mmap, os
with open("f", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
    mapped[0:1] = b"j"
    mapped.flush()
    os.fsync(file.fileno())
"""

    home.do("python3", "-c", script, cwd=folder)

    assert stored(folder / "f") == b"jello\n"


def test_other_ways_to_write(home: Home, folder: Path, stored: Stored) -> None:
    """`tee`, `sort -o`, `dd conv=notrunc`, `curl -o`, `flock`."""
    script = """
        set -e
        printf 'b\\na\\n' | tee f >/dev/null
        sort -o f f
        printf X | dd of=f bs=1 seek=2 conv=notrunc status=none
        curl -s -o copied file://$PWD/f
        flock f true
        flock copied -c 'echo c >>copied'
    """

    assert home.bash(script, cwd=folder).code == 0

    assert stored(folder / "f") == b"a\nX\n"
    assert stored(folder / "copied") == b"a\nX\nc\n"


def _seconds(home: Home, path: Path) -> float:
    return float(home.do("stat", "-c", "%.9Y", path))
