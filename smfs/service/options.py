"""How a service is run: what it allows, and how much of it."""

from __future__ import annotations

import math
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
        max_secrets: how many secrets one space may hold, those from others included; this and the
            limits below: None for none.
        max_space_bytes: how much their ids and ciphertexts may take.
        node_rate: requests a second of one node.
        node_burst: how many it may make at once after a rest; None: those of one second.
        node_open: how many requests of one node may be under way, and how many may wait for
            changes.
        anonymous: whether the public code opens new spaces.
        retries: of messages to hooks.
        notify: PostgreSQL: whether replicas tell each other what has changed by LISTEN and NOTIFY.
    """

    allow_private_hooks: bool = False
    max_content_bytes: int = limits.DEFAULT_CONTENT_BYTES
    body_bytes: int | None = None
    max_secrets: int | None = None
    max_space_bytes: int | None = None
    node_rate: float | None = None
    node_burst: int | None = None
    node_open: int | None = None
    anonymous: bool = True
    retries: Retries = field(default_factory=Retries)
    notify: bool = True

    def space_limits(self) -> SpaceLimits:
        """Of what one space may take."""
        return SpaceLimits(
            self.max_content_bytes,
            self.max_secrets or _NO_LIMIT,
            self.max_space_bytes or _NO_LIMIT,
        )

    def node_limits(self) -> NodeLimits:
        """Of what one node may ask."""
        buckets = None
        if self.node_rate:
            buckets = TokenBuckets(self.node_rate, self.node_burst or math.ceil(self.node_rate))
        return NodeLimits(buckets, OpenRequests(self.node_open) if self.node_open else None)
