"""A mount that is told on standard input what was changed elsewhere; run by the tests.

Each line is a JSON list of [kind, path] pairs, the path from the mount point. The mount brings
its view up to date, tells its tree, and answers with a line. It stands in for a mount that
follows the service's changes by itself. The lines "hold" and "go" have reads and unlinks wait,
and go on; "held" waits for an unlink to come; "keep" lets the kernel keep all names and attributes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from smfs import config
from smfs.cli.logs import log_to
from smfs.cli.session import open_view
from smfs.crypto.keyfile import load_key
from smfs.fuse.mounting import claimed_mountpoint, run_mount
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import ROOT_INODE, Node
from smfs.tree.open_secret import OpenSecret
from smfs.tree.secret_directory import SecretDirectory
from smfs.tree.tree import Tree

Change = tuple[str, str]


def _walk(tree: Tree, path: tuple[bytes, ...]) -> Node | None:
    node: Node | None = tree.inodes.get(ROOT_INODE)
    for name in path:
        node = tree.known(node.inode, name) if node is not None else None
    return node


def _inode(tree: Tree, path: tuple[bytes, ...]) -> int | None:
    node = _walk(tree, path)
    return node.inode if node is not None else None


async def _told(tree: Tree, changes: Sequence[Change]) -> list[Happening]:
    """The happenings, with the numbers that the names had before the tree knew of them."""
    paths = [tuple(os.fsencode(path).split(b"/")) for _, path in changes]
    before = [_inode(tree, path) for path in paths]
    await tree.view.refresh(0)
    found = []
    for (kind, _), path, inode in zip(changes, paths, before, strict=True):
        node = _walk(tree, path)
        parent = _inode(tree, path[:-1])
        assert parent is not None
        is_directory = node is not None and node.is_directory
        found.append(Happening(Kind(kind), parent, path, inode, is_directory))
    return found


class _Gate:
    """Through which every read and every unlink goes."""

    def __init__(self) -> None:
        self._read = OpenSecret.read
        self._unlink = SecretDirectory.unlink
        self._opened = trio.Event()
        self._opened.set()
        self.unlinking = trio.Event()

    def close(self) -> None:
        """Has reads wait from now on."""
        self._opened = trio.Event()

    def open(self) -> None:
        """Has them go on."""
        self._opened.set()

    async def read(self, file: OpenSecret, offset: int, size: int) -> bytes:
        """One read."""
        await self._opened.wait()
        return await self._read(file, offset, size)

    async def unlink(self, directory: SecretDirectory, name: str) -> None:
        """One unlink."""
        self.unlinking.set()
        await self._opened.wait()
        await self._unlink(directory, name)


_GATE = _Gate()


class _Opened(OpenSecret):
    async def read(self, offset: int, size: int) -> bytes:
        return await _GATE.read(self, offset, size)


class _Directory(SecretDirectory):
    async def unlink(self, name: str) -> None:
        await _GATE.unlink(self, name)


SecretDirectory.unlink = _Directory.unlink  # type: ignore[method-assign, assignment]
OpenSecret.read = _Opened.read  # type: ignore[method-assign, assignment]


async def _do(tree: Tree, order: str | list[Change]) -> None:
    match order:
        case "hold":
            _GATE.close()
        case "go":
            _GATE.open()
        case "held":
            await _GATE.unlinking.wait()
        case "keep":
            tree.kernel_may_keep = lambda node: True  # type: ignore[method-assign]
        case list():
            tree.tell(await _told(tree, order))


async def _listen(tree: Tree) -> None:
    source = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    kept = b""
    async for part in source:
        *lines, kept = (kept + part).split(b"\n")
        for line in lines:
            await _do(tree, json.loads(line))
            sys.stdout.write("told\n")
            sys.stdout.flush()


async def _serve(profile: str, mountpoint: Path, on_ready: Callable[[], None]) -> None:
    settings = config.load_settings(config.Flags(profile=profile))
    log_to(settings.log_file)
    identity = load_key(settings.key_file)
    async with (
        open_view(settings, identity) as view,
        Tree(view) as tree,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_listen, tree)
        await run_mount(mountpoint, tree, on_ready=on_ready)
        nursery.cancel_scope.cancel()


def main() -> None:
    """teller.py PROFILE DIR."""
    with claimed_mountpoint(Path(sys.argv[2])) as mountpoint:
        os.chdir("/")

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    trio.run(_serve, sys.argv[1], mountpoint, ready)


if __name__ == "__main__":
    main()
