"""What `stat` and `statfs` show, in the forms that the kernel wants."""

from __future__ import annotations

from typing import Final

import pyfuse3

from smfs.tree.node import Attributes

BLOCK_SIZE: Final = 4096
"""The preferred size of reads and writes, in bytes (st_blksize)."""

_SECTOR: Final = 512
_LONGEST_NAME: Final = 255
# A service tells no capacity. Programs that look whether there is room (`df`, installers) shall
# find some: a terabyte and a thousand million files, all free.
_BLOCKS: Final = 2**40 // BLOCK_SIZE
_FILES: Final = 10**9


KEPT_S: Final = 3600.0
"""How long, in seconds, the kernel keeps what it is told of in time when it changes."""


def entry(
    attributes: Attributes, *, user: int, group: int, is_kept: bool = False
) -> pyfuse3.EntryAttributes:
    """The attributes of a node for the kernel.

    Args:
        attributes: of the node.
        user: the uid of every file of the mount.
        group: its gid.
        is_kept: whether the kernel may keep them, and the name; else it asks each time.
    """
    time_out = KEPT_S if is_kept else 0.0
    shown = pyfuse3.EntryAttributes()
    shown.st_ino = attributes.inode
    shown.generation = 0
    shown.entry_timeout = time_out
    shown.attr_timeout = time_out
    shown.st_mode = attributes.mode
    shown.st_nlink = attributes.links
    shown.st_uid = user
    shown.st_gid = group
    shown.st_rdev = 0
    shown.st_size = attributes.size
    shown.st_blksize = BLOCK_SIZE
    shown.st_blocks = -(-attributes.size // _SECTOR)
    shown.st_atime_ns = attributes.times.accessed
    shown.st_mtime_ns = attributes.times.modified
    shown.st_ctime_ns = attributes.times.changed
    return shown


def capacity() -> pyfuse3.StatvfsData:
    """What `df` shows of a mount."""
    shown = pyfuse3.StatvfsData()
    shown.f_bsize = BLOCK_SIZE
    shown.f_frsize = BLOCK_SIZE
    shown.f_blocks = shown.f_bfree = shown.f_bavail = _BLOCKS
    shown.f_files = shown.f_ffree = shown.f_favail = _FILES
    shown.f_namemax = _LONGEST_NAME
    return shown
