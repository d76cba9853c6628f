"""How a service is run: what it allows, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from smfs.protocol import limits
from smfs.service.domain import SpaceLimits
from smfs.service.limits import OpenRequests, TokenBuckets
from smfs.service.node_limits import NodeLimits
from smfs.service.notifier import Retries

_NO_LIMIT: Final = 2**62


@dataclass(frozen=True)
class ServiceOptions:
    """How a service is run.

    Attributes:
        allow_private_hooks: whether notification hooks may call private and loopback addresses.
        max_content_bytes: the most bytes of content that one secret may have.
        body_bytes: the largest body; None: what that content needs.
        max_secrets: how many secrets one space may hold, those from others included.
        max_space_bytes: how much their ids and ciphertexts may take.
        node_rate: requests a second of one node; 0: as many as it likes.
        node_burst: how many it may make at once after a rest.
        node_open: how many requests of one node may be under way, and how many may wait for
            changes; 0: as many as it likes.
        anonymous: whether the public code opens new spaces.
        retries: of messages to hooks.
        notify: PostgreSQL: whether replicas tell each other what has changed by LISTEN and NOTIFY.
    """

    allow_private_hooks: bool = False
    max_content_bytes: int = limits.DEFAULT_CONTENT_BYTES
    body_bytes: int | None = None
    max_secrets: int = _NO_LIMIT
    max_space_bytes: int = _NO_LIMIT
    node_rate: float = 0
    node_burst: int = 1
    node_open: int = 0
    anonymous: bool = True
    retries: Retries = field(default_factory=Retries)
    notify: bool = True

    def space_limits(self) -> SpaceLimits:
        """Of what one space may take."""
        return SpaceLimits(self.max_content_bytes, self.max_secrets, self.max_space_bytes)

    def node_limits(self) -> NodeLimits:
        """Of what one node may ask."""
        return NodeLimits(
            TokenBuckets(self.node_rate, self.node_burst) if self.node_rate else None,
            OpenRequests(self.node_open) if self.node_open else None,
        )
