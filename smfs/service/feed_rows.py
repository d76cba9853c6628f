"""The rows of the change feed: what stands, what went, and which revision each has."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from smfs.service.keys import node_key, secret_key

SECRET: Final = 0
SENDER: Final = 1
RECIPIENT: Final = 2

Row: TypeAlias = tuple[int, int, int, bytes, bytes | None, int, float | None, Any, Any]
"""Revision, kind, whether it went, the other side, secret id, one-time, date, point, content."""

_REMEMBERED_MS: Final = 7 * 24 * 3600 * 1000
_MOST_REMEMBERED: Final = 10_000
_LEFT: Final = 9_000  # of more than that: so that not every deletion has to forget an older one
_PAGE: Final = 10_000
_PAGE_WITH_CONTENTS: Final = 1_000
_PAGE_BYTES: Final = 1024 * 1024

# The order of the four is that of indices, so it is a merge, which ends where the page ends.
_CHANGES: Final = """
SELECT revision, 0, 0, from_id, secret_id, one_time, NULL, {point}, {content} FROM secrets
    WHERE node_id = ?1 AND revision > ?2 AND from_id NOT IN (
        SELECT from_id FROM sub_spaces WHERE node_id = ?1 AND closure_date <= ?3)
UNION ALL SELECT place, 1, 0, from_id, NULL, 0, closure_date, NULL, NULL FROM sub_spaces
    WHERE node_id = ?1 AND place > ?2 AND (closure_date IS NULL OR closure_date > ?3)
UNION ALL SELECT revision, 2, 0, recipient_id, NULL, 0, closure_date, NULL, NULL FROM recipients
    WHERE node_id = ?1 AND revision > ?2 AND (closure_date IS NULL OR closure_date > ?3)
{gone}
ORDER BY 1
"""
_GONE: Final = """
UNION ALL SELECT revision, kind, 1, other_id, secret_id, 0, NULL, NULL, NULL FROM gone
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
        connection: in a transaction.
        now: ms since 1970.

    Attributes:
        touched: the node ids of the spaces that the transaction changed.
    """

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._run = connection.execute
        self._now = now
        self.touched: set[str] = set()

    def next_revision(self, node_id: str) -> int | None:
        """A new revision of a space; it holds the write lock, so none is skipped.

        Returns:
            None when there is no such space.
        """
        row = self._run(
            "UPDATE spaces SET revision = revision + 1 WHERE node_id = ? RETURNING revision",
            (node_key(node_id),),
        ).fetchone()
        self.touched.add(node_id)
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
        most, left = (_PAGE_WITH_CONTENTS if contents else _PAGE), _PAGE_BYTES
        found: list[Row] = []
        for row in self._run(
            changes_query(contents=contents, with_gone=with_gone),
            (
                node_key(node_id),
                since,
                self._now,
            ),
        ):
            if len(found) >= most or left <= 0:
                return found, True
            found.append(row)
            left -= len(row[-1] or b"")
        return found, False

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
            "INSERT INTO gone VALUES (?, ?, ?, ?, ?, ?)",
            (key, revision, kind, node_key(other_id), secret_key(secret_id), self._now),
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
            "UPDATE spaces SET floor = max(floor, ?), remembered = remembered - ?"
            " WHERE node_id = ?",
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


def changes_query(*, contents: bool, with_gone: bool) -> str:
    """The SQL of a page: ?1 is the node id, ?2 the revision before it, ?3 now."""
    point, content = ("point", "content") if contents else ("NULL", "NULL")
    return _CHANGES.format(point=point, content=content, gone=_GONE if with_gone else "")
