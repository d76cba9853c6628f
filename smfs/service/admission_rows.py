"""The rows of what lets somebody in: auth codes and used signatures (PROTOCOL.md 5, 6)."""

from __future__ import annotations

import hashlib
import sqlite3

from smfs.protocol import canonical, signing
from smfs.service.keys import node_key


class AdmissionRows:
    """The codes and signatures, in one transaction.

    Args:
        connection: in a transaction.
        now: ms since 1970.
    """

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._run = connection.execute
        self._now = now

    def add_code(self, code: str, action: str, creator: str) -> None:
        """A code that works once."""
        self._run(
            "INSERT INTO auth_codes VALUES (?, ?, ?)",
            (_digest(code), canonical.encode(action), node_key(creator)),
        )

    def code_creator(self, code: str, action: str) -> str | None:
        """Who made a code for this action that was not used yet."""
        row = self._run(
            "SELECT creator FROM auth_codes WHERE digest = ? AND action = ?",
            (_digest(code), canonical.encode(action)),
        ).fetchone()
        return row[0].hex() if row else None

    def use_code(self, code: str) -> None:
        """A code was used."""
        self._run("DELETE FROM auth_codes WHERE digest = ?", (_digest(code),))

    def use_signature(self, timestamp: float, signature: bytes) -> bool:
        """Remembers a request's signature under its timestamp; False when it was used before.

        Args:
            timestamp: one of the frames that are accepted now, ms since 1970.
            signature: 64 bytes.
        """
        added = self._run(
            "INSERT INTO used_signatures VALUES (?, ?) ON CONFLICT DO NOTHING",
            (int(timestamp), signature),
        )
        return added.rowcount > 0

    def forget_signatures(self) -> None:
        """Those whose timestamps are refused by now."""
        # A frame more than that: a request may have been looked at before it waited for its turn.
        oldest = signing.accepted_frames(self._now)[0] - signing.FRAME_MS
        self._run("DELETE FROM used_signatures WHERE timestamp < ?", (oldest,))


def _digest(code: str) -> bytes:
    # Who reads the database must not be able to use a code.
    return hashlib.sha256(code.encode()).digest()
