"""The change feed (docs/additions.md)."""

from __future__ import annotations

from dataclasses import dataclass

from smfs.crypto import wtf8
from smfs.crypto.box import Box
from smfs.protocol import changes, requests
from smfs.protocol.changes import Change, Changes
from smfs.service.domain.operation import Operation, Sealed
from smfs.service.feed_rows import RECIPIENT, SECRET, FeedRow, Row


@dataclass(frozen=True)
class Page(Sealed):
    """A page of the feed.

    Attributes:
        is_idle: whether it says only that nothing has changed.
    """

    is_idle: bool


def get_changes(op: Operation, request: requests.GetChanges) -> Page:
    """What has changed in the asker's space since a revision, or all that stands."""
    node_id = request.public_key
    op.space(node_id)
    op.met.clear()
    state = op.rows.feed.state(node_id)
    begins = _begins_anew(request, state)
    since = 0 if begins else int(request.since)
    if since == state.revision:
        return _page(node_id, state, since, [], more=False, is_idle=True)
    feed = op.rows.feed
    rows, more = feed.page(node_id, since, contents=request.contents, with_gone=not begins)
    told = [(row, feed.id_of(node_id, row)) for row in rows]
    return _page(node_id, state, since, told, more=more, is_idle=False)


def _begins_anew(request: requests.GetChanges, state: FeedRow) -> bool:
    since = request.since
    if request.feed != state.feed or not 0 < since <= state.revision or since % 1:
        return True
    return since < state.floor and not request.listing


def _page(
    node_id: str,
    state: FeedRow,
    since: int,
    rows: list[tuple[Row, bytes]],
    *,
    more: bool,
    is_idle: bool,
) -> Page:
    revision = rows[-1][0][0] if more else state.revision

    def build() -> dict[str, object]:
        page = Changes(state.feed, since, revision, more, tuple(_change(*each) for each in rows))
        return page.to_wire()

    return Page(node_id, build, is_idle)


def _change(row: Row, secret_id: bytes) -> Change:
    revision, kind, went, other, _, one_time, date, point, content, _ = row
    other_id = other.hex()
    if kind == SECRET:
        name = wtf8.decode(secret_id)
        if went:
            return changes.SecretGone(revision, other_id, name)
        box = None if point is None else Box(point.hex(), content.hex())
        return changes.SecretChanged(revision, other_id, name, bool(one_time), box)
    role = changes.RECIPIENT if kind == RECIPIENT else changes.SENDER
    if went:
        return changes.NodeGone(revision, role, other_id)
    return changes.NodeChanged(revision, role, other_id, date)
