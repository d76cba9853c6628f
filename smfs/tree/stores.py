"""Where an area's secrets are, and what using them does on the wire.

Everything that knows a file from a secret is written once, against `Store`; `own/`,
`from/<node>/` and `shared/<node>/` differ only in the store behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from smfs.client.known import Area
from smfs.client.view import Key, Look, Reading, Version, View
from smfs.errors import AccessRefused

_RESERVED: Final = ".smfs"


class Store(Protocol):
    """The secrets of one area."""

    @property
    def writable(self) -> bool:
        """Whether secrets can be made, changed and removed here."""

    @property
    def fetch_is_check(self) -> bool:
        """Whether a fetch that succeeds says that an upload would, too."""

    def listed(self) -> Mapping[str, Version]:
        """The versions known now, by secret id, without asking anybody."""

    def owns(self, key: Key) -> bool:
        """Whether a line of the view's journal is about this store."""

    def peek(self, secret_id: str) -> Version | None:
        """The current version, where it is known without asking and waiting, and can be read."""

    async def measure(self, secret_id: str) -> bool:
        """Finds out the size of a known version; returns whether it is known now."""

    async def opened(self, secret_id: str) -> Version:
        """The known version, opened and checked; SecretNotFound when there is none."""

    async def look(self, secret_id: str) -> Look:
        """The current version; SecretNotFound when there is none."""

    async def load(self, secret_id: str, version: Version) -> bytes:
        """The content of a version."""

    async def probe(self, secret_id: str) -> None:
        """Has the view learn whether there is such a secret now."""

    async def check(self, secret_id: str) -> Version | None:
        """Raises what an upload would now fail with; tells the version that is there, if any."""

    async def put(self, secret_id: str, content: bytes) -> Version:
        """Uploads; when it returns, the service has taken the content."""

    async def remove(self, secret_id: str) -> None:
        """Removes; SecretNotFound when there was none."""

    def is_reserved(self, secret_id: str) -> bool:
        """Whether the software keeps this id for itself (the design, 2.1 rule 8)."""


class _Kept:
    """What every store does with the versions that the view keeps.

    Args:
        view: the node's space.
        area: which part of it.
        node_id: of the other side; empty where there is none.
    """

    def __init__(self, view: View, area: Area, node_id: str = "") -> None:
        self._view = view
        self._area: Final = area
        self._node_id: Final = node_id

    def owns(self, key: Key) -> bool:
        """As `Store` says."""
        return (key.area, key.node_id) == (self._area, self._node_id)

    def peek(self, secret_id: str) -> Version | None:
        """As `Store` says."""
        return self._view.peek(self._key(secret_id))

    async def measure(self, secret_id: str) -> bool:
        """As `Store` says."""
        return await self._view.measure(self._key(secret_id))

    async def opened(self, secret_id: str) -> Version:
        """As `Store` says."""
        return await self._view.opened(self._key(secret_id))

    async def load(self, secret_id: str, version: Version) -> bytes:
        """As `Store` says."""
        return await self._view.load(self._key(secret_id), version)

    def _key(self, secret_id: str) -> Key:
        return Key(self._area, self._node_id, secret_id)


class OwnStore(_Kept):
    """My own secrets."""

    writable: Final = True
    fetch_is_check: Final = True

    def __init__(self, view: View) -> None:
        super().__init__(view, "own")

    def listed(self) -> Mapping[str, Version]:
        """As `Store` says."""
        return self._view.own()

    async def look(self, secret_id: str) -> Look:
        """As `Store` says; without the feed by one getSecret."""
        return await self._view.look_own(secret_id)

    async def probe(self, secret_id: str) -> None:
        """As `Store` says, by one getSecret."""
        await self._view.check_own(secret_id)

    async def check(self, secret_id: str) -> Version | None:
        """As `Store` says; asking for the secret tells whether the service lets us write."""
        return await self._view.check_own(secret_id)

    async def put(self, secret_id: str, content: bytes) -> Version:
        """As `Store` says, by setSecret."""
        return await self._view.write_own(secret_id, content)

    async def remove(self, secret_id: str) -> None:
        """As `Store` says, by deleteSecret."""
        await self._view.delete_own(secret_id)

    def is_reserved(self, secret_id: str) -> bool:
        """`.smfs` and all below."""
        return secret_id == _RESERVED or secret_id.startswith(f"{_RESERVED}/")


class SharedStore(_Kept):
    """What I shared with one node; it is read from the copies that I keep for myself."""

    writable: Final = True
    fetch_is_check: Final = False

    def __init__(self, view: View, recipient: str) -> None:
        super().__init__(view, "sent", recipient)

    def listed(self) -> Mapping[str, Version]:
        """As `Store` says."""
        return self._view.sent().get(self._node_id, {})

    async def look(self, secret_id: str) -> Look:
        """As `Store` says: what I last shared."""
        return await self._view.look_sent(self._node_id, secret_id)

    async def probe(self, secret_id: str) -> None:
        """As `Store` says, by one getSecret of the copy."""
        await self._view.check_sent(self._node_id, secret_id)

    async def check(self, secret_id: str) -> Version | None:
        """As `Store` says; NotAccepted when the recipient does not accept us."""
        await self._view.check_share(self._node_id, secret_id)
        return self.listed().get(secret_id)

    async def put(self, secret_id: str, content: bytes) -> Version:
        """As `Store` says, by shareSecretTo."""
        return await self._view.share(self._node_id, secret_id, content)

    async def remove(self, secret_id: str) -> None:
        """As `Store` says, by deleteSharedSecret."""
        await self._view.unshare(self._node_id, secret_id)

    def is_reserved(self, secret_id: str) -> bool:
        """Nothing is: the ids here are the recipient's business."""
        del secret_id
        return False


class FromStore(_Kept):
    """What one sender shared with me: read only."""

    writable: Final = False
    fetch_is_check: Final = True

    def __init__(self, view: View, sender: str) -> None:
        super().__init__(view, "from", sender)

    def listed(self) -> Mapping[str, Version]:
        """As `Store` says."""
        sender = self._view.senders().get(self._node_id)
        return sender.secrets if sender is not None else {}

    async def look(self, secret_id: str) -> Look:
        """As `Store` says; never by getSecretFrom, whose flag may have changed meanwhile."""
        return await self._view.look_from(self._node_id, secret_id)

    async def consume(self, secret_id: str) -> Reading:
        """Takes a one-time secret; SecretNotFound when somebody was faster."""
        return await self._view.consume(self._node_id, secret_id)

    async def probe(self, secret_id: str) -> None:
        """As `Store` says, by one getSubSpace."""
        await self._view.check_from(self._node_id, secret_id)

    async def check(self, secret_id: str) -> Version | None:
        """Nothing can be uploaded here."""
        raise _read_only(secret_id)

    async def put(self, secret_id: str, content: bytes) -> Version:
        """Nothing can be uploaded here."""
        raise _read_only(secret_id)

    async def remove(self, secret_id: str) -> None:
        """Only the sender, or stopping to accept him, removes what is here."""
        raise _read_only(secret_id)

    def is_reserved(self, secret_id: str) -> bool:
        """Nothing is: the ids here are the sender's business."""
        del secret_id
        return False


def _read_only(secret_id: str) -> AccessRefused:
    return AccessRefused(f"what others shared is read only: {secret_id}")
