"""What the kernel is told of a node."""

from __future__ import annotations

import os
import stat

import pytest

from smfs.fuse import attributes
from smfs.fuse.operations import intent_of
from smfs.tree.node import Attributes, Intent, Times


def test_every_field_reaches_the_kernel() -> None:
    """And the kernel is to keep nothing, unless it will be told of changes."""
    mode = stat.S_IFREG | 0o600
    node = Attributes(7, mode, 1025, 1, Times(accessed=15, modified=225, changed=3_000_001))

    shown = attributes.entry(node, user=1000, group=100)

    assert (shown.st_ino, shown.st_mode, shown.st_nlink, shown.st_size) == (7, mode, 1, 1025)
    assert (shown.st_uid, shown.st_gid) == (1000, 100)
    assert shown.st_blocks == 3
    assert shown.st_atime_ns == 15
    assert shown.st_mtime_ns == 225
    assert shown.st_ctime_ns == 3_000_001
    assert (shown.entry_timeout, shown.attr_timeout, shown.generation) == (0, 0, 0)
    kept = attributes.entry(node, user=1000, group=100, is_kept=True)
    assert (kept.entry_timeout, kept.attr_timeout) == (attributes.KEPT_S, attributes.KEPT_S)


def test_a_moment_in_seconds_is_kept_to_the_microsecond() -> None:
    """A float holds no more of today's dates."""
    assert Times.at(1_795_500_000.123457).modified == 1_795_500_000_123_457_000


def test_there_is_room_and_the_longest_name_is_known() -> None:
    """Programs that ask `statfs` before they write shall write."""
    shown = attributes.capacity()

    assert shown.f_bavail * shown.f_frsize >= 2**30
    assert shown.f_namemax == 255


@pytest.mark.parametrize(
    ("flags", "intent"),
    [
        (os.O_RDONLY, Intent()),
        (os.O_WRONLY, Intent(read=False, write=True)),
        (os.O_RDWR | os.O_APPEND, Intent(write=True)),
        (os.O_WRONLY | os.O_TRUNC, Intent(read=False, write=True, truncate=True)),
        (os.O_RDWR | os.O_CREAT | os.O_EXCL, Intent(write=True, exclusive=True)),
    ],
)
def test_the_flags_of_open_become_an_intent(flags: int, intent: Intent) -> None:
    """The tree knows no flags."""
    assert intent_of(flags) == intent
