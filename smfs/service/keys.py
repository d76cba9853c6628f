"""The parts of a row's key: node ids as 32 bytes, secret ids as WTF-8."""

from __future__ import annotations

from typing import Final

from smfs.crypto import wtf8

OWN: Final = ""
"""The sender's place in the key of an own secret."""


def node_key(node_id: str) -> bytes:
    """A node id, or `OWN`, as bytes."""
    return bytes.fromhex(node_id)


def secret_key(secret_id: str | None) -> bytes | None:
    """A secret id as bytes."""
    return None if secret_id is None else wtf8.encode(secret_id)
