"""Programs with demands of their own: databases, version control, backups, synchronisation."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

Content = Callable[[Path], bytes]
Elsewhere = Callable[[Path], Path]

_PYTHON: Final = "/usr/bin/python3"


@pytest.fixture
def content(home: Home, mounted: Path) -> Content:
    """What is in a file of which everything is uploaded."""

    def read(path: Path) -> bytes:
        status = home.status(mounted)
        assert (status["unsent"], status["failures"]) == ([], [])
        return home.do("cat", path)

    return read


@pytest.fixture
def folder(home: Home, mounted: Path, request: pytest.FixtureRequest) -> Path:
    """A directory of secrets of the test's own in the mount, made when it is not there."""
    test: str = request.function.__name__
    made = mounted / "own" / test
    home.do("mkdir", "-p", made)
    return made


_DATABASE: Final = """
import json, os, sqlite3, sys
mode, processes, rows = sys.argv[1], 3, 5
database = sqlite3.connect("db", timeout=50)
got = database.execute(f"pragma journal_mode={mode}").fetchone()[0]
database.execute("create table t (a)")
database.commit()
database.close()
def insert():
    database = sqlite3.connect("db", timeout=50, isolation_level=None)
    database.execute(f"pragma journal_mode={mode}")
    for number in range(rows):
        database.execute("begin immediate")
        database.execute("insert into t values (?)", (number,))
        database.execute("commit")
    database.close()
children = []
for _ in range(processes):
    child = os.fork()
    if not child:
        insert()
        os._exit(0)
    children.append(child)
failed = [os.waitpid(child, 0)[1] for child in children]
database = sqlite3.connect("db")
database.execute("begin")
database.execute("delete from t")
database.rollback()
found = database.execute("select count(*) from t").fetchone()[0]
whole = database.execute("pragma integrity_check").fetchone()[0]
database.close()
print(json.dumps([got, failed, found, whole]))
"""


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "memory", "wal"])
def test_sqlite(home: Home, mounted: Path, mode: str) -> None:
    """Three processes write one database at once, in each journal mode."""
    here = home.make_in(mounted / "own")

    told = json.loads(home.do(_PYTHON, "-c", _DATABASE, mode, cwd=here))

    assert told == [mode, [0, 0, 0], 15, "ok"]


def test_git_keeps_house(home: Home, folder: Path, elsewhere: Elsewhere) -> None:
    """Branches, merge, stash and gc; another mount finds it whole.

    gc leaves `refs/` without a file, so it is not there elsewhere, and git looks for it.
    """
    for script in (
        "git init -q -b main . && echo 1 >f && git add . && git commit -qm first",
        "git checkout -q -b other && git mv f g && git commit -qm moved",
        "git checkout -q main && git merge -q other",
        "echo more >>g && git stash -q && git stash pop -q && git commit -qam changed",
        "git gc -q",
        "git status --porcelain",
    ):
        outcome = home.bash(script, cwd=folder)
        assert (outcome.code, outcome.out, outcome.err) == (0, b"", ""), script

    seen = elsewhere(folder)
    home.do("mkdir", "-p", seen / ".git" / "refs")
    home.do("git", "fsck", "--strict", "--no-dangling", cwd=seen)
    subjects = home.do("git", "log", "--format=%s", cwd=seen)
    assert subjects.split() == [b"changed", b"moved", b"first"]


def test_git_clones_from_a_mount(home: Home, folder: Path) -> None:
    """And into it."""
    outside = home.make("repository")
    script = """
        set -e
        git init -q "$1/r"
        cd "$1/r"
        echo x >f; git add f; git commit -qm c
        git clone -q "$1/r" "$2/in"
        git clone -q "$2/in" "$1/out"
        cd "$2/in"
        git -C "$1/out" commit -q --allow-empty -m second
        git pull -q "$1/out"
        git log --format=%s
    """

    said = home.do("bash", "-c", script, "bash", outside, folder)

    assert said == b"second\nc\n"


