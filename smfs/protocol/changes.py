"""A page of the change feed: what an answer to getChanges holds (docs/additions.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from smfs.crypto.box import Box, box_from_json
from smfs.crypto.identity import is_node_id
from smfs.errors import MalformedData

LONGEST_WAIT_MS: Final = 25_000
"""For how long a service waits at the most until there is something to tell."""

_LATEST: Final = 2**53


@dataclass(frozen=True, slots=True)
class SecretChanged:
    """A secret was set or shared.

    Attributes:
        revision: the change's number in this space.
        from_id: the sender's node id; empty for an own secret.
        secret_id: its id.
        one_time: whether getSecretFrom hands it out only once.
        box: the stored service-layer box; None when contents were not asked for.
    """

    revision: int
    from_id: str
    secret_id: str
    one_time: bool = False
    box: Box | None = None

    def to_wire(self) -> dict[str, Any]:
        """The JSON object in wire order."""
        wire: dict[str, Any] = {"revision": self.revision}
        if self.from_id:
            wire["from"] = self.from_id
        wire["secretId"] = self.secret_id
        if self.one_time:
            wire["isOneTime"] = True
        if self.box is not None:
            wire["secret"] = self.box.to_json()
        return wire


@dataclass(frozen=True, slots=True)
class SecretGone:
    """A secret was deleted, taken back or consumed; fields as in `SecretChanged`."""

    revision: int
    from_id: str
    secret_id: str

    def to_wire(self) -> dict[str, Any]:
        """The JSON object in wire order."""
        sender = {"from": self.from_id} if self.from_id else {}
        return {
            "revision": self.revision,
            **sender,
            "secretId": self.secret_id,
            "gone": True,
        }


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A sender is accepted, or a recipient accepts us.

    Attributes:
        revision: the change's number in this space.
        role: `sender` or `recipient`.
        node_id: of the other side.
        closure_date: until when, ms since 1970; None for no end.
    """

    revision: int
    role: str
    node_id: str
    closure_date: float | None = None

    def to_wire(self) -> dict[str, Any]:
        """The JSON object in wire order."""
        return {
            "revision": self.revision,
            self.role: self.node_id,
            "closureDate": self.closure_date,
        }


@dataclass(frozen=True, slots=True)
class NodeGone:
    """A sender is accepted no more, with all that he shared, or a recipient accepts us no more."""

    revision: int
    role: str
    node_id: str

    def to_wire(self) -> dict[str, Any]:
        """The JSON object in wire order."""
        return {"revision": self.revision, self.role: self.node_id, "gone": True}


Change: TypeAlias = SecretChanged | SecretGone | NodeChanged | NodeGone

SENDER: Final = "sender"
RECIPIENT: Final = "recipient"


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of the feed.

    Attributes:
        feed: the identity of what the revisions count: one opening of one space in one database.
        since: the page has every change after this revision; 0: it begins a full listing, and
            what the asker knew before counts no more.
        revision: up to which revision the page goes; to be asked from next.
        more: whether there is more to ask for at once; the page then goes further than `since`.
        changes: by growing revision.
    """

    feed: str
    since: int
    revision: int
    more: bool
    changes: tuple[Change, ...]

    def to_wire(self) -> dict[str, Any]:
        """The JSON object in wire order."""
        return {
            "feed": self.feed,
            "since": self.since,
            "revision": self.revision,
            "more": self.more,
            "changes": [change.to_wire() for change in self.changes],
        }

    @classmethod
    def parse(cls, value: Any) -> Changes:
        """The page in a decoded JSON value; changes of kinds unknown here are for later versions.

        Raises:
            MalformedData: when it is of another form.
        """
        match value:
            case {
                "feed": str(feed),
                "since": since,
                "revision": revision,
                "more": bool(more),
                "changes": list(changes),
            } if _is_revision(since) and _is_revision(revision) and since + more <= revision:
                parsed = (_change(each) for each in changes)
                return cls(
                    feed, since, revision, more, tuple(each for each in parsed if each is not None)
                )
        raise MalformedData("the page of the change feed is not of its form")


def _change(value: Any) -> Change | None:
    # Not by `match`, which takes three times as long, and a page has thousands.
    if not isinstance(value, dict) or not _is_revision(value.get("revision")):
        raise MalformedData("a change of the feed is not of its form")
    revision, secret_id = value["revision"], value.get("secretId")
    if isinstance(secret_id, str):
        return _secret(revision, secret_id, value)
    for role in (SENDER, RECIPIENT):
        node_id = value.get(role)
        if isinstance(node_id, str):
            return _node(revision, role, node_id, value)
    return None


def _secret(revision: int, secret_id: str, value: dict[str, Any]) -> Change:
    from_id = value.get("from", "")
    if not isinstance(from_id, str) or (from_id and not is_node_id(from_id)):
        raise MalformedData("a change of the feed names no node")
    if value.get("gone") is True:
        return SecretGone(revision, from_id, secret_id)
    try:
        box = box_from_json(value["secret"]) if "secret" in value else None
    except MalformedData:
        box = None  # one broken entry must not hide the others
    return SecretChanged(revision, from_id, secret_id, value.get("isOneTime") is True, box)


def _node(revision: int, role: str, node_id: str, value: dict[str, Any]) -> Change:
    if not is_node_id(node_id):
        raise MalformedData("a change of the feed names no node")
    if value.get("gone") is True:
        return NodeGone(revision, role, node_id)
    date = value.get("closureDate")
    if date is not None and (type(date) not in (int, float) or not math.isfinite(date)):
        raise MalformedData("a closure date is neither a number nor null")
    return NodeChanged(revision, role, node_id, date)


def _is_revision(value: Any) -> bool:
    # In Python a bool is an int.
    return type(value) is int and 0 <= value < _LATEST
