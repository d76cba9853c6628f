"""What the kernel is told of a node."""

from __future__ import annotations

import os
import stat

import pytest

from smfs.fuse import attributes
from smfs.fuse.operations import intent_of
from smfs.tree.node import Attributes, Intent, Times, Usage


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


@pytest.mark.parametrize("limit", [49_000, 1 << 20, 1 << 28])
@pytest.mark.parametrize("secrets", [0, 1000, 99_999, 100_000, 250_000])
def test_there_is_room_for_one_more(limit: int, secrets: int) -> None:
    """However much is there: programs that ask `statfs` before they write shall write."""
    shown = attributes.capacity(Usage(secrets, secrets * limit, limit))

    assert shown.f_bavail * shown.f_frsize >= limit
    assert shown.f_bavail == shown.f_bfree <= shown.f_blocks
    assert shown.f_blocks * shown.f_frsize < 2**57
    assert shown.f_favail == shown.f_ffree >= 1
    assert shown.f_files - shown.f_ffree == secrets
    assert shown.f_namemax == 255


def test_what_is_there_is_taken_off() -> None:
    """`df` shows how much is used, and a total that does not change."""
    before = attributes.capacity(Usage(0, 0, 1 << 20))
    after = attributes.capacity(Usage(2, 8193, 1 << 20))

    assert before.f_blocks == before.f_bfree == after.f_blocks == 25_600_000
    assert before.f_bfree - after.f_bfree == 3


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
