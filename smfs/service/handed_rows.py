"""The rows of one-time secrets that were handed out, kept for answers that get lost."""

from __future__ import annotations

from typing import Final

from smfs.crypto.box import Box
from smfs.protocol import signing
from smfs.service.store.base import Transaction
from smfs.service.store.keys import node_key, secret_key

# They count for no quota.
_MOST: Final = 1000
_MOST_BYTES: Final = 64 * 1024 * 1024


class HandedRows:
    """What was handed out lately, in one transaction.

    Args:
        transaction: which.
        now: ms since 1970.
    """

    def __init__(self, transaction: Transaction, now: int) -> None:
        self._run = transaction.execute
        self._now = now

    def add(self, node_id: str, signature: str, from_id: str, secret_id: str, box: Box) -> None:
        """A secret was handed out to a node.

        Args:
            node_id: to whom.
            signature: of the request, 128 hex digits.
            from_id: who had shared it.
            secret_id: its id.
            box: the answer.
        """
        self._run(
            "INSERT INTO handed_out"
            " (node_id, signature, from_id, secret_id, point, content, time)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                node_key(node_id),
                bytes.fromhex(signature),
                node_key(from_id),
                secret_key(secret_id),
                bytes.fromhex(box.reference_point_hex),
                bytes.fromhex(box.encrypted_content_hex),
                self._now,
            ),
        )

    def find(self, node_id: str, signature: str, from_id: str, secret_id: str) -> Box | None:
        """What was handed out; arguments as of `add`."""
        row = self._run(
            "SELECT point, content FROM handed_out"
            " WHERE node_id = ? AND signature = ? AND from_id = ? AND secret_id = ? AND time > ?",
            (
                node_key(node_id),
                bytes.fromhex(signature),
                node_key(from_id),
                secret_key(secret_id),
                self._now - signing.REPLAY_WINDOW_MS,
            ),
        ).fetchone()
        return Box(row[0].hex(), row[1].hex()) if row else None

    def forget(self) -> None:
        """What was handed out so long ago that nobody asks for it any more, or is too much."""
        rows = self._run(
            "SELECT node_id FROM handed_out GROUP BY node_id"
            " HAVING count(*) > ? OR sum(length(content)) > ?",
            (_MOST, _MOST_BYTES),
        ).fetchall()
        for (key,) in rows:
            self._forget_oldest(key)
        self._run("DELETE FROM handed_out WHERE time <= ?", (self._now - signing.REPLAY_WINDOW_MS,))

    def _forget_oldest(self, key: bytes) -> None:
        count, size = 0, 0
        rows = self._run(
            "SELECT signature, length(content) FROM handed_out WHERE node_id = ?"
            " ORDER BY time DESC",
            (key,),
        ).fetchall()
        for signature, length in rows:
            count, size = count + 1, size + length
            if count > _MOST or size > _MOST_BYTES:
                self._run(
                    "DELETE FROM handed_out WHERE node_id = ? AND signature = ?", (key, signature)
                )
