"""The view: what this node knows of its space, one truth between the files and the wire."""

from __future__ import annotations

import anyio

from smfs.client.arguments import closure_date_of
from smfs.client.cache import Cache
from smfs.client.client import Client
from smfs.client.closing import Closing
from smfs.client.consuming import Consuming
from smfs.client.deadlines import operation
from smfs.client.known import Changed, Key, own_key, sent_id
from smfs.client.petnames import Petnames
from smfs.client.refreshing import Refreshing
from smfs.client.sharing import Sharing
from smfs.client.versions import Look, Reading, RequireSignatures, Sender, Version
from smfs.errors import (
    ClosureDateFixed,
    NotAccepted,
    SecretNotFound,
    ServiceUnavailable,
)

__all__ = ["Changed", "Key", "Look", "Reading", "RequireSignatures", "Sender", "Version", "View"]


class View(Refreshing):
    """What is known of a node's space, and the operations that keep it known.

    While `follow` runs at a service of ours, the feed keeps the maps exact, and reading asks
    nobody; otherwise each reading is a request.

    Every operation raises `ServiceUnavailable` when the service cannot be reached, and other
    subclasses of `ServiceError` for what it refuses.

    Args:
        client: the node at its service.
        ttl: for how many seconds a listing is taken to be current; None: 5 for an original, and 1
            for a service of ours, which lists more cheaply.
        require_signatures: where unsigned content is refused; None: where the client refuses it.
        max_stale: for how many seconds what is known may be read while the service is away; None:
            for ever.
        cache: where `follow` keeps what is known, and takes it from; None: nowhere.

    Attributes:
        client: as given.
        node_id: whose space it is.
        petnames: his short names for nodes.
    """

    def __init__(
        self,
        client: Client,
        *,
        ttl: float | None = None,
        require_signatures: RequireSignatures | None = None,
        max_stale: float | None = None,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(
            client,
            ttl=ttl,
            require_signatures=require_signatures,
            max_stale=max_stale,
            cache=cache,
        )
        self.petnames = Petnames(self, self._known.names)
        self._consuming = Consuming(self._envelopes, self._listing)
        self._closing = Closing(self._known, self._listing, self._freshness)
        self._sharing = Sharing(
            client, self._envelopes, self._known, self._listing, self._freshness, self
        )

    @operation
    async def require_service(self) -> None:
        """Raises ServiceUnavailable when the service is known to be away, and was tried anew."""
        await self._freshness.need_service()

    async def follow(self) -> None:
        """Follows the service's feed until it is cancelled; once at a time."""
        self._feed.begin()
        async with anyio.create_task_group() as tasks:
            if self._keeper is not None:
                await self._keeper.load()
                tasks.start_soon(self._keeper.run)
            tasks.start_soon(self._closing.run)
            await self._feed.run()

    @operation
    async def opened(self, key: Key) -> Version:
        """The known version of a secret, with its size.

        Raises:
            SecretNotFound, NotAccepted: when none is known.
            ServiceUnavailable: when its content is not here, and the service is away.
        """
        await self._feed.filled()
        version = self._known.get(key)
        if version is not None and not version.is_opened and not version.is_here:
            await self._look(key)
        return await self._contents.version(key)

    @operation
    async def load(self, key: Key, version: Version) -> bytes:
        """The content of a version that was looked at.

        Raises:
            TamperedSecret: when it does not open.
            ServiceUnavailable: when it is not here, and the service is away.
        """
        return await self._contents.load(key, version)

    async def _look(self, key: Key) -> Look:
        known = self._known.get(key)
        if known is None or known.is_here or not await self._freshness.need_service():
            return await self._contents.look(key)
        if key.area == "from":
            return await self._ask_from(key.node_id, key.secret_id)
        return await self._ask_own(key.own_id)

    async def _whole(self, key: Key, look: Look) -> Reading:
        content = look.content
        if content is None:
            content = await self._contents.load(key, look.version)
        return Reading(look.version, content)

    # --- own secrets --------------------------------------------------------------------------

    @operation
    async def read_own(self, secret_id: str) -> Reading:
        """The current content of an own secret.

        Raises:
            SecretNotFound: when there is none.
            TamperedSecret: when it cannot be trusted.
        """
        key = own_key(secret_id) or Key("own", "", secret_id)
        return await self._whole(key, await self.look_own(secret_id))

    @operation
    async def look_own(self, secret_id: str) -> Look:
        """As `read_own`; the content is left to `load` where it asks nobody."""
        key = own_key(secret_id)
        if key is None:
            return await self._ask_own(secret_id)
        if not await self._freshness.must_ask():
            return await self._look(key)
        try:
            return await self._ask_own(secret_id)
        except ServiceUnavailable as error:
            self._fall_back(error)
            return await self._contents.look(key)

    async def _ask_own(self, secret_id: str) -> Look:
        asked_at, before = anyio.current_time(), self.generation
        try:
            stored = await self._envelopes.own(secret_id)
        except SecretNotFound:
            self._listing.note_no_own(secret_id, before)
            raise
        version = self._listing.note_own(secret_id, stored, asked_at, before)
        return Look(version, stored.content())

    @operation
    async def check_own(self, secret_id: str) -> Version | None:
        """The current version of an own secret, trusted or not; None when there is none.

        Raises:
            ServiceUnavailable: when nothing could be written now.
        """
        key = own_key(secret_id)
        if await self._freshness.need_service() and key is not None:
            await self._envelopes.limits.check_id(secret_id)
            return self._known.get(key)
        await self.client.discover()
        asked_at, before = anyio.current_time(), self.generation
        try:
            stored = await self._envelopes.own(secret_id)
        except SecretNotFound:
            self._listing.note_no_own(secret_id, before)
            return None
        return self._listing.note_own(secret_id, stored, asked_at, before)

    @operation
    async def write_own(self, secret_id: str, content: bytes) -> Version:
        """Sets an own secret; when this returns, the service has taken it.

        Returns:
            The new version, with the token that it will be listed under.

        Raises:
            TooLarge: when it is larger than the service takes.
        """
        await self._freshness.need_service()
        asked_at = anyio.current_time()
        written = await self._envelopes.write_own(secret_id, content)
        return self._listing.note_written(secret_id, written, len(content), asked_at)

    @operation
    async def delete_own(self, secret_id: str) -> None:
        """Deletes an own secret; SecretNotFound when there is none."""
        await self._freshness.need_service()
        before = self.generation
        try:
            revision = await self._envelopes.delete_own(secret_id)
        except SecretNotFound:
            self._listing.note_no_own(secret_id, before)
            raise
        self._listing.note_deleted(secret_id, revision, before)

    # --- what others share --------------------------------------------------------------------

    @operation
    async def read_from(self, node_id: str, secret_id: str) -> Reading:
        """The current content of a shared secret, which stays where it is.

        A secret that is handed out once can be read so too, and is not consumed: look at
        `version.one_time` and use `consume`.

        Raises:
            NotAccepted: when the sender is not accepted.
            SecretNotFound: when there is no such secret.
            TamperedSecret: when it cannot be trusted.
        """
        look = await self.look_from(node_id, secret_id)
        return await self._whole(Key("from", node_id, secret_id), look)

    @operation
    async def look_from(self, node_id: str, secret_id: str) -> Look:
        """As `read_from`; the content is left to `load` where it asks nobody."""
        key = Key("from", node_id, secret_id)
        if not await self._freshness.must_ask():
            return await self._look(key)
        try:
            return await self._ask_from(node_id, secret_id)
        except ServiceUnavailable as error:
            self._fall_back(error)
            return await self._contents.look(key)

    async def _ask_from(self, node_id: str, secret_id: str) -> Look:
        stored, version = await self._listing.fetch_from(node_id, secret_id)
        return Look(version, stored.content())

    @operation
    async def check_from(self, node_id: str, secret_id: str) -> Version | None:
        """The current version of a shared secret; None when there is none.

        Raises:
            NotAccepted: when the sender is not accepted.
        """
        if await self._freshness.must_ask():
            await self._listing.refresh_sender(node_id)
        return self._known.get(Key("from", node_id, secret_id))

    @operation
    async def consume(self, node_id: str, secret_id: str) -> Reading:
        """Takes a one-time secret, exactly once, whatever gets lost on the way.

        What cannot be trusted is left where it is.

        Raises:
            SecretNotFound: when it is gone; NotAccepted: when its sender is not accepted.
            TamperedSecret: when it cannot be trusted.
        """
        await self._freshness.need_service()
        return await self._consuming.consume(node_id, secret_id)

    @operation
    async def accept(self, node_id: str, closure_date: int | None) -> None:
        """Accepts a sender, and asks back whether he really is accepted until then.

        Args:
            node_id: who.
            closure_date: until when, ms since 1970; None for no end.

        Raises:
            ClosureDateFixed: when he was accepted already, until another date.
            ClosureDatePassed: when the date is not in the future.
            InvalidInput: when it is no number.
        """
        closure_date_of(closure_date)
        await self._freshness.need_service()
        await self.client.accept_secrets_from(node_id, closure_date)
        sender = await self._listing.refresh_sender(node_id, here=True)
        if sender.closure_date != closure_date:
            raise ClosureDateFixed("he is accepted already, until another date, which is fixed")

    @operation
    async def deny(self, node_id: str) -> None:
        """Accepts a sender no more, and loses what he shared; NotAccepted when he was not."""
        await self._freshness.need_service()
        before = self._known.senders().get(node_id)
        try:
            revision = await self._envelopes.stop_accepting(node_id)
        except NotAccepted:
            self._listing.drop_sender(node_id, before)
            raise
        self._listing.drop_sender(node_id, before, here=True, revision=revision)

    # --- sharing ------------------------------------------------------------------------------

    @operation
    async def check_sent(self, node_id: str, secret_id: str) -> Version | None:
        """The current version of the copy of what was shared; None when there is none."""
        return await self.check_own(sent_id(node_id, secret_id))

    @operation
    async def read_sent(self, node_id: str, secret_id: str) -> Reading:
        """What was last shared under this id, from the copy in the own space."""
        look = await self.look_sent(node_id, secret_id)
        return await self._whole(Key("sent", node_id, secret_id), look)

    @operation
    async def look_sent(self, node_id: str, secret_id: str) -> Look:
        """As `read_sent`; the content is left to `load` where it asks nobody."""
        try:
            return await self.look_own(sent_id(node_id, secret_id))
        except SecretNotFound:
            raise SecretNotFound(secret_id) from None

    async def share(
        self, node_id: str, secret_id: str, content: bytes, *, one_time: bool = False
    ) -> Version:
        """Shares a secret, then keeps a copy of it for `read_sent`, unless it is for one time.

        A copy that fails is logged and no error: the recipient has the secret. It has a deadline
        of its own.

        Returns:
            The version of the copy; of what was shared when there is no copy.

        Raises:
            NotAccepted, SpaceNotFound: when the recipient does not accept it.
            TooLarge: when it is larger than the service takes.
        """
        return await self._sharing.share(node_id, secret_id, content, one_time=one_time)

    async def unshare(self, node_id: str, secret_id: str) -> None:
        """Takes a shared secret back and deletes its copy.

        Raises:
            SecretNotFound: when neither was there.
            UnsupportedByService: towards an original, which dies of it.
        """
        await self._sharing.unshare(node_id, secret_id)

    async def check_share(self, node_id: str, secret_id: str, size: int = 0) -> None:
        """Raises what `share` would now be refused with, as far as that can be known beforehand.

        The feed tells who accepts us. Without it, and before anybody is refused for what it has not
        told, our service is asked. An original cannot be asked without sharing, so there the
        refusals of the last minute count, and that it answers at all.

        Args:
            node_id: with whom.
            secret_id: under which id.
            size: of the content, in bytes.
        """
        await self._sharing.check(node_id, secret_id, size)
