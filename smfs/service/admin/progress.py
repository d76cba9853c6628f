"""How far something has come."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told how far something has come."""

    def begin(self, total: int) -> None:
        """Something begins.

        Args:
            total: how much there is to do.
        """

    def advance(self, amount: int) -> None:
        """So much more is done."""


class Silent:
    """A `Progress` that tells nobody."""

    def begin(self, total: int) -> None:
        """As `Progress.begin`."""

    def advance(self, amount: int) -> None:
        """As `Progress.advance`."""
