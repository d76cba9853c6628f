"""The contents of known versions: opened when they are wanted, and never kept."""

from __future__ import annotations

from smfs.client.changes import Changing
from smfs.client.envelopes import Envelopes, Stored
from smfs.client.known import Key, Known
from smfs.client.shared import again
from smfs.client.versions import Look, Version
from smfs.client.workers import off_loop
from smfs.crypto.envelope import open_envelope
from smfs.errors import NotAccepted, SecretNotFound, ServiceUnavailable, TamperedSecret
from smfs.protocol.spaces import StoredSecret


class Contents:
    """Opens what the maps hold.

    Args:
        envelopes: the secrets of the node.
        known: the maps.
        changing: opens versions that were told of, and not looked at yet.
    """

    def __init__(self, envelopes: Envelopes, known: Known, changing: Changing) -> None:
        self._envelopes = envelopes
        self._known = known
        self._changing = changing

    async def version(self, key: Key) -> Version:
        """The known version of a secret, opened.

        Raises:
            SecretNotFound: when none is known; NotAccepted: when its sender is not accepted.
            ServiceUnavailable: when it was told of, but its content has not come yet.
        """
        version = self._require(key)
        while not version.is_opened:
            if not version.is_here:
                raise ServiceUnavailable("the content of this secret is not here")
            await self._changing.open([key])
            version = self._require(key)
        return version

    async def look(self, key: Key) -> Look:
        """What is known of a secret, without its content.

        Raises:
            TamperedSecret: when it cannot be trusted; else as `version`.
        """
        version = await self.version(key)
        if version.problem is not None:
            raise again(version.problem)
        return Look(version)

    async def load(self, key: Key, version: Version) -> bytes:
        """The content of a version that was looked at.

        Raises:
            TamperedSecret: when it does not open, or is not what was looked at.
            ServiceUnavailable: when it is not here.
        """
        address = self._envelopes.address(key)
        if version.envelope is not None:
            envelope, identity = version.envelope, self._envelopes.session.identity
            opened = await off_loop(
                len(envelope), lambda: open_envelope(identity, address, envelope)
            )
            return opened.content
        if version.box is None:
            raise ServiceUnavailable("the content of this secret is not here")
        secret = StoredSecret(version.box, version.one_time)
        stored: Stored = await self._envelopes.inspect(address, secret)
        content = stored.content()
        if stored.token != version.token:
            # The box of what was written here comes from the service, which may be lying.
            raise TamperedSecret("what is stored is not what this version was")
        return content

    def _require(self, key: Key) -> Version:
        version = self._known.get(key)
        if version is not None:
            return version
        if key.area == "from" and key.node_id not in self._known.senders():
            raise NotAccepted(key.node_id)
        raise SecretNotFound(key.secret_id)
