"""The view: what this node knows of its space, one truth between the files and the wire."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import anyio

from smfs.client.client import Client
from smfs.client.connection import Connection
from smfs.client.consuming import Consuming
from smfs.client.deadlines import operation
from smfs.client.known import Known, sent_id
from smfs.client.listing import Listing
from smfs.client.petnames import Petnames
from smfs.client.shared import again
from smfs.client.versions import Reading, RequireSignatures, Sender, Version
from smfs.errors import (
    ClosureDateFixed,
    NotAccepted,
    SecretNotFound,
    SmfsError,
    SpaceNotFound,
)
from smfs.protocol import requests

__all__ = ["Reading", "RequireSignatures", "Sender", "Version", "View"]

_log: Final = logging.getLogger(__name__)
_TTL_S: Final = 5.0
_TTL_OURS_S: Final = 1.0
_REFUSAL_S: Final = 60.0  # for how long a refused share is taken to be refused again
_REFUSED: Final = (NotAccepted, SpaceNotFound)
_GONE: Final = (SecretNotFound, NotAccepted, SpaceNotFound)


class View:
    """What is known of a node's space, and the operations that keep it known.

    Every operation raises `ServiceUnavailable` when the service cannot be reached, and other
    subclasses of `ServiceError` for what it refuses.

    Args:
        client: the node at its service.
        ttl: for how many seconds a listing is taken to be current; None: 5 for an original, and 1
            for a service of ours, which lists more cheaply.
        require_signatures: where unsigned content is refused; None: where the client refuses it.

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
    ) -> None:
        self.client = client
        self.node_id = client.node_id
        envelopes = client.envelopes
        if require_signatures is not None:
            envelopes = envelopes.requiring(require_signatures)
        self._ttl = ttl
        self._envelopes = envelopes
        self._known = Known()
        self._listing = Listing(envelopes, self._known)
        self.petnames = Petnames(self, self._known.names)
        self._consuming = Consuming(envelopes, self._listing)
        self._refusals: dict[str, tuple[SmfsError, float]] = {}

    @property
    def connection(self) -> Connection:
        """The way to the service, with its health."""
        return self.client.connection

    # --- what is known, without asking --------------------------------------------------------

    @property
    def generation(self) -> int:
        """Grows with every change of the maps."""
        return self._known.generation

    def own(self) -> Mapping[str, Version]:
        """A snapshot of the own secrets by id, without `.smfs` and what is below."""
        return self._known.own()

    def sent(self) -> Mapping[str, Mapping[str, Version]]:
        """A snapshot of what was last shared, by recipient and secret id."""
        return self._known.sent()

    def senders(self) -> Mapping[str, Sender]:
        """A snapshot of the accepted senders by node id, with what they shared."""
        return self._known.senders()

    def content_limit(self) -> int:
        """The most bytes that any content may have, as far as is known without asking."""
        return self._envelopes.limits.content_bytes()

    def check_size(self, content: bytes) -> None:
        """Raises TooLarge when a content cannot fit, as far as is known without asking."""
        self._envelopes.limits.check_known_size(content)

    def state(self) -> dict[str, Any]:
        """The connection and the counts as JSON values, for `.status`; nothing secret."""
        connection = self.connection
        health = connection.health
        return {
            "service": connection.shown_url,
            "connection": health.connection,
            "lastError": health.last_error,
            "counters": {
                "requests": health.requests,
                "retries": health.retries,
                "errors": health.errors,
            },
            "secrets": len(self._known.own()),
            "senders": len(self._known.senders()),
            "contentLimit": self.content_limit(),
        }

    @operation
    async def refresh(self, max_age: float | None = None) -> None:
        """Brings the maps up to date; callers at the same time share one request.

        Args:
            max_age: how many seconds old they may be; None: the time to live; 0: as of now.

        Raises:
            SpaceNotFound: when the space is gone.
        """
        await self._listing.refresh(self._time_to_live() if max_age is None else max_age)

    @operation
    async def look_again(self, since: float) -> bool:
        """Brings the maps up to date for a name that they lack, unless that is too costly.

        Args:
            since: maps asked for after this moment (`anyio.current_time()`) are new enough.

        Returns:
            whether they are that new now; if not, ask for the one secret.
        """
        return await self._listing.look_again(since)

    def _time_to_live(self) -> float:
        if self._ttl is not None:
            return self._ttl
        ttl = _TTL_S if self.client.connection.discovered is None else _TTL_OURS_S
        return max(ttl, self._listing.pause)

    # --- own secrets --------------------------------------------------------------------------

    @operation
    async def read_own(self, secret_id: str) -> Reading:
        """The current content of an own secret.

        Raises:
            SecretNotFound: when there is none.
            TamperedSecret: when it cannot be trusted.
        """
        asked_at = anyio.current_time()
        try:
            stored = await self._envelopes.own(secret_id)
        except SecretNotFound:
            self._known.drop_own(secret_id)
            raise
        version = self._listing.note_own(secret_id, stored, asked_at)
        return Reading(version, stored.content())

    @operation
    async def check_own(self, secret_id: str) -> Version | None:
        """The current version of an own secret, trusted or not; None when there is none."""
        await self.client.discover()
        asked_at = anyio.current_time()
        try:
            stored = await self._envelopes.own(secret_id)
        except SecretNotFound:
            self._known.drop_own(secret_id)
            return None
        return self._listing.note_own(secret_id, stored, asked_at)

    @operation
    async def write_own(self, secret_id: str, content: bytes) -> Version:
        """Sets an own secret; when this returns, the service has taken it.

        Returns:
            The new version, with the token that it will be listed under. Its `box` is not known.

        Raises:
            TooLarge: when it is larger than the service takes.
        """
        asked_at = anyio.current_time()
        written = await self._envelopes.write_own(secret_id, content)
        return self._listing.note_written(secret_id, written, len(content), asked_at)

    @operation
    async def delete_own(self, secret_id: str) -> None:
        """Deletes an own secret; SecretNotFound when there is none."""
        try:
            await self._envelopes.delete_own(secret_id)
        except SecretNotFound:
            self._known.drop_own(secret_id)
            raise
        self._known.drop_own(secret_id)

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
        stored, version = await self._listing.fetch_from(node_id, secret_id)
        return Reading(version, stored.content())

    @operation
    async def check_from(self, node_id: str, secret_id: str) -> Version | None:
        """The current version of a shared secret; None when there is none.

        Raises:
            NotAccepted: when the sender is not accepted.
        """
        sender = await self._listing.refresh_sender(node_id)
        return sender.secrets.get(secret_id)

    @operation
    async def consume(self, node_id: str, secret_id: str) -> Reading:
        """Takes a one-time secret, exactly once, whatever gets lost on the way.

        What cannot be trusted is left where it is.

        Raises:
            SecretNotFound: when it is gone; NotAccepted: when its sender is not accepted.
            TamperedSecret: when it cannot be trusted.
        """
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
        """
        await self.client.accept_secrets_from(node_id, closure_date)
        sender = await self._listing.refresh_sender(node_id)
        if sender.closure_date != closure_date:
            raise ClosureDateFixed("he is accepted already, until another date, which is fixed")

    @operation
    async def deny(self, node_id: str) -> None:
        """Accepts a sender no more, and loses what he shared; NotAccepted when he was not."""
        try:
            await self._envelopes.stop_accepting(node_id)
        except NotAccepted:
            self._listing.drop_sender(node_id)
            raise
        self._listing.drop_sender(node_id)

    # --- sharing ------------------------------------------------------------------------------

    @operation
    async def check_sent(self, node_id: str, secret_id: str) -> Version | None:
        """The current version of the copy of what was shared; None when there is none."""
        return await self.check_own(sent_id(node_id, secret_id))

    @operation
    async def read_sent(self, node_id: str, secret_id: str) -> Reading:
        """What was last shared under this id, from the copy in the own space."""
        try:
            return await self.read_own(sent_id(node_id, secret_id))
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
        shared = await self._share(node_id, secret_id, content, one_time=one_time)
        if one_time:
            await self._drop_copy(node_id, secret_id)
            return shared
        return await self._keep_copy(node_id, secret_id, content) or shared

    @operation
    async def _share(
        self, node_id: str, secret_id: str, content: bytes, *, one_time: bool
    ) -> Version:
        asked_at = anyio.current_time()
        try:
            written = await self._envelopes.share(node_id, secret_id, content, one_time=one_time)
        except _REFUSED as error:
            self._refusals[node_id] = error, anyio.current_time()
            raise
        self._refusals.pop(node_id, None)
        return self._listing.version(written, len(content), asked_at, one_time=one_time)

    async def _keep_copy(self, node_id: str, secret_id: str, content: bytes) -> Version | None:
        try:
            return await self.write_own(sent_id(node_id, secret_id), content)
        except SmfsError as error:
            _log.warning("the copy of a shared secret was not kept: %s", type(error).__name__)
            return None

    async def _drop_copy(self, node_id: str, secret_id: str) -> None:
        copy_id = sent_id(node_id, secret_id)
        if self._known.own_version(copy_id) is None:
            return
        try:
            await self.delete_own(copy_id)
        except SecretNotFound:
            return
        except SmfsError as error:
            _log.warning("the copy of a shared secret is still there: %s", type(error).__name__)

    @operation
    async def unshare(self, node_id: str, secret_id: str) -> None:
        """Takes a shared secret back and deletes its copy.

        Raises:
            SecretNotFound: when neither was there.
            UnsupportedByService: towards an original, which dies of it.
        """
        is_gone = False
        try:
            await self.client.delete_shared_secret(node_id, secret_id)
        except _GONE:
            is_gone = True
        try:
            await self.delete_own(sent_id(node_id, secret_id))
        except SecretNotFound:
            if is_gone:
                raise SecretNotFound(secret_id) from None

    @operation
    async def check_share(self, node_id: str, secret_id: str, size: int = 0) -> None:
        """Raises what `share` would now be refused with, as far as that can be known beforehand.

        Our service is asked. An original cannot be asked without sharing, so there the refusals
        of the last minute count, and that it answers at all.

        Args:
            node_id: with whom.
            secret_id: under which id.
            size: of the content, in bytes.
        """
        await self._envelopes.limits.check_id(secret_id)
        found = await self.client.discover()
        if found is not None and requests.CheckShare.route() in found.features:
            await self._envelopes.check_share(node_id, secret_id, size)
            return
        error, since = self._refusals.get(node_id, (None, 0.0))
        if error is not None and anyio.current_time() - since < _REFUSAL_S:
            raise again(error)
        await self.check_own(sent_id(node_id, secret_id))
