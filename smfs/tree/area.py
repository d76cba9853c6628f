"""An area: a set of secrets that the tree shows as files, and what using them does on the wire.

Everything that knows a file from a secret is written once, against `Store`; `own/`,
`from/<node>/` and `shared/<node>/` differ only in the store behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from smfs.client.view import Reading, Sender, Version, View
from smfs.errors import AccessRefused, InvalidInput, NotAccepted
from smfs.protocol.limits import UNSAFE_IDS

_OWN_PREFIX = ".smfs"


class Store(Protocol):
    """The secrets of one area.

    Attributes:
        writable: whether secrets can be made, changed and removed here.
    """

    writable: bool

    def listed(self) -> Mapping[str, Version]:
        """The versions known now, by secret id, without asking anybody."""

    async def fetch(self, secret_id: str) -> Reading:
        """The current content; SecretNotFound when there is none."""

    async def check(self, secret_id: str, size: int = 0) -> Version | None:
        """Raises what an upload would now fail with; tells the current version where it knows."""

    async def put(self, secret_id: str, content: bytes) -> Version:
        """Uploads; when it returns, the service has taken the content."""

    async def remove(self, secret_id: str) -> None:
        """Removes; SecretNotFound when there was none."""

    def is_reserved(self, secret_id: str) -> bool:
        """Whether the software keeps this id for itself (the design, 2.1 rule 8)."""


class OwnStore:
    """My own secrets."""

    writable = True

    def __init__(self, view: View) -> None:
        self._view = view
        self.listed = view.own
        self.fetch = view.read_own
        self.put = view.write_own
        self.remove = view.delete_own

    async def check(self, secret_id: str, size: int = 0) -> Version | None:
        """As `Store` says: asking for the secret tells whether the space is within reach."""
        return await self._view.check_own(secret_id)

    def is_reserved(self, secret_id: str) -> bool:
        """`.smfs` and all below."""
        return secret_id == _OWN_PREFIX or secret_id.startswith(f"{_OWN_PREFIX}/")
