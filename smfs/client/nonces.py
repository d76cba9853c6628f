"""Nonces: counted from a random beginning, so that no restart looks like a replay."""

from __future__ import annotations

import secrets

from smfs.protocol.signing import NONCE_LIMIT


class Nonces:
    """The nonces of one client (PROTOCOL.md section 5)."""

    def __init__(self) -> None:
        self._next = secrets.randbelow(NONCE_LIMIT)

    def take(self) -> int:
        """The next nonce; none comes twice within ten million."""
        taken = self._next
        self._next = (taken + 1) % NONCE_LIMIT
        return taken

    def jump(self) -> None:
        """Goes on from another random place, after a service took a request for a replay."""
        self._next = secrets.randbelow(NONCE_LIMIT)
