"""Many changes at once, slow reads and a sudden end, while files are watched: nothing hangs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from tests.mount.followed import Followed
from tests.mount.homes import PATIENCE, Home
from tests.mount.watching import Watch, Watcher

_MAKE_FILES = """
import pathlib, sys
pathlib.Path("burst").mkdir()
for index in range(int(sys.argv[1])):
    with pathlib.Path(f"burst/.#{index}").open("x") as file:
        file.write("x")
"""


def _burst(home: Home, followed: Followed, number: int) -> list[tuple[str, str]]:
    """Makes files that do not travel, and returns what tells of changes of all of them."""
    home.do("python3", "-c", _MAKE_FILES, str(number), cwd=followed.directory / "own")
    return [("changed", f"own/burst/.#{index}") for index in range(number)]


def test_a_thousand_changes_at_once(home: Home, followed: Followed, watch: Watch) -> None:
    """Each is heard of."""
    changes = _burst(home, followed, 1000)
    directory = followed.directory / "own" / "burst"
    watcher = watch(directory)

    followed.tell(*changes)

    watcher.until(*[f"{directory}/.#{index} CLOSE_WRITE" for index in range(1000)])


def test_an_unmount_after_a_burst_is_not_busy(home: Home, followed: Followed, watch: Watch) -> None:
    """The mount uses itself for its echoes, yet nobody who unmounts it finds it in use."""
    changes = _burst(home, followed, 300)
    directory = followed.directory / "own" / "burst"
    watcher = watch(directory)
    followed.tell(*changes)
    watcher.until(f"{directory}/.#1 CLOSE_WRITE")
    watcher.end()

    home.must("umount", followed.directory)

    followed.end()


def test_files_below_an_unmounted_mount_are_left_alone(
    home: Home, followed: Followed, watch: Watch
) -> None:
    """After a lazy unmount the path of a change leads to real files."""
    home.must("set", "real", stdin=b"secret")
    own = followed.directory / "own"
    with home.talk("bash", "-c", "echo in; read _", cwd=own) as say:
        assert say(b"") == b"in\n"
        home.do("cat", own / "real")
        home.must("umount", "--lazy", followed.directory)
        home.do("mkdir", own)
        home.do("tee", own / "real", stdin=b"a real file")
        before = (own / "real").stat()
        watcher = watch(own)

        home.must("set", "real", stdin=b"changed")
        followed.tell(("changed", "own/real"), ("appeared", "own/new"))
        home.do("touch", own / "sentinel")

        shown = watcher.until(f"{own}/sentinel CLOSE_WRITE")
        assert all("sentinel" in line for line in shown)
        assert (own / "real").stat() == before
        assert [each.name for each in sorted(own.iterdir())] == ["real", "sentinel"]
        say(b"\n")
    followed.end()


_SLOW_READERS = """
import pathlib, sys, threading
found = []
def read(index):
    found.append(pathlib.Path(f"burst/.#{index % 100}").read_text())
readers = [threading.Thread(target=read, args=[index]) for index in range(1000)]
for each in readers: each.start()
print("reading", flush=True)
for each in readers: each.join()
print(len(found), flush=True)
"""


def test_a_thousand_slow_reads_hang_nothing(
    home: Home, followed: Followed, started: Callable[..., Watcher]
) -> None:
    """While the kernel waits for their pages to be dropped, everything else is served."""
    changes = _burst(home, followed, 100)
    own = followed.directory / "own"
    followed.order("hold")
    readers = started("python3", "-c", _SLOW_READERS, cwd=own)
    readers.until("reading")

    followed.tell(*changes)
    for _ in range(10):
        assert json.loads(home.do("cat", followed.directory / ".status"))["failures"] == []
        home.bash("echo x >other", cwd=own)
        home.do("ls", "-l", own)
    followed.order("go")

    readers.until("1000")
    home.must("lock", followed.directory)
    home.must("umount", followed.directory)
    followed.end()


def test_a_killed_mount_leaves_nobody_hanging(home: Home, followed: Followed) -> None:
    """Not even while it waited in the kernel for a program that waited for it."""
    home.must("set", "doomed", stdin=b"x")
    own = followed.directory / "own"
    home.do("ls", own)
    followed.order("hold")
    remover = subprocess.Popen(
        home.command("rm", own / "doomed"), env=home.environment, stderr=subprocess.PIPE
    )
    followed.order("held")

    home.must("set", "new", stdin=b"x")
    followed.tell(("appeared", "own/new"))
    home.must("status", followed.directory)
    followed.process.kill()

    assert b"Software caused connection abort" in remover.communicate(timeout=PATIENCE)[1]
    followed.process.wait(PATIENCE)
    assert b"not connected" in home.run("ls", own).err.encode()
    home.must("umount", followed.directory)
