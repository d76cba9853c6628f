"""The changes that a service is being asked for, so that the feed is known to tell of our own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from smfs.crypto.envelope import Address


class UnderWay:
    """What is being written and deleted."""

    def __init__(self) -> None:
        self._changes: Counter[tuple[Address, str | None]] = Counter()

    @contextmanager
    def begun(self, address: Address, token: str | None) -> Iterator[None]:
        """For the time of a request.

        Args:
            address: what is changed.
            token: of the envelope that is written; None for a deletion.
        """
        change = address, token
        self._changes[change] += 1
        try:
            yield
        finally:
            self._changes[change] -= 1
            if not self._changes[change]:
                del self._changes[change]

    def is_ours(self, address: Address, token: str | None) -> bool:
        """Whether a change is one that we have asked for, and not heard back of yet."""
        return (address, token) in self._changes
