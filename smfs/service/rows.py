"""What one transaction reads and writes: every statement of the domain."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from smfs.crypto.box import Box
from smfs.errors import SpaceNotFound
from smfs.protocol.spaces import Space, StoredSecret, SubSpace
from smfs.service.admission_rows import AdmissionRows
from smfs.service.feed_rows import FeedRows
from smfs.service.handed_rows import HandedRows
from smfs.service.hook_rows import HookIds, HookKey, HookRows
from smfs.service.store.base import Transaction
from smfs.service.store.keys import key_and_long, node_key, secret_id, secret_key

# What a secret counts for in its space, and all of them together.
_SIZE: Final = "length(secret_id) + coalesce(length(long_id), 0) + length(content)"
_SIZES: Final = f"coalesce(sum({_SIZE}), 0)"
_CHANGES_PER_MS: Final = 1000
"""More than any disk takes: so a space that is opened anew begins above all its old revisions."""


@dataclass(frozen=True)
class SpaceRow:
    """A space, without what is in it."""

    closure_date: float | None
    owner: str | None
    hooked: bool
    secrets: int
    content_bytes: int


class Rows:
    """The rows of one transaction; closed spaces and sub spaces count as missing.

    Args:
        transaction: which.
        now: ms since 1970.

    Attributes:
        now: as above.
        hooks: the notification hooks.
        admission: the auth codes and used signatures.
        feed: what the change feed tells.
        handed: the one-time secrets that were handed out.
    """

    def __init__(self, transaction: Transaction, now: int) -> None:
        self._run = transaction.execute
        self._locking = transaction.locking
        self.now = now
        self.hooks = HookRows(transaction)
        self.admission = AdmissionRows(transaction, now)
        self._touched = transaction.touched
        self.feed = FeedRows(transaction, now)
        self.handed = HandedRows(transaction, now)

    # --- spaces -------------------------------------------------------------------------------

    def space(self, node_id: str, *, lock: bool = False) -> SpaceRow | None:
        """A space that is open.

        Args:
            node_id: whose.
            lock: whether nobody else is to change it until the end of the transaction.
        """
        row = self._run(
            "SELECT closure_date, owner, hooked, secrets, bytes FROM spaces"
            " WHERE node_id = ? AND (closure_date IS NULL OR closure_date > ?)"
            + (self._locking if lock else ""),
            (node_key(node_id), self.now),
        ).fetchone()
        if row is None:
            return None
        return SpaceRow(row[0], row[1] and row[1].hex(), bool(row[2]), row[3], row[4])

    def add_space(self, node_id: str, closure_date: float | None, owner: str | None) -> int:
        """A new space; returns its revision."""
        self.delete_space(node_id)
        revision = self.feed.first_revision(node_id, self.now * _CHANGES_PER_MS)
        self._run(
            "INSERT INTO spaces (node_id, closure_date, owner, revision, feed, floor)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?4)",
            (
                node_key(node_id),
                closure_date,
                owner and node_key(owner),
                revision,
                secrets.token_bytes(16),
            ),
        )
        return revision

    def set_owner(self, node_id: str, owner: str) -> None:
        """Who made the code that the space was opened with."""
        self._run(
            "UPDATE spaces SET owner = ? WHERE node_id = ?", (node_key(owner), node_key(node_id))
        )

    def delete_space(self, node_id: str) -> None:
        """Everything of a node goes."""
        for from_id in self.senders(node_id):
            self.feed.remove_recipient(from_id, node_id)
        self._run("DELETE FROM spaces WHERE node_id = ?", (node_key(node_id),))
        self._touched.add(node_id)

    def senders(self, node_id: str) -> list[str]:
        """Those whom a node accepts, or did until they closed."""
        found = self._run("SELECT from_id FROM sub_spaces WHERE node_id = ?", (node_key(node_id),))
        return [row[0].hex() for row in found.fetchall()]

    def lock(self, node_ids: Iterable[str]) -> None:
        """Lets nobody else change these spaces, nor open them, until the end of the transaction.

        For all that one transaction will change: in the order of their ids, so that no two of them
        wait for each other.
        """
        if not self._locking:
            return
        for key in sorted(map(node_key, set(node_ids))):
            lock = "SELECT 1 FROM spaces WHERE node_id = ?" + self._locking
            if self._run(lock, (key,)).fetchone() is None:
                # Two who put the same row somewhere wait for each other, also when it goes at once.
                self._run("INSERT INTO locks VALUES (?)", (key,))
                self._run("DELETE FROM locks WHERE node_id = ?", (key,))
                self._run(lock, (key,))

    def next_revision(self, node_id: str, *, secrets: int = 0, content_bytes: int = 0) -> int:
        """A new revision of a space; SpaceNotFound when there is none.

        Args:
            node_id: whose.
            secrets: how many more there are with it.
            content_bytes: how much more they take.
        """
        revision = self.feed.next_revision(node_id, secrets, content_bytes)
        if revision is None:
            raise SpaceNotFound(node_id)
        return revision

    # --- sub spaces ---------------------------------------------------------------------------

    def has_sub_space(self, node_id: str, from_id: str) -> bool:
        """Whether a sender is accepted."""
        row = self._run(
            "SELECT 1 FROM sub_spaces WHERE node_id = ? AND from_id = ?"
            " AND (closure_date IS NULL OR closure_date > ?)",
            (node_key(node_id), node_key(from_id), self.now),
        ).fetchone()
        return row is not None

    def add_sub_space(
        self, node_id: str, from_id: str, closure_date: float | None, place: int
    ) -> None:
        """Accepts a sender."""
        self.delete_sub_space(node_id, from_id)
        self._run(
            "INSERT INTO sub_spaces (node_id, from_id, closure_date, place) VALUES (?, ?, ?, ?)",
            (node_key(node_id), node_key(from_id), closure_date, place),
        )
        self.feed.add_recipient(from_id, node_id, closure_date)

    def delete_sub_space(self, node_id: str, from_id: str) -> int | None:
        """Stops accepting a sender; all that he shared goes, hooks included.

        Returns:
            the new revision of the space; None when it has none, for he was not accepted.
        """
        key = (node_key(node_id), node_key(from_id))
        count, size = self._run(
            f"SELECT count(*), {_SIZES} FROM secrets WHERE node_id = ? AND from_id = ?",
            key,
        ).fetchone()
        for table in ("hooks", "secrets"):
            self._run(f"DELETE FROM {table} WHERE node_id = ? AND from_id = ?", key)
        found = self._run("DELETE FROM sub_spaces WHERE node_id = ? AND from_id = ?", key)
        self.feed.remove_recipient(from_id, node_id)
        if not found.rowcount:
            return None
        return self.next_revision(node_id, secrets=-count, content_bytes=-int(size))

    # --- secrets ------------------------------------------------------------------------------

    def secret(self, node_id: str, from_id: str, secret_id: str) -> StoredSecret | None:
        """One secret."""
        row = self._run(
            "SELECT point, content, one_time FROM secrets"
            " WHERE node_id = ? AND from_id = ? AND secret_id = ?",
            (node_key(node_id), node_key(from_id), secret_key(secret_id)),
        ).fetchone()
        return StoredSecret(Box(row[0].hex(), row[1].hex()), bool(row[2])) if row else None

    def put_secret(
        self,
        node_id: str,
        from_id: str,
        secret_id: str,
        box: Box,
        *,
        is_new: bool,
        grown: int,
        one_time: bool = False,
    ) -> int:
        """Sets a secret; one that is there keeps its place, its hooks and its one-time flag.

        Args:
            node_id: in whose space.
            from_id: who shares it; empty for an own secret.
            secret_id: its id.
            box: its content.
            is_new: whether there is none yet.
            grown: how many bytes more it counts for.
            one_time: whether it is handed out only once.

        Returns:
            the new revision of the space.
        """
        key, long = key_and_long(secret_id)
        place = (node_key(node_id), node_key(from_id), key)
        point, content = map(bytes.fromhex, (box.reference_point_hex, box.encrypted_content_hex))
        revision = self.next_revision(node_id, secrets=int(is_new), content_bytes=grown)
        self._run(
            "INSERT INTO secrets (node_id, from_id, secret_id, point, content, one_time, place,"
            " revision, long_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)"
            " ON CONFLICT (node_id, from_id, secret_id) DO UPDATE SET point = excluded.point,"
            " content = excluded.content, one_time = secrets.one_time | excluded.one_time,"
            " revision = excluded.revision",
            (*place, point, content, int(one_time), revision, long),
        )
        return revision

    def secret_size(self, node_id: str, from_id: str, secret_id: str) -> int | None:
        """How many bytes a secret counts for, as by `size_of`; None when there is none."""
        return self._size((node_key(node_id), node_key(from_id), secret_key(secret_id)))

    def _size(self, key: tuple[bytes, bytes, bytes]) -> int | None:
        row = self._run(
            f"SELECT {_SIZE} FROM secrets WHERE node_id = ? AND from_id = ? AND secret_id = ?",
            key,
        ).fetchone()
        return row[0] if row else None

    def delete_secret(self, node_id: str, from_id: str, secret_id: str) -> int | None:
        """Removes a secret and its hooks.

        Returns:
            the new revision of the space; None when there was no such secret.
        """
        key = (node_key(node_id), node_key(from_id), secret_key(secret_id))
        size = self._size(key)
        if size is None:
            return None
        where = "WHERE node_id = ? AND from_id = ? AND secret_id = ?"
        self._run(f"DELETE FROM hooks {where}", key)
        self._run(f"DELETE FROM secrets {where}", key)
        revision = self.next_revision(node_id, secrets=-1, content_bytes=-size)
        self.feed.secret_went(node_id, from_id, secret_id, revision)
        return revision

    # --- whole listings -----------------------------------------------------------------------

    def whole_space(self, node_id: str, space: SpaceRow, server_id: str) -> Space:
        """Everything of a node, in the order of insertion."""
        hooks = self.hooks.lists(node_id) if space.hooked else {}
        listed = self._run(
            "SELECT from_id, secret_id, long_id, point, content, one_time, hooked FROM secrets"
            " WHERE node_id = ? ORDER BY place",
            (node_key(node_id),),
        )
        subs = self._run(
            "SELECT from_id, closure_date, hooked FROM sub_spaces"
            " WHERE node_id = ? AND (closure_date IS NULL OR closure_date > ?) ORDER BY place",
            (node_key(node_id), self.now),
        ).fetchall()
        by_sender = _by_sender(listed, hooks)
        return Space(
            node_id=node_id,
            closure_date=space.closure_date,
            owner=space.owner,
            server_id=server_id,
            secrets=by_sender.get(b"", {}),
            sub_spaces={
                sub.hex(): SubSpace(
                    date, by_sender.get(sub, {}), _hook_ids(hooks, hooked, (sub, None))
                )
                for sub, date, hooked in subs
            },
            notification_hooks=_hook_ids(
                hooks, self.hooks.has_space_ever_had(node_id), (b"", None)
            ),
        )

    def sub_space(self, node_id: str, from_id: str) -> SubSpace | None:
        """All that one sender shared; None when he is not accepted."""
        row = self._run(
            "SELECT closure_date, hooked FROM sub_spaces WHERE node_id = ? AND from_id = ?"
            " AND (closure_date IS NULL OR closure_date > ?)",
            (node_key(node_id), node_key(from_id), self.now),
        ).fetchone()
        if row is None:
            return None
        hooks = self.hooks.lists(node_id)
        listed = self._run(
            "SELECT from_id, secret_id, long_id, point, content, one_time, hooked FROM secrets"
            " WHERE node_id = ? AND from_id = ? ORDER BY place",
            (node_key(node_id), node_key(from_id)),
        )
        return SubSpace(
            row[0],
            _by_sender(listed, hooks).get(node_key(from_id), {}),
            _hook_ids(hooks, row[1], (node_key(from_id), None)),
        )

    # --- closures -----------------------------------------------------------------------------

    def closed(self, most: int) -> list[tuple[str, str]]:
        """What is past its closure date: node id, and sender or nothing for the space itself.

        Args:
            most: of either kind.
        """
        subs = self._run(
            "SELECT node_id, from_id FROM sub_spaces WHERE closure_date <= ? LIMIT ?",
            (self.now, most),
        ).fetchall()
        spaces = self._run(
            "SELECT node_id FROM spaces WHERE closure_date <= ? LIMIT ?", (self.now, most)
        ).fetchall()
        return [(node.hex(), sub.hex()) for node, sub in subs] + [
            (row[0].hex(), "") for row in spaces
        ]

    def is_closed(self, node_id: str, from_id: str) -> bool:
        """Whether a sub space (or with an empty `from_id` the space) is past its date."""
        table = "sub_spaces" if from_id else "spaces"
        key = " AND from_id = ?" if from_id else ""
        arguments = [node_key(node_id), self.now, *([node_key(from_id)] if from_id else [])]
        row = self._run(
            f"SELECT 1 FROM {table} WHERE node_id = ? AND closure_date <= ?{key}",
            arguments,
        ).fetchone()
        return row is not None


def size_of(secret_id: str, box: Box) -> int:
    """How many bytes a secret counts for in its space."""
    key, long = key_and_long(secret_id)
    return len(key) + len(long or b"") + len(box.encrypted_content_hex) // 2


def _by_sender(
    listed: Iterable[tuple[bytes, bytes, bytes | None, bytes, bytes, int, int]], hooks: HookIds
) -> dict[bytes, dict[str, StoredSecret]]:
    found: dict[bytes, dict[str, StoredSecret]] = {}
    for sender, key, long, point, content, one_time, hooked in listed:
        hook_ids = _hook_ids(hooks, hooked, (sender, key))
        box = Box(point.hex(), content.hex())
        stored = StoredSecret(box, bool(one_time), hook_ids)
        found.setdefault(sender, {})[secret_id(key, long)] = stored
    return found


def _hook_ids(hooks: HookIds, hooked: int, target: HookKey) -> tuple[str, ...] | None:
    return tuple(hooks.get(target, ())) if hooked else None
