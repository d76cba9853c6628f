"""What a cache keeps: the known secrets and nodes, and up to where they are known. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from smfs.crypto.box import Box


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is.

    Attributes:
        from_id: the sender's node id; empty for an own secret.
        secret_id: its id.
    """

    from_id: str
    secret_id: str


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Which node, and as what.

    Attributes:
        role: `sender` or `recipient`.
        node_id: of the other side.
    """

    role: str
    node_id: str


Place: TypeAlias = SecretPlace | NodePlace


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """One known secret; never its content.

    Attributes:
        from_id: the sender's node id; empty for an own secret.
        secret_id: its id.
        revision: the number of its last change in the feed; None when it came another way.
        one_time: whether it is handed out only once.
        box: the stored service-layer box; None when it is not known or not kept.
        token: the identity of the envelope; None when it was never opened.
        size: bytes of content; None when it cannot be opened, or never was.
        sender: the node id that signed it; None when it is unsigned.
        signed_at: ms since 1970; None when it is unsigned.
        changed_at: seconds since 1970.
    """

    from_id: str
    secret_id: str
    revision: int | None
    one_time: bool
    box: Box | None = field(repr=False)
    token: str | None
    size: int | None
    sender: str | None
    signed_at: int | None
    changed_at: float

    @property
    def place(self) -> SecretPlace:
        """Where it is."""
        return SecretPlace(self.from_id, self.secret_id)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node that is accepted, or that accepts us.

    Attributes:
        role: `sender` or `recipient`.
        node_id: of the other side.
        closure_date: until when, ms since 1970; None for no end.
    """

    role: str
    node_id: str
    closure_date: float | None

    @property
    def place(self) -> NodePlace:
        """Which node, and as what."""
        return NodePlace(self.role, self.node_id)


Record: TypeAlias = SecretRecord | NodeRecord


def without_box(record: Record) -> Record:
    """The record without its ciphertext."""
    return record if isinstance(record, NodeRecord) else replace(record, box=None)


@dataclass(frozen=True, slots=True)
class Header:
    """Up to where the records are known.

    Attributes:
        feed: the identity of what the revision counts.
        revision: up to which one the records go.
        confirmed_at: seconds since 1970 when they were last known to be current.
        service: the service's normalised URL, or `embedded`.
        discovery: the service's description of itself as it travels; None when it has none.
    """

    feed: str
    revision: int
    confirmed_at: float
    service: str
    discovery: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the rows of a file come to, so that none of them can be missing or another one.

    Attributes:
        rows: how many there are.
        box_bytes: how much ciphertext they hold.
        total: their sum (`CacheKeys.part_of_sum`).
    """

    rows: int = 0
    box_bytes: int = 0
    total: int = 0

    def plus(self, box_bytes: int, part: int) -> Tally:
        """With one row more."""
        return Tally(self.rows + 1, self.box_bytes + box_bytes, self.total ^ part)

    def minus(self, box_bytes: int, part: int) -> Tally:
        """With one row less."""
        return Tally(self.rows - 1, self.box_bytes - box_bytes, self.total ^ part)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that a cache knew."""

    header: Header
    secrets: list[SecretRecord]
    nodes: list[NodeRecord]
