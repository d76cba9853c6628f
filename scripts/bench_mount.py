#!/usr/bin/env python3
"""Times a mount beside its floor, a minimal in-memory pyfuse3 filesystem, round by round.

Each figure is the median of the rounds; what counts is the ratio, since both are timed in turn on
the same machine under the same load.
"""

from __future__ import annotations

import errno
import os
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyfuse3
import trio

SMFS = Path(sys.executable).with_name("smfs")
ROUNDS = 7
FILES = 100


class Floor(pyfuse3.Operations):
    """Files in memory in one directory, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[bytes, int] = {}
        self.content: dict[int, bytearray] = {}
        self.next = 2

    def attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        """Of a file or of the root."""
        shown = pyfuse3.EntryAttributes()
        shown.st_ino = inode
        is_root = inode == pyfuse3.ROOT_INODE
        shown.st_mode = stat.S_IFDIR | 0o700 if is_root else stat.S_IFREG | 0o600
        shown.st_size = 0 if is_root else len(self.content[inode])
        shown.st_uid, shown.st_gid = os.getuid(), os.getgid()
        shown.entry_timeout = shown.attr_timeout = 0
        return shown

    async def getattr(self, inode, ctx=None):
        return self.attributes(inode)

    async def setattr(self, inode, attr, fields, fh, ctx):
        if fields.update_size:
            del self.content[inode][attr.st_size :]
        return self.attributes(inode)

    async def lookup(self, parent_inode, name, ctx=None):
        if name not in self.names:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self.attributes(self.names[name])

    async def opendir(self, inode, ctx):
        return inode

    async def readdir(self, fh, start_id, token):
        for index, (name, inode) in enumerate(list(self.names.items())[start_id:], start_id + 1):
            if not pyfuse3.readdir_reply(token, name, self.attributes(inode), index):
                return

    async def open(self, inode, flags, ctx):
        if flags & os.O_TRUNC:
            self.content[inode].clear()
        return pyfuse3.FileInfo(fh=inode)

    async def create(self, parent_inode, name, mode, flags, ctx):
        inode, self.next = self.next, self.next + 1
        self.names[name], self.content[inode] = inode, bytearray()
        return pyfuse3.FileInfo(fh=inode), self.attributes(inode)

    async def read(self, fh, off, size):
        return bytes(self.content[fh][off : off + size])

    async def write(self, fh, off, buf):
        self.content[fh][off : off + len(buf)] = buf
        return len(buf)


def serve_floor(directory: str) -> None:
    """Serves the floor until it is unmounted."""
    pyfuse3.init(Floor(), directory, {"fsname=floor"})
    trio.run(pyfuse3.main)
    pyfuse3.close(unmount=False)


def wait_for_mount(directory: Path) -> None:
    """Returns once a filesystem answers at a directory."""
    while not directory.is_mount():
        os.sched_yield()


def create_all(directory: Path) -> None:
    """Creates, writes and closes."""
    for number in range(FILES):
        (directory / f"new{time.monotonic_ns()}-{number}").write_bytes(b"content\n")


def read_all(directory: Path) -> None:
    """Opens, reads and closes."""
    for number in range(FILES):
        (directory / f"f{number}").read_bytes()


def list_all(directory: Path) -> None:
    """`ls -l`."""
    subprocess.run(["ls", "-l", directory], check=True, stdout=subprocess.DEVNULL)


def compare(name: str, work: Callable[[Path], None], count: int, ours: Path, floor: Path) -> None:
    """Times one piece of work on both in turn, and prints the medians for each of `count`."""
    took: dict[Path, list[float]] = {ours: [], floor: []}
    for directory in (ours, floor) * ROUNDS:
        started = time.perf_counter()
        work(directory)
        took[directory].append((time.perf_counter() - started) / count * 1e6)
    mine, least = statistics.median(took[ours]), statistics.median(took[floor])
    print(f"{name:28} {mine:10.0f} µs {least:10.0f} µs   x {mine / least:.1f}")


def main() -> None:
    """Mounts both, fills both, compares."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as home:
        mount, floor = Path(home, "mount"), Path(home, "floor")
        floor.mkdir()
        environment = {**os.environ, "HOME": home}
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            environment.pop(name, None)
        subprocess.run([SMFS, "mount", mount], check=True, env=environment)
        server = subprocess.Popen([sys.executable, __file__, "--floor", floor])
        try:
            wait_for_mount(floor)
            print(f"with {number} secrets            smfs        floor      ratio")
            for directory in (mount / "own", floor):
                for index in range(number):
                    (directory / f"f{index}").write_bytes(b"content\n")
            compare("open + read + close", read_all, FILES, mount / "own", floor)
            compare("ls -l", list_all, 1, mount / "own", floor)
            compare("create + write + close", create_all, FILES, mount / "own", floor)
        finally:
            subprocess.run(["fusermount3", "-u", floor], check=False)
            subprocess.run([SMFS, "umount", mount], check=False, env=environment)
            server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--floor"]:
        serve_floor(sys.argv[2])
    else:
        main()
