"""What clients were told, and what can be there after it."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Final

Content = str | None
"""What a secret holds; None: there is none."""

_SHOWN: Final = 16


@dataclass
class Ledger:
    """What all clients of a run did and met.

    Attributes:
        done: how often each kind of thing was done and acknowledged.
        errors: what a client was told instead of an answer, though it had tried again by itself.
        complaints: what cannot be right.
    """

    done: collections.Counter[str] = field(default_factory=collections.Counter)
    errors: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def expect(self, what: str, *, holds: bool) -> None:
        """Notes a complaint unless something holds."""
        if not holds:
            self.complaints.append(what)


@dataclass
class Slot:
    """What one secret, which has one writer at a time, may hold.

    Attributes:
        name: for complaints.
        possible: what was last acknowledged, and every attempt after that of unknown outcome.
    """

    name: str
    possible: set[Content] = field(default_factory=lambda: {None})

    def acknowledged(self, content: Content) -> None:
        """The service has taken it."""
        self.possible = {content}

    def attempted(self, content: Content) -> None:
        """The service may take it, now or later."""
        self.possible |= {content}

    def check(self, found: Content, ledger: Ledger) -> None:
        """Compares with what somebody was told."""
        allowed = ", ".join(map(_shown, sorted(self.possible, key=str)))
        ledger.expect(
            f"{self.name} holds {_shown(found)}, not {allowed}", holds=found in self.possible
        )


def _shown(content: Content) -> str:
    return "nothing" if content is None else repr(content[:_SHOWN])
