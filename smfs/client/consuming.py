"""Taking a one-time secret so that it arrives exactly once, whatever gets lost on the way."""

from __future__ import annotations

from smfs.client.envelopes import Envelopes, Stored
from smfs.client.listing import Listing
from smfs.client.locks import KeyedLocks
from smfs.client.retries import Delivery
from smfs.client.versions import Reading, Version
from smfs.errors import NotAccepted, SecretNotFound, SmfsError, SpaceNotFound
from smfs.protocol.spaces import StoredSecret

_Key = tuple[str, str]


class Consuming:
    """Takes one-time secrets.

    The ciphertext is fetched before the secret is consumed. If the answer to the consuming itself
    is lost, what was fetched is what was consumed; it is kept, sealed, until it was handed out.

    Args:
        envelopes: the secrets of the node.
        listing: tells what is there.
    """

    def __init__(self, envelopes: Envelopes, listing: Listing) -> None:
        self._envelopes = envelopes
        self._listing = listing
        self._locks = KeyedLocks()
        self._undecided: dict[_Key, Version] = {}

    async def consume(self, node_id: str, secret_id: str) -> Reading:
        """As `View.consume`."""
        key = node_id, secret_id
        async with self._locks.hold(key):
            try:
                stored, version = await self._listing.fetch_from(node_id, secret_id)
            except (SecretNotFound, NotAccepted, SpaceNotFound):
                # Gone; but perhaps by an earlier try of ours whose answer never came.
                if key not in self._undecided:
                    raise
                return await self._hand_out(key, self._undecided.pop(key))
            content = stored.content()
            if not version.one_time:
                return Reading(version, content)
            return await self._take(key, stored, version)

    async def _take(self, key: _Key, listed: Stored, version: Version) -> Reading:
        delivery = Delivery()
        self._undecided[key] = version
        try:
            taken = await self._envelopes.take(*key, delivery)
        except SecretNotFound:
            del self._undecided[key]
            self._listing.drop_from(*key, listed)
            if not delivery.lost:
                raise
            return Reading(version, listed.content())
        except SmfsError:
            if not delivery.lost:
                del self._undecided[key]
            raise
        del self._undecided[key]
        handed = listed
        if taken.token != listed.token:
            # Replaced between the two requests: what was handed out is what counts.
            handed = self._envelopes.judged(self._envelopes.from_address(*key), taken)
        self._listing.drop_from(*key, listed, taken)
        return Reading(version, handed.content())

    async def _hand_out(self, key: _Key, version: Version) -> Reading:
        self._listing.drop_from(*key, version)
        sealed = StoredSecret(version.box, is_one_time=True)
        stored = await self._envelopes.inspect(self._envelopes.from_address(*key), sealed)
        return Reading(version, stored.content())
