"""What one transaction reads and writes: every statement of the domain."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from smfs.crypto import wtf8
from smfs.crypto.box import Box
from smfs.errors import SpaceNotFound
from smfs.protocol.spaces import Space, StoredSecret, SubSpace
from smfs.service.admission_rows import AdmissionRows
from smfs.service.feed_rows import FeedRows
from smfs.service.handed_rows import HandedRows
from smfs.service.hook_rows import HookRows, Target
from smfs.service.keys import node_key, secret_key

_CHANGES_PER_MS: Final = 1000
"""More than any disk takes: so a space that is opened anew begins above all its old revisions."""


@dataclass(frozen=True)
class SpaceRow:
    """A space, without what is in it."""

    closure_date: float | None
    owner: str | None
    hooked: bool


class Rows:
    """The rows of one transaction; closed spaces and sub spaces count as missing.

    Args:
        connection: in a transaction.
        now: ms since 1970.

    Attributes:
        now: as above.
        hooks: the notification hooks.
        admission: the auth codes and used signatures.
        feed: what the change feed tells.
        handed: the one-time secrets that were handed out.
    """

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._run = connection.execute
        self.now = now
        self.hooks = HookRows(connection)
        self.admission = AdmissionRows(connection, now)
        self.feed = FeedRows(connection, now)
        self.handed = HandedRows(connection, now)

    # --- spaces -------------------------------------------------------------------------------

    def space(self, node_id: str) -> SpaceRow | None:
        """A space that is open."""
        row = self._run(
            "SELECT closure_date, owner, hooked FROM spaces"
            " WHERE node_id = ? AND (closure_date IS NULL OR closure_date > ?)",
            (node_key(node_id), self.now),
        ).fetchone()
        return SpaceRow(row[0], row[1] and row[1].hex(), bool(row[2])) if row else None

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
        senders = self._run(
            "SELECT from_id FROM sub_spaces WHERE node_id = ?", (node_key(node_id),)
        ).fetchall()
        for (from_id,) in senders:
            self.feed.remove_recipient(from_id.hex(), node_id)
        self._run("DELETE FROM spaces WHERE node_id = ?", (node_key(node_id),))
        self.feed.touched.add(node_id)

    def next_revision(self, node_id: str) -> int:
        """A new revision of a space; SpaceNotFound when there is none."""
        revision = self.feed.next_revision(node_id)
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

    def delete_sub_space(self, node_id: str, from_id: str) -> None:
        """Stops accepting a sender; all that he shared goes, hooks included."""
        key = (node_key(node_id), node_key(from_id))
        for table in ("hooks", "secrets", "sub_spaces"):
            self._run(f"DELETE FROM {table} WHERE node_id = ? AND from_id = ?", key)  # noqa: S608
        self.feed.remove_recipient(from_id, node_id)

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
        revision: int,
        *,
        one_time: bool = False,
    ) -> None:
        """Sets a secret; one that is there keeps its place, its hooks and its one-time flag."""
        self._run(
            "INSERT INTO secrets"
            " (node_id, from_id, secret_id, point, content, one_time, place, revision)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)"
            " ON CONFLICT DO UPDATE SET point = ?4, content = ?5, one_time = one_time OR ?6,"
            " revision = ?7",
            (
                node_key(node_id),
                node_key(from_id),
                secret_key(secret_id),
                bytes.fromhex(box.reference_point_hex),
                bytes.fromhex(box.encrypted_content_hex),
                one_time,
                revision,
            ),
        )

    def delete_secret(self, node_id: str, from_id: str, secret_id: str) -> bool:
        """Removes a secret and its hooks; returns whether there was one."""
        key = (node_key(node_id), node_key(from_id), secret_key(secret_id))
        where = "WHERE node_id = ? AND from_id = ? AND secret_id = ?"
        self._run(f"DELETE FROM hooks {where}", key)  # noqa: S608 - a constant
        return self._run(f"DELETE FROM secrets {where}", key).rowcount > 0  # noqa: S608

    # --- whole listings -----------------------------------------------------------------------

    def whole_space(self, node_id: str, space: SpaceRow, server_id: str) -> Space:
        """Everything of a node, in the order of insertion."""
        hooks = self.hooks.lists(node_id) if space.hooked else {}
        listed = self._run(
            "SELECT from_id, secret_id, point, content, one_time, hooked FROM secrets"
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
                    date, by_sender.get(sub, {}), _hook_ids(hooks, hooked, Target(sub.hex()))
                )
                for sub, date, hooked in subs
            },
            notification_hooks=_hook_ids(hooks, self.hooks.has_space_ever_had(node_id), Target()),
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
            "SELECT from_id, secret_id, point, content, one_time, hooked FROM secrets"
            " WHERE node_id = ? AND from_id = ? ORDER BY place",
            (node_key(node_id), node_key(from_id)),
        )
        return SubSpace(
            row[0],
            _by_sender(listed, hooks).get(node_key(from_id), {}),
            _hook_ids(hooks, row[1], Target(from_id)),
        )

    # --- closures -----------------------------------------------------------------------------

    def closed(self) -> list[tuple[str, str]]:
        """What is past its closure date: node id, and sender or nothing for the space itself."""
        subs = self._run(
            "SELECT node_id, from_id FROM sub_spaces WHERE closure_date <= ?", (self.now,)
        ).fetchall()
        spaces = self._run(
            "SELECT node_id, x'' FROM spaces WHERE closure_date <= ?", (self.now,)
        ).fetchall()
        return [(node.hex(), sub.hex()) for node, sub in subs + spaces]

    def is_closed(self, node_id: str, from_id: str) -> bool:
        """Whether a sub space (or with an empty `from_id` the space) is past its date."""
        table = "sub_spaces" if from_id else "spaces"
        key = " AND from_id = ?" if from_id else ""
        arguments = [node_key(node_id), self.now, *([node_key(from_id)] if from_id else [])]
        row = self._run(
            f"SELECT 1 FROM {table} WHERE node_id = ? AND closure_date <= ?{key}",  # noqa: S608
            arguments,
        ).fetchone()
        return row is not None


def _by_sender(
    listed: Iterable[tuple[bytes, bytes, bytes, bytes, int, int]], hooks: dict[Target, list[str]]
) -> dict[bytes, dict[str, StoredSecret]]:
    found: dict[bytes, dict[str, StoredSecret]] = {}
    for sender, key, point, content, one_time, hooked in listed:
        secret_id = wtf8.decode(key)
        hook_ids = _hook_ids(hooks, hooked, Target(sender.hex(), secret_id))
        box = Box(point.hex(), content.hex())
        found.setdefault(sender, {})[secret_id] = StoredSecret(box, bool(one_time), hook_ids)
    return found


def _hook_ids(
    hooks: dict[Target, list[str]], hooked: int, target: Target
) -> tuple[str, ...] | None:
    return tuple(hooks.get(target, ())) if hooked else None
