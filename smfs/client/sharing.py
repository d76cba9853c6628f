"""Sharing secrets with others, and the copies that are kept of them."""

from __future__ import annotations

import logging
from typing import Final, Protocol

import anyio

from smfs.client.arguments import flag_of
from smfs.client.client import Client
from smfs.client.connection import Connection
from smfs.client.deadlines import operation
from smfs.client.envelopes import Envelopes
from smfs.client.freshness import Freshness
from smfs.client.known import Key, Known, sent_id
from smfs.client.listing import Listing
from smfs.client.shared import again
from smfs.client.versions import Version
from smfs.crypto.identity import is_node_id, is_point
from smfs.errors import (
    InvalidPoint,
    NotAccepted,
    SecretNotFound,
    SmfsError,
    SpaceNotFound,
    TooLarge,
)
from smfs.protocol import requests

_log: Final = logging.getLogger(__name__)

_REFUSAL_S: Final = 60.0  # for how long a refused share is taken to be refused again
_REFUSED: Final = (NotAccepted, SpaceNotFound)
_GONE: Final = (SecretNotFound, NotAccepted, SpaceNotFound)


class OwnSecrets(Protocol):
    """Where the copies are kept."""

    async def check_own(self, secret_id: str) -> Version | None:
        """The current version of an own secret; None when there is none."""

    async def write_own(self, secret_id: str, content: bytes) -> Version:
        """Sets an own secret."""

    async def delete_own(self, secret_id: str) -> None:
        """Deletes an own secret."""


class Sharing:
    """What a view shares.

    Args:
        client: the node at its service.
        envelopes: its secrets.
        known: the maps.
        listing: makes versions of what was written.
        freshness: whether the maps can be believed.
        own: keeps the copies.
    """

    def __init__(
        self,
        client: Client,
        envelopes: Envelopes,
        known: Known,
        listing: Listing,
        freshness: Freshness,
        own: OwnSecrets,
    ) -> None:
        self._client = client
        self._envelopes = envelopes
        self._known = known
        self._listing = listing
        self._freshness = freshness
        self._own = own
        self._refusals: dict[str, tuple[SmfsError, float]] = {}

    @property
    def connection(self) -> Connection:
        """The way to the service."""
        return self._client.connection

    async def share(
        self, node_id: str, secret_id: str, content: bytes, *, one_time: bool = False
    ) -> Version:
        """As `View.share`."""
        one_time = flag_of(one_time, "one_time")
        shared = await self._share(node_id, secret_id, content, one_time=one_time)
        if one_time:
            await self._drop_copy(node_id, secret_id)
            return shared
        return await self._keep_copy(node_id, secret_id, content) or shared

    @operation
    async def _share(
        self, node_id: str, secret_id: str, content: bytes, *, one_time: bool
    ) -> Version:
        await self._freshness.need_service()
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
            return await self._own.write_own(sent_id(node_id, secret_id), content)
        except SmfsError as error:
            _log.warning("the copy of a shared secret was not kept: %s", type(error).__name__)
            return None

    async def _drop_copy(self, node_id: str, secret_id: str) -> None:
        if self._known.get(Key("sent", node_id, secret_id)) is None:
            return
        try:
            await self._own.delete_own(sent_id(node_id, secret_id))
        except SecretNotFound:
            return
        except SmfsError as error:
            _log.warning("the copy of a shared secret is still there: %s", type(error).__name__)

    @operation
    async def unshare(self, node_id: str, secret_id: str) -> None:
        """As `View.unshare`."""
        await self._freshness.need_service()
        is_gone = False
        try:
            await self._client.delete_shared_secret(node_id, secret_id)
        except _GONE:
            is_gone = True
        try:
            await self._own.delete_own(sent_id(node_id, secret_id))
        except SecretNotFound:
            if is_gone:
                raise SecretNotFound(secret_id) from None

    @operation
    async def check(self, node_id: str, secret_id: str, size: int) -> None:
        """As `View.check_share`."""
        await self._envelopes.limits.check_id(secret_id)
        if await self._freshness.need_service() and self._known.recipients is not None:
            await self._check_recipient(node_id, secret_id, size)
            return
        found = await self._client.discover()
        if found is not None and requests.CheckShare.route() in found.features:
            await self._envelopes.check_share(node_id, secret_id, size)
            return
        error, since = self._refusals.get(node_id, (None, 0.0))
        if error is not None and anyio.current_time() - since < _REFUSAL_S:
            raise again(error)
        await self._own.check_own(sent_id(node_id, secret_id))

    async def _check_recipient(self, node_id: str, secret_id: str, size: int) -> None:
        """Says what the feed has told of who accepts us.

        It may be late, so nobody is refused for what it has not told without asking the service.
        """
        if size > self._envelopes.limits.content_bytes():
            raise TooLarge(f"the content has {size} bytes")
        now = self.connection.clock.now()
        date = (self._known.recipients or {}).get(node_id, now)
        if date is not None and date <= now:
            if not is_node_id(node_id) or not is_point(node_id):
                raise InvalidPoint(node_id)
            await self._envelopes.check_share(node_id, secret_id, size)
