"""The rows of the change feed: what stands, what went, and which revision each has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from smfs.service.store.base import Transaction
from smfs.service.store.keys import is_shortened, long_id, node_key, secret_key

SECRET: Final = 0
SENDER: Final = 1
RECIPIENT: Final = 2

Row: TypeAlias = tuple[int, int, int, bytes, bytes | None, int, float | None, Any, Any, Any]
"""Revision, kind, whether it went, the other side, the secret's key, one-time, date, point,
content, the secret's id where its key only stands for it."""

_REMEMBERED_MS: Final = 7 * 24 * 3600 * 1000
_MOST_REMEMBERED: Final = 10_000
_LEFT: Final = 9_000  # of more than that: so that not every deletion has to forget an older one
_PAGE: Final = 10_000
_PAGE_WITH_CONTENTS: Final = 1_000
_PAGE_BYTES: Final = 1024 * 1024

# The order of the four is that of indices, so it is a merge, which ends where the page ends.
_CHANGES: Final = """
SELECT revision, 0, 0, from_id, secret_id, one_time, CAST(NULL AS DOUBLE PRECISION),
    {point}, {content}, CAST(NULL AS BYTEA) FROM secrets
    WHERE node_id = ?1 AND revision > ?2 AND from_id NOT IN (
        SELECT from_id FROM sub_spaces WHERE node_id = ?1 AND closure_date <= ?3)
UNION ALL SELECT place, 1, 0, from_id, NULL, 0, closure_date, NULL, NULL, NULL FROM sub_spaces
    WHERE node_id = ?1 AND place > ?2 AND (closure_date IS NULL OR closure_date > ?3)
UNION ALL SELECT revision, 2, 0, recipient_id, NULL, 0, closure_date, NULL, NULL, NULL
    FROM recipients
    WHERE node_id = ?1 AND revision > ?2 AND (closure_date IS NULL OR closure_date > ?3)
{gone}
ORDER BY 1 LIMIT ?4
"""
_GONE: Final = """
UNION ALL SELECT revision, kind, 1, other_id, secret_id, 0, NULL, NULL, NULL, long_id FROM gone
    WHERE node_id = ?1 AND revision > ?2
"""


@dataclass(frozen=True)
class FeedRow:
    """How far the feed of a space goes.

    Attributes:
        feed: the identity of this opening, 32 hex digits.
        revision: the newest one.
        floor: of what went up to this one some is forgotten.
    """

    feed: str
    revision: int
    floor: int


