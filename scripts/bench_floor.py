#!/usr/bin/env python3
"""The floor: a filesystem in memory that answers what a useful one must, and does nothing else.

It gives the kernel what a mount may give while its change feed is alive: names and attributes are
kept for an hour, and pages stay between two opens. It answers `flush`, because that is where
`close` can fail, and `getxattr`, because a filesystem that has attributes of its own must. It asks
nobody who he is, checks no permission and keeps no times.

    bench_floor.py DIRECTORY FILES    mounts; FILES files lie in the directory `many`
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from dataclasses import dataclass, field

import pyfuse3
import trio

KEPT = 3600.0


@dataclass(eq=False)
class Node:
    """A file or a directory."""

    inode: int
    names: dict[bytes, Node] | None = None
    content: bytearray = field(default_factory=bytearray)


class Floor(pyfuse3.Operations):
    """Files and directories in memory."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[int, Node] = {}
        self.listings: dict[int, list[tuple[bytes, Node]]] = {}
        self.next_listing = 0
        self.root = self.add(None, b"", {})

    def add(self, parent: Node | None, name: bytes, names: dict[bytes, Node] | None) -> Node:
        """A new node; a directory where `names` is given."""
        made = Node(pyfuse3.ROOT_INODE + len(self.nodes), names)
        self.nodes[made.inode] = made
        if parent is not None:
            parent.names[name] = made
        return made

    def entry(self, node: Node) -> pyfuse3.EntryAttributes:
        """What the kernel is told of a node."""
        shown = pyfuse3.EntryAttributes()
        is_file = node.names is None
        shown.st_ino = node.inode
        shown.st_mode = stat.S_IFREG | 0o600 if is_file else stat.S_IFDIR | 0o700
        shown.st_nlink = 1
        shown.st_size = len(node.content)
        shown.st_uid, shown.st_gid = os.getuid(), os.getgid()
        shown.entry_timeout = shown.attr_timeout = KEPT
        return shown

    def child(self, parent_inode: int, name: bytes) -> Node:
        """The node of a name."""
        found = self.nodes[parent_inode].names.get(name)
        if found is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return found

    async def lookup(self, parent_inode, name, ctx):
        return self.entry(self.child(parent_inode, name))

    async def forget(self, inode_list):
        """Every node stays: a number is never given twice."""

    async def getattr(self, inode, ctx):
        return self.entry(self.nodes[inode])

    async def getxattr(self, inode, name, ctx):
        raise pyfuse3.FUSEError(errno.EOPNOTSUPP)

    async def setattr(self, inode, attr, fields, fh, ctx):
        node = self.nodes[inode]
        if fields.update_size:
            del node.content[attr.st_size :]
            node.content.extend(bytes(attr.st_size - len(node.content)))
        return self.entry(node)

    async def mkdir(self, parent_inode, name, mode, ctx):
        return self.entry(self.add(self.nodes[parent_inode], name, {}))

    async def unlink(self, parent_inode, name, ctx):
        self.child(parent_inode, name)
        del self.nodes[parent_inode].names[name]

    rmdir = unlink

    async def rename(self, parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx):
        node = self.child(parent_inode_old, name_old)
        del self.nodes[parent_inode_old].names[name_old]
        self.nodes[parent_inode_new].names[name_new] = node

    async def open(self, inode, flags, ctx):
        if flags & os.O_TRUNC:
            self.nodes[inode].content.clear()
        return pyfuse3.FileInfo(fh=inode, keep_cache=True)

    async def create(self, parent_inode, name, mode, flags, ctx):
        made = self.add(self.nodes[parent_inode], name, None)
        return pyfuse3.FileInfo(fh=made.inode, keep_cache=True), self.entry(made)

    async def read(self, fh, off, size):
        return bytes(self.nodes[fh].content[off : off + size])

    async def write(self, fh, off, buf):
        self.nodes[fh].content[off : off + len(buf)] = buf
        return len(buf)

    async def flush(self, fh):
        """Nothing can fail here; a filesystem that can fail has to be asked."""

    async def release(self, fh):
        """Nothing is held."""

    async def opendir(self, inode, ctx):
        self.next_listing += 1
        self.listings[self.next_listing] = list(self.nodes[inode].names.items())
        return self.next_listing

    async def readdir(self, fh, start_id, token):
        for index, (name, node) in enumerate(self.listings[fh][start_id:], start_id + 1):
            if not pyfuse3.readdir_reply(token, name, self.entry(node), index):
                return

    async def releasedir(self, fh):
        del self.listings[fh]


def main() -> None:
    """Serves until it is unmounted."""
    directory, files = sys.argv[1], int(sys.argv[2])
    floor = Floor()
    many = floor.add(floor.root, b"many", {})
    for number in range(files):
        floor.add(many, b"f%05d" % number, None).content.extend(b"content of f%05d\n" % number)
    pyfuse3.init(floor, directory, {"fsname=floor"})
    trio.run(pyfuse3.main)
    pyfuse3.close(unmount=False)


if __name__ == "__main__":
    main()
