"""The rows of what lets somebody in: auth codes and used signatures (PROTOCOL.md 5, 6)."""

from __future__ import annotations

import hashlib

from smfs.protocol import canonical, signing
from smfs.service.store.base import Signature, Transaction
from smfs.service.store.keys import node_key


class AdmissionRows:
    """The codes and signatures, in one transaction.

    Args:
        transaction: which.
        now: ms since 1970.
    """

    def __init__(self, transaction: Transaction, now: int) -> None:
        self._transaction = transaction
        self._run = transaction.execute
        self._now = now

    def add_code(self, code: str, action: str, creator: str, note: str = "") -> None:
        """A code that works once.

        Args:
            code: 64 hex digits.
            action: the route that it is for.
            creator: whose it is; empty for the operator.
            note: the operator's.
        """
        self._run(
            "INSERT INTO auth_codes (digest, action, creator, made, note) VALUES (?, ?, ?, ?, ?)",
            (_digest(code), canonical.encode(action), node_key(creator), self._now, note),
        )

    def code_creator(self, code: str, action: str) -> str | None:
        """Who made a code for this action that was not used yet; empty for the operator."""
        row = self._run(
            "SELECT creator FROM auth_codes WHERE digest = ? AND action = ?"
            + self._transaction.locking,
            (_digest(code), canonical.encode(action)),
        ).fetchone()
        return row[0].hex() if row else None

    def use_code(self, code: str) -> None:
        """A code was used."""
        self._run("DELETE FROM auth_codes WHERE digest = ?", (_digest(code),))

    def use_signature(
        self, node_id: str, timestamp: float, signature: bytes, *, keep: bool
    ) -> bool:
        """Remembers a request's signature under its timestamp; False when it was used before.

        Args:
            node_id: who signed.
            timestamp: one of the frames that are accepted now, ms since 1970.
            signature: 64 bytes.
            keep: whether to remember it; without, it is only looked for.
        """
        used = Signature(node_key(node_id), int(timestamp), signature)
        return self._transaction.use_signature(used, keep=keep)

    def forget_signatures(self) -> None:
        """Those whose timestamps are refused by now."""
        # A frame more than that: a request may have been looked at before it waited for its turn.
        oldest = signing.accepted_frames(self._now)[0] - signing.FRAME_MS
        self._transaction.forget_signatures(oldest)


def _digest(code: str) -> bytes:
    # Who reads the database must not be able to use a code.
    return hashlib.sha256(code.encode()).digest()
