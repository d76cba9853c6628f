"""The parts of a row's key: node ids as 32 bytes, secret ids as WTF-8."""

from __future__ import annotations

import hashlib
from typing import Final

from smfs.crypto import wtf8

OWN: Final = ""
"""The sender's place in the key of an own secret."""

LONGEST: Final = 1000
"""The most bytes that a secret id has in a key: an index of PostgreSQL takes some 2,700."""

_SHORTENED: Final = b"\xff"  # which stands nowhere in WTF-8


def node_key(node_id: str) -> bytes:
    """A node id, or `OWN`, as bytes."""
    return bytes.fromhex(node_id)


def secret_key(secret_id: str) -> bytes:
    """A secret id in a key."""
    return short_key(wtf8.encode(secret_id))


def long_id(secret_id: str) -> bytes | None:
    """A secret id that is too long for a key; None for any other."""
    return key_and_long(secret_id)[1]


def key_and_long(secret_id: str) -> tuple[bytes, bytes | None]:
    """A secret id in a key, and the whole of one that is too long for that."""
    encoded = wtf8.encode(secret_id)
    key = short_key(encoded)
    return key, None if key is encoded else encoded


def short_key(encoded: bytes) -> bytes:
    """What stands for a secret id in a key."""
    if len(encoded) <= LONGEST:
        return encoded
    return _SHORTENED + hashlib.sha256(encoded).digest()


def is_shortened(key: bytes) -> bool:
    """Whether a key only stands for an id, which is then in `long_id`."""
    return key.startswith(_SHORTENED)


def secret_id(key: bytes, long: bytes | None) -> str:
    """The secret id of a row."""
    return wtf8.decode(key if long is None else long)
