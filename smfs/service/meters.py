"""What the service counts of itself; who runs it decides where the figures go."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class StoreFault(StrEnum):
    """What went wrong with the store."""

    BUSY = "busy"
    FULL = "full"
    UNREACHABLE = "unreachable"
    OTHER = "other"


class HookOutcome(StrEnum):
    """How a delivery to a hook went; one that failed is tried again, one that was dropped not."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


class Limit(StrEnum):
    """Why a request or a connection was turned away."""

    ADDRESS_OPEN = "address_open"
    ADDRESS_RATE = "address_rate"
    NODE_OPEN = "node_open"
    NODE_RATE = "node_rate"
    CONNECTIONS = "connections"
    MEMORY = "memory"
    DRAINING = "draining"


class Meters(Protocol):
    """Takes what is counted, in any thread; never a node id, an address or a text of somebody."""

    def store_error(self, kind: StoreFault) -> None:
        """The store failed once."""

    def hook(self, outcome: HookOutcome) -> None:
        """A delivery to a hook ended."""

    def limited(self, reason: Limit) -> None:
        """A request or a connection was turned away."""


class NoMeters:
    """Counts nothing."""

    def store_error(self, kind: StoreFault) -> None:
        """As `Meters`."""

    def hook(self, outcome: HookOutcome) -> None:
        """As `Meters`."""

    def limited(self, reason: Limit) -> None:
        """As `Meters`."""
