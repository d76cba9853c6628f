"""How editors and careful programs save: each in the steps that its source code takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

Content = Callable[[Path], bytes]

_PYTHON: Final = "/usr/bin/python3"

_HELP: Final = """
import os, tempfile
def make(name, content, flags=os.O_WRONLY):
    descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    os.fchmod(descriptor, os.stat("f").st_mode & 0o777 if os.path.exists("f") else 0o600)
    os.fsync(descriptor)
    os.close(descriptor)
def exchange(one, other):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, one, -100, other, 2):
        raise OSError(ctypes.get_errno(), "renameat2")
"""

_SAVES: Final = {
    "GLib, g_file_set_contents": (
        """
make("f.K3XY7A", b"new", os.O_RDWR)
os.rename("f.K3XY7A", "f")
""",
        b"f\n",
    ),
    "GLib, g_file_replace, as gedit does": (
        """
make(".goutputstream-K3XY7A", b"new", os.O_RDWR)
os.rename(".goutputstream-K3XY7A", "f")
""",
        b"f\n",
    ),
    "GLib, g_file_replace with a backup": (
        """
make(".goutputstream-K3XY7A", b"new", os.O_RDWR)
try:
    os.link("f", "f~")
except OSError:
    os.rename("f", "f~")
os.rename(".goutputstream-K3XY7A", "f")
""",
        b"f\nf~\n",
    ),
    "Emacs, with its lock, its auto-save file and its first backup": (
        """
try:
    os.symlink("me@host.1:2", ".#f")
except OSError:
    make(".#f", b"me@host.1:2")
make("#f#", b"half")
os.rename("f", "f~")
make("f", b"new")
os.unlink("#f#")
os.unlink(".#f")
""",
        b"f\nf~\n",
    ),
    "Emacs, with a backup by copying": (
        """
make("f~", open("f", "rb").read())
with open("f", "wb") as file:
    file.write(b"new")
    os.fsync(file.fileno())
""",
        b"f\nf~\n",
    ),
    "Qt, QSaveFile": (
        """
try:
    os.open(".", os.O_RDWR | os.O_TMPFILE, 0o600)
except OSError:
    make("f.AbCdEf", b"new", os.O_RDWR)
os.rename("f.AbCdEf", "f")
""",
        b"f\n",
    ),
    "Python, tempfile and os.replace": (
        """
with tempfile.NamedTemporaryFile(dir=".", delete=False) as file:
    file.write(b"new")
    file.flush()
    os.fsync(file.fileno())
os.replace(file.name, "f")
""",
        b"f\n",
    ),
    "an exchange, then the old content goes": (
        """
make("f.tmp", b"new")
exchange(b"f.tmp", b"f")
os.unlink("f.tmp")
""",
        b"f\n",
    ),
    "an exchange with a scratch file": (
        """
make(".f.swp", b"new", os.O_RDWR)
exchange(b".f.swp", b"f")
os.unlink(".f.swp")
""",
        b"f\n",
    ),
    "unlink, then a new file": (
        """
os.unlink("f")
make("f", b"new")
""",
        b"f\n",
    ),
    "in place, then cut": (
        """
