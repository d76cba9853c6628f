"""Contents that show whether they are whole: blocks, each with its number, one after the other."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_LONGEST: Final = 20_000
_NUMBER: Final = re.compile(rb"<(\d+) ")


class TornContent(Exception):
    """A content that nobody has written so."""


def block(number: int) -> bytes:
    """The block of a number; its length and all its bytes follow from that."""
    seed = hashlib.sha256(b"%d" % number).hexdigest().encode()
    filling = (seed * (_LONGEST // len(seed)))[: number * 7919 % _LONGEST]
    return b"<%d " % number + filling + b">"


def content(numbers: tuple[int, ...]) -> bytes:
    """The blocks of several numbers."""
    return b"".join(map(block, numbers))


def numbers_of(found: bytes) -> tuple[int, ...]:
    """The numbers of the blocks in a content.

    Raises:
        TornContent: when it is not made of whole blocks.
    """
    numbers: list[int] = []
    rest = found
    while rest:
        named = _NUMBER.match(rest)
        if named is None:
            raise TornContent(f"after {numbers} comes {rest[:20]!r}")
        whole = block(int(named[1]))
        if not rest.startswith(whole):
            raise TornContent(f"after {numbers} comes half of {int(named[1])}")
        numbers.append(int(named[1]))
        rest = rest[len(whole) :]
    return tuple(numbers)