class FeedRows:
    """The feed, in one transaction.

    Args:
        transaction: which.
        now: ms since 1970.

    """

    def __init__(self, transaction: Transaction, now: int) -> None:
        self._run = transaction.execute
        self._now = now
        self._touched = transaction.touched

    def next_revision(self, node_id: str, secrets: int = 0, content_bytes: int = 0) -> int | None:
        """A new revision of a space; its row is locked from now on, so none is skipped.

        Args:
            node_id: whose.
            secrets: how many more there are with it.
            content_bytes: how much more they take.

        Returns:
            None when there is no such space.
        """
        row = self._run(
            "UPDATE spaces SET revision = revision + 1, secrets = secrets + ?, bytes = bytes + ?"
            " WHERE node_id = ? RETURNING revision",
            (secrets, content_bytes, node_key(node_id)),
        ).fetchone()
        self._touched.add(node_id)
        return row[0] if row else None

    def first_revision(self, node_id: str, proposed: int) -> int:
        """The revision of a space's opening: above all that its node has already."""
        return max(proposed, self._newest_recipient(node_id) + 1)

    def state(self, node_id: str) -> FeedRow:
        """How far the feed of an open space goes."""
        feed, revision, floor = self._run(
            "SELECT feed, revision, floor FROM spaces WHERE node_id = ?", (node_key(node_id),)
        ).fetchone()
        return FeedRow(feed.hex(), revision, floor)

    def page(
        self, node_id: str, since: int, *, contents: bool, with_gone: bool
    ) -> tuple[list[Row], bool]:
        """What has a revision above `since`, in growing order.

        Args:
            node_id: of the space.
            since: a revision.
            contents: whether the boxes are wanted.
            with_gone: whether what went is.

        Returns:
            the first so many, and whether there are more.
        """
        most = _PAGE
        if contents:
            most = self._fitting(node_id, since, with_gone=with_gone)
        rows = self._changes(node_id, since, most + 1, "content" if contents else None, with_gone)
        return rows[:most], len(rows) > most

    def _fitting(self, node_id: str, since: int, *, with_gone: bool) -> int:
        """How many changes with their contents make a page; at least one."""
        left = _PAGE_BYTES
        sizes = self._changes(node_id, since, _PAGE_WITH_CONTENTS, "length(content)", with_gone)
        for count, row in enumerate(sizes):
            if left <= 0:
                return count
            left -= row[8] or 0
        return _PAGE_WITH_CONTENTS

    def _changes(
        self,
        node_id: str,
        since: int,
        most: int,
        content: str | None,
        with_gone: bool,  # noqa: FBT001
    ) -> list[Row]:
        query = changes_query(content=content, with_gone=with_gone)
        return self._run(query, (node_key(node_id), since, self._now, most)).fetchall()

    def id_of(self, node_id: str, row: Row) -> bytes:
        """The secret id that a row tells of, as WTF-8."""
        _, _, went, from_id, key, *_, long = row
        if key is None or not is_shortened(key) or went:
            return long or key or b""
        # Looked up for the few: in the index of all it would have no room.
        found = self._run(
            "SELECT long_id FROM secrets WHERE node_id = ? AND from_id = ? AND secret_id = ?",
            (node_key(node_id), from_id, key),
        ).fetchone()
        return found[0] if found else b""

    # --- what went ----------------------------------------------------------------------------

    def secret_went(self, node_id: str, from_id: str, secret_id: str, revision: int) -> None:
        """A secret was deleted, taken back or consumed."""
        self._remember(node_id, revision, SECRET, from_id, secret_id)

    def sender_went(self, node_id: str, from_id: str, revision: int) -> None:
        """A sender is accepted no more."""
        self._remember(node_id, revision, SENDER, from_id)

    def forget(self) -> None:
        """What went long ago; who has not asked since then gets a full listing."""
        before = self._now - _REMEMBERED_MS
        forgotten = self._run(
            "SELECT node_id, max(revision) FROM gone WHERE time < ? GROUP BY node_id", (before,)
        ).fetchall()
        for key, revision in forgotten:
            self._forget_until(key, revision)

    def _remember(
        self, node_id: str, revision: int, kind: int, other_id: str, secret_id: str | None = None
    ) -> None:
        key = node_key(node_id)
        self._run(
            "INSERT INTO gone (node_id, revision, kind, other_id, secret_id, time, long_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                revision,
                kind,
                node_key(other_id),
                None if secret_id is None else secret_key(secret_id),
                self._now,
                None if secret_id is None else long_id(secret_id),
            ),
        )
        [remembered] = self._run(
            "UPDATE spaces SET remembered = remembered + 1 WHERE node_id = ? RETURNING remembered",
            (key,),
        ).fetchone()
        if remembered > _MOST_REMEMBERED:
            [oldest] = self._run(
                "SELECT revision FROM gone WHERE node_id = ? ORDER BY revision DESC"
                " LIMIT 1 OFFSET ?",
                (key, _LEFT),
            ).fetchone()
            self._forget_until(key, oldest)

    def _forget_until(self, key: bytes, revision: int) -> None:
        went = self._run("DELETE FROM gone WHERE node_id = ? AND revision <= ?", (key, revision))
        self._run(
            "UPDATE spaces SET floor = CASE WHEN floor < ?1 THEN ?1 ELSE floor END,"
            " remembered = remembered - ?2 WHERE node_id = ?3",
            (revision, went.rowcount, key),
        )

    # --- who accepts a node -------------------------------------------------------------------

    def add_recipient(self, node_id: str, recipient_id: str, closure_date: float | None) -> None:
        """A node is accepted by another one.

        Args:
            node_id: who may share.
            recipient_id: with whom.
            closure_date: of the sub space; that of its space counts where it is earlier.
        """
        revision = self.next_revision(node_id)
        if revision is None:
            revision = self._newest_recipient(node_id) + 1
        [ends] = self._run(
            "SELECT closure_date FROM spaces WHERE node_id = ?", (node_key(recipient_id),)
        ).fetchone()
        dates = [date for date in (closure_date, ends) if date is not None]
        self._run(
            "INSERT INTO recipients VALUES (?, ?, ?, ?)",
            (node_key(node_id), node_key(recipient_id), min(dates, default=None), revision),
        )

    def remove_recipient(self, node_id: str, recipient_id: str) -> None:
        """A node is accepted no more by another one; fine when it was not."""
        removed = self._run(
            "DELETE FROM recipients WHERE node_id = ? AND recipient_id = ?",
            (node_key(node_id), node_key(recipient_id)),
        )
        if removed.rowcount:
            revision = self.next_revision(node_id)
            if revision is not None:
                self._remember(node_id, revision, RECIPIENT, recipient_id)

    def _newest_recipient(self, node_id: str) -> int:
        [newest] = self._run(
            "SELECT max(revision) FROM recipients WHERE node_id = ?", (node_key(node_id),)
        ).fetchone()
        return newest or 0


def changes_query(*, content: str | None, with_gone: bool) -> str:
    """The SQL of a page: ?1 is the node id, ?2 the revision before it, ?3 now, ?4 the most rows.

    Args:
        content: what is wanted of a content; None for nothing.
        with_gone: whether what went is wanted.
    """
    point = "point"
    if content is None:
        point = content = "CAST(NULL AS BYTEA)"
    return _CHANGES.format(point=point, content=content, gone=_GONE if with_gone else "")