descriptor = os.open("f", os.O_WRONLY)
os.write(descriptor, b"new")
os.ftruncate(descriptor, 3)
os.close(descriptor)
""",
        b"f\n",
    ),
}


@pytest.fixture
def content(home: Home, mounted: Path) -> Content:
    """What is in a file of which everything is uploaded."""

    def read(path: Path) -> bytes:
        status = home.status(mounted)
        assert (status["unsent"], status["failures"]) == ([], [])
        return home.do("cat", path)

    return read


@pytest.fixture
def folder(home: Home, mounted: Path) -> Path:
    """Where each way has a directory of its own."""
    made = mounted / "own" / "saving"
    home.do("mkdir", "-p", made)
    return made


@pytest.mark.parametrize("way", _SAVES)
def test_a_save_is_stored(home: Home, content: Content, folder: Path, way: str) -> None:
    """And leaves nothing but the backup that it wants to keep."""
    script, listed = _SAVES[way]
    here = home.make_in(folder)
    home.do("tee", here / "f", stdin=b"old content")

    home.do(_PYTHON, "-c", _HELP + script, cwd=here)

    assert content(here / "f") == b"new"
    assert home.do("ls", "-A", here) == listed
    if b"f~" in listed:
        assert home.do("cat", here / "f~") == b"old content"


def _vim(options: str) -> str:
    """Vim with options; by default it makes no backups below /tmp, where these mounts are."""
    return f"vim -Nu NONE -es -c 'set backupskip= {options}' -c %s/old/new/ -c wq f"


@pytest.mark.parametrize(
    ("command", "listed"),
    [
        ("sed -i s/old/new/ f", b"f\n"),
        ("sed -i.bak s/old/new/ f", b"f\nf.bak\n"),
        ("sed -i~ s/old/new/ f", b"f\nf~\n"),
        ("perl -pi -e s/old/new/ f", b"f\n"),
        ("perl -pi.bak -e s/old/new/ f", b"f\nf.bak\n"),
        ("sed s/old/new/ f >g && mv g f", b"f\n"),
        ("sed s/old/new/ f | tee g >/dev/null && cp g f && rm g", b"f\n"),
        (_vim("nowritebackup"), b"f\n"),
        (_vim("writebackup backupcopy=yes"), b"f\n"),
        (_vim("writebackup backupcopy=no"), b"f\n"),
        (_vim("backup backupcopy=yes"), b"f\nf~\n"),
        (_vim("backup backupcopy=no"), b"f\nf~\n"),
        (_vim("patchmode=.orig"), b"f\nf.orig\n"),
    ],
)
def test_editing_by_a_program(
    home: Home, content: Content, folder: Path, command: str, listed: bytes
) -> None:
    """Says nothing, keeps its backup if it was asked to, and leaves nothing else."""
    here = home.make_in(folder)
    home.do("tee", here / "f", stdin=b"old\n")

    outcome = home.bash(command, cwd=here)

    assert (outcome.code, outcome.out, outcome.err) == (0, b"", "")
    assert content(here / "f") == b"new\n"
    assert home.do("ls", "-A", here) == listed


def test_vim_in_a_terminal(home: Home, content: Content, folder: Path) -> None:
    """Typed, written twice, left: no warning comes in between, and no swap file stays."""
    here = home.make_in(folder)
    home.do("tee", here / "f", stdin=b"old\n")
    keys = [
        (b"4B", b"Gofirst\x1b:w\r"),
        (b"10B written", b"osecond\x1b:w\r"),
        (b"17B written", b":q\r"),
    ]

    assert home.in_terminal("vim", "-Nu", "NONE", here / "f", keys=keys) == 0

    assert content(here / "f") == b"old\nfirst\nsecond\n"
    assert home.do("ls", "-A", here) == b"f\n"


def test_nano_keeps_a_backup(home: Home, content: Content, folder: Path) -> None:
    """`nano -B`, on a file that is there, with its lock file."""
    here = home.make_in(folder)
    home.do("tee", here / "f", stdin=b"old\n")
    keys = [(b"^X", b"new \x0f"), (b"File Name to Write", b"\r"), (b"Wrote 1 line", b"\x18")]

    assert home.in_terminal("nano", "-IBG", here / "f", keys=keys) == 0

    assert content(here / "f") == b"new old\n"
    assert home.do("ls", "-A", here) == b"f\nf~\n"


@pytest.mark.parametrize(
    "editor", [each for each in ("emacs", "ed") if shutil.which(each)] or ["-"]
)
def test_editors_that_may_be_installed(
    home: Home, content: Content, folder: Path, editor: str
) -> None:
    """Opened, changed and saved twice, by those that are there."""
    here = home.make_in(folder)
    home.do("tee", here / "f", stdin=b"old\n")
    save = '(progn (find-file "f") (insert "new ") (save-buffer) (insert "er ") (save-buffer))'
    commands = {
        "emacs": ["emacs", "-Q", "--batch", "--eval", save],
        "ed": ["ed", "-s", "f"],
        "-": ["sed", "-i", "s/^/new er /", "f"],
    }

    home.do(*commands[editor], stdin=b"s/^/new /\nw\ns/new/new er/\nw\nq\n", cwd=here)

    assert content(here / "f") == b"new er old\n"
    assert home.do("ls", "-A", here) == (b"f\nf~\n" if editor == "emacs" else b"f\n")


def test_all_of_it_is_stored(home: Home, mounted: Path) -> None:
    """What the tests before have left: a new mount shows the same files with the same contents."""
    sums = "find . -type f ! -name '*~' -exec sha256sum {} + | sort"  # backups stay here
    here = home.bash(sums, cwd=mounted / "own").out

    assert here == home.bash(sums, cwd=home.mount() / "own").out
    assert here.count(b"\n") >= 20
