"""The rows of what hooks have yet to be told."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from typing import Final

from smfs.protocol import canonical
from smfs.service.hook_rows import Hook
from smfs.service.store.base import Transaction
from smfs.service.store.keys import node_key

_MOST: Final = 1000
_MOST_BYTES: Final = 16 * 1024 * 1024

_number = itertools.count()


@dataclass(frozen=True)
class Delivery:
    """One message to one hook.

    Attributes:
        node_id: whose hook.
        delivery_id: of the row.
        hook_id: which hook; it may be gone.
        url: whom to call.
        body: what to say.
        attempts: how often that was tried, this time included.
    """

    node_id: str
    delivery_id: bytes
    hook_id: str
    url: str
    body: bytes
    attempts: int


class DeliveryRows:
    """The queue, in one transaction.

    Args:
        transaction: which.
        now: ms since 1970.
    """

    def __init__(self, transaction: Transaction, now: int) -> None:
        self._run = transaction.execute
        self._locking = transaction.locking and transaction.locking + " SKIP LOCKED"
        self._now = now

    def add(self, messages: list[tuple[Hook, bytes]]) -> int:
        """Queues messages; of one node that waits for too many already they are dropped.

        Returns:
            how many were dropped.
        """
        dropped = 0
        room: dict[str, tuple[int, int]] = {}
        for hook, body in messages:
            if hook.node_id not in room:
                room[hook.node_id] = self._room(hook.node_id)
            count, size = room[hook.node_id]
            if count < 1 or size < len(body):
                dropped += 1
                continue
            room[hook.node_id] = count - 1, size - len(body)
            self._add(hook, body)
        return dropped

    def _room(self, node_id: str) -> tuple[int, int]:
        count, size = self._run(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM deliveries WHERE node_id = ?",
            (node_key(node_id),),
        ).fetchone()
        return _MOST - count, _MOST_BYTES - int(size)

    def _add(self, hook: Hook, body: bytes) -> None:
        # What is due at the same moment is delivered in the order of its ids.
        ordered = (self._now << 20 | next(_number) & 0xFFFFF).to_bytes(8, "big")
        self._run(
            "INSERT INTO deliveries (node_id, delivery_id, hook_id, url, body, due)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                node_key(hook.node_id),
                ordered + secrets.token_bytes(8),
                bytes.fromhex(hook.hook_id),
                canonical.encode(hook.url),
                body,
                self._now,
            ),
        )

    def next_due(self) -> int | None:
        """When the next one is due, ms since 1970; None when none waits."""
        [due] = self._run("SELECT min(due) FROM deliveries").fetchone()
        return due  # type: ignore[no-any-return]

    def count(self) -> int:
        """How many wait."""
        [count] = self._run("SELECT count(*) FROM deliveries").fetchone()
        return int(count)

    def take(self, most: int, until: int) -> list[Delivery]:
        """Some that are due; nobody else takes them.

        Args:
            most: how many.
            until: when somebody else may, ms since 1970: whoever took them must be dead then.
        """
        rows = self._run(
            "SELECT node_id, delivery_id, hook_id, url, body, attempts FROM deliveries"
            " WHERE due <= ? ORDER BY due, delivery_id LIMIT ?" + self._locking,
            (self._now, most),
        ).fetchall()
        for node, delivery_id, *_ in rows:
            self._run(
                "UPDATE deliveries SET due = ?, attempts = attempts + 1"
                " WHERE node_id = ? AND delivery_id = ?",
                (until, node, delivery_id),
            )
        return [
            Delivery(node.hex(), delivery_id, hook.hex(), canonical.decode(url), body, attempts + 1)
            for node, delivery_id, hook, url, body, attempts in rows
        ]

    def later(self, delivery: Delivery, due: int) -> None:
        """It is to be tried again."""
        self._run(
            "UPDATE deliveries SET due = ? WHERE node_id = ? AND delivery_id = ?",
            (due, node_key(delivery.node_id), delivery.delivery_id),
        )

    def remove(self, delivery: Delivery) -> None:
        """It was delivered, or given up."""
        self._run(
            "DELETE FROM deliveries WHERE node_id = ? AND delivery_id = ?",
            (node_key(delivery.node_id), delivery.delivery_id),
        )
