"""What `stat` and `statfs` show, in the forms that the kernel wants."""

from __future__ import annotations

from typing import Final

import pyfuse3

from smfs.tree.names import LONGEST_NAME
from smfs.tree.node import Attributes, Usage

BLOCK_SIZE: Final = 4096
"""The preferred size of reads and writes, in bytes (st_blksize)."""

_SECTOR: Final = 512
# A service tells how large a secret may be, and of no other bound. So many secrets of that size
# are what it is measured with (the design, section 7).
_MOST_FILES: Final = 100_000


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


def capacity(usage: Usage) -> pyfuse3.StatvfsData:
    """What `df` shows of a mount: room for 100,000 secrets of the largest size, less what is there.

    There is always room for one more, since it is the service that says when there is none.

    Args:
        usage: what is there.
    """
    used = _blocks(usage.content_bytes)
    largest = _blocks(usage.content_limit)
    shown = pyfuse3.StatvfsData()
    shown.f_bsize = shown.f_frsize = BLOCK_SIZE
    shown.f_blocks = max(_MOST_FILES * largest, used + largest)
    shown.f_bfree = shown.f_bavail = shown.f_blocks - used
    shown.f_files = max(_MOST_FILES, usage.secrets + 1)
    shown.f_ffree = shown.f_favail = shown.f_files - usage.secrets
    shown.f_namemax = LONGEST_NAME
    return shown


def _blocks(size: int) -> int:
    return -(-size // BLOCK_SIZE)