@pytest.mark.parametrize(
    "options",
    ["--inplace", "--inplace --no-whole-file", "--append", "--append-verify", "--checksum",
     "--backup", "--delete --delay-updates", "--no-whole-file", "--sparse", "--partial"],
)  # fmt: skip
def test_rsync_updates(home: Home, folder: Path, content: Content, options: str) -> None:
    """In every way that it knows, a file whose beginning is there already."""
    source = home.make("source")
    whole = os.urandom(60_000)
    home.do("tee", source / "f", stdin=whole)
    here = home.make_in(folder)
    home.do("tee", here / "f", stdin=whole[:20_000])

    home.do("rsync", "-a", *options.split(), f"{source}/", here)

    assert content(here / "f") == whole
    listed = home.do("ls", "-A", here)
    assert listed == (b"f\nf~\n" if options == "--backup" else b"f\n")


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("printf one >f; printf two | tee -a f >/dev/null", b"onetwo"),
        ("printf 0123456789 >f; printf XY | dd of=f bs=1 seek=3 conv=notrunc status=none",
         b"012XY56789"),
        ("printf 0123 >f; printf 45 | dd of=f oflag=append conv=notrunc,fsync status=none",
         b"012345"),
        ("printf 0123 >f; truncate -s +2 f; truncate -s -3 f; truncate -s '<2' f", b"01"),
        ("printf 0123456789 >f; fallocate -x -l 12 f", b"0123456789\0\0"),
        ("printf abc >g; cp --sparse=always --reflink=auto g f", b"abc"),
        ("printf old >f; printf new >g; cp --backup=numbered g f; cat f.~1~ >>f", b"newold"),
        ("printf old >f; printf new >g; mv --backup=simple g f; cat f~ >>f", b"newold"),
        ("printf old >f; printf new >g; mv -n g f; mv -u g f 2>/dev/null; cat g >>f 2>&-; :", None),
        ("printf old >f; printf new >g; install -m 600 -b g f; cat f~ >>f", b"newold"),
        ("printf 'a\\nb\\nc\\n' >g; split -l 1 g part-; cat part-a? >f", b"a\nb\nc\n"),
        ("mkdir d; printf x >d/x; tar cf a.tar d; rm -r d; tar xf a.tar; cp d/x f", b"x"),
        ("printf x >x; tar cf a.tar x; printf y >y; tar rf a.tar y; tar xOf a.tar >f", b"xy"),
        ("printf x | gzip >f.gz; gunzip f.gz", b"x"),
        ("printf x >f; gzip f; gzip -d f.gz", b"x"),
        ("exec 3<>f; printf hello >&3; printf J >f; printf yy >&3", b"J\0\0\0\0yy"),
        ("set -C; printf one >f; printf two >f; :", b"one"),
        ("(printf a; printf b >&2) >f 2>&1", b"ab"),
        ("printf x >d-1; find . -name 'd-*' -exec mv {} f ';'", b"x"),
        ("printf 'b\\na\\n' >f; sort -o f f; uniq f g; cat g >f", b"a\nb\n"),
    ],
)  # fmt: skip
def test_small_programs(
    home: Home, folder: Path, content: Content, script: str, wanted: bytes | None
) -> None:
    """What they write is stored when they end."""
    here = home.make_in(folder)

    outcome = home.bash(script, cwd=here)

    assert outcome.code == 0, outcome
    if wanted is not None:
        assert content(here / "f") == wanted


def test_ssh_keygen_changes_a_passphrase(home: Home, folder: Path) -> None:
    """It writes a private key anew where it lies."""
    home.do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id")
    home.do("ssh-keygen", "-q", "-p", "-P", "", "-N", "phrase", "-f", folder / "id")

    assert home.run("ssh-keygen", "-y", "-P", "", "-f", folder / "id").code != 0
    public = home.do("ssh-keygen", "-y", "-P", "phrase", "-f", folder / "id")
    assert public.split()[:2] == home.do("cat", folder / "id.pub").split()[:2]


def test_what_needs_a_hard_link_says_so(home: Home, folder: Path) -> None:
    """`ssh-keygen -R` keeps its backup by one, and so changes nothing."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0c6Ck5Mj0wq6m0Z7mpfZ4cZkZ8m0C3oT5Yf1s1W3nW"
    hosts = f"one {key}\ntwo {key}\n".encode()
    home.do("tee", folder / "hosts", stdin=hosts)

    outcome = home.run("ssh-keygen", "-R", "one", "-f", folder / "hosts")

    assert "Operation not permitted" in outcome.err
    assert home.do("cat", folder / "hosts") == hosts


def test_tar_takes_nothing_for_changed(home: Home, mounted: Path) -> None:
    """`.status`, too, is what it was unless something has happened, which it does now and then."""
    script = "for each in 1 2 3; do tar cf - . | cat >/dev/null; e=${PIPESTATUS[0]}; "
    script += "((e)) || exit 0; done; exit $e"

    outcome = home.bash(script, cwd=mounted)

    assert outcome.code == 0, outcome


def test_df_and_du(home: Home, folder: Path, mounted: Path) -> None:
    """A total that is no nonsense, something free, and what the files use."""
    home.do("tee", folder / "f", stdin=b"x" * 5000)

    size, free, used = home.do("df", "-B1", "--output=size,avail,used", mounted).split()[-3:]
    assert 2**30 < int(free) <= int(size) < 2**50
    assert int(used) >= 5000
    total, inodes = home.do("df", "--output=itotal,iavail", mounted).split()[-2:]
    assert 0 < int(inodes) < int(total) < 2**32
    assert home.do("du", "-B1", folder / "f").split()[0] == b"5120"


def test_o_excl_between_two_mounts(home: Home, folder: Path, elsewhere: Elsewhere) -> None:
    """What one mount has stored, the other one refuses to make."""
    make = "set -C; echo mine >lock"
    assert home.bash(make, cwd=folder).code == 0
    there = elsewhere(folder)

    outcome = home.bash(make, cwd=there)
    assert (outcome.code, "cannot overwrite existing file" in outcome.err) == (1, True)


def test_all_of_it_is_stored(home: Home, mounted: Path) -> None:
    """What the tests before have left: a new mount shows the same files with the same contents."""
    sums = "find . -type f ! -name '*~' -exec sha256sum {} + | sort"  # backups stay here
    here = home.bash(sums, cwd=mounted / "own").out

    assert here == home.bash(sums, cwd=home.mount() / "own").out
    assert here.count(b"\n") >= 40
