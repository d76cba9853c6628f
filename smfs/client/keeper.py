"""Keeping what a view knows on disk, and coming up with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final

import anyio

from smfs.client.cache import Cache
from smfs.client.changes import Changing
from smfs.client.connection import Connection
from smfs.client.envelopes import Envelopes, Stored
from smfs.client.feed import Feed
from smfs.client.known import Key, Known, NodeKey, own_key
from smfs.client.listing import version_of
from smfs.client.records import (
    Header,
    NodePlace,
    NodeRecord,
    Place,
    Record,
    SecretPlace,
    SecretRecord,
)
from smfs.client.versions import Version
from smfs.protocol.changes import SENDER

_log: Final = logging.getLogger(__name__)

_GATHER_S: Final = 0.5
_CONFIRM_S: Final = 60.0  # how often the cache is told that what it has is still current


class Keeper:
    """Brings a cache into the maps, and the maps into the cache.

    Args:
        cache: not opened yet.
        envelopes: the secrets of the node.
        known: the maps.
        changing: opens what the cache has sealed.
        feed: knows up to where the maps are known.
    """

    def __init__(
        self, cache: Cache, envelopes: Envelopes, known: Known, changing: Changing, feed: Feed
    ) -> None:
        self.cache = cache
        self._envelopes = envelopes
        self._known = known
        self._changing = changing
        self._feed = feed

    @property
    def _connection(self) -> Connection:
        return self._envelopes.session.connection

    # --- coming up ----------------------------------------------------------------------------

    async def load(self) -> None:
        """Opens the cache and takes over what is in it; as if it were empty where that fails."""
        try:
            await self._load()
        except Exception as error:  # noqa: BLE001 - a mount without a cache is better than none
            _log.error("going on without a cache: %s", type(error).__name__)
            await self.cache.aclose()

    async def _load(self) -> None:
        await self.cache.open()
        loaded = await self.cache.load()
        if self.cache.is_open:
            self._known.note_unsaved()
        if loaded is None:
            return
        if loaded.header.feed:
            self._known.recipients = {}  # a feed tells of them all: who is not kept is none
        for node in loaded.nodes:
            self._take_node(node)
        for secret in loaded.secrets:
            self._take_secret(secret)
        self._known.take_unsaved()
        header = loaded.header
        self._feed.begin_with((header.feed, header.revision), header.confirmed_at)

    def _take_node(self, node: NodeRecord) -> None:
        if node.role == SENDER:
            date = node.closure_date
            self._known.put_sender(node.node_id, None if date is None else int(date))
        else:
            self._known.put_recipient(node.node_id, node.closure_date)

    def _take_secret(self, record: SecretRecord) -> None:
        key = _key(record)
        if key is None:
            return
        if record.token is None:
            self._changing.put_sealed(
                key,
                record.box,
                one_time=record.one_time,
                revision=record.revision,
                size=record.size,
                changed_at=record.changed_at,
            )
            return
        stored = Stored(
            token=record.token,
            box=record.box,
            one_time=record.one_time,
            size=record.size,
            sender=record.sender,
            signed_at=record.signed_at,
        )
        judged = self._envelopes.judged(self._envelopes.address(key), stored)
        now = anyio.current_time()
        self._known.put(key, version_of(judged, None, now, record.revision))

    # --- keeping ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Writes what has changed, until it is cancelled; the rest then, and closes the cache."""
        try:
            while self.cache.is_open:
                with anyio.move_on_after(_CONFIRM_S):
                    await self._known.wait_for_unsaved()
                    await anyio.sleep(_GATHER_S)
                await self._write_whole()
        finally:
            await self._write_whole()
            await self.cache.aclose()

    async def _write_whole(self) -> None:
        """Writes; a cache that fails in a way unforeseen is left as it was before."""
        # What was taken to be saved, and then given up, would count as saved with the next write.
        with anyio.CancelScope(shield=True):
            try:
                await self._write()
            except Exception as error:  # noqa: BLE001 - a mount without a cache is better than none
                _log.error("going on without a cache: %s", type(error).__name__)
                await self.cache.aclose()

    async def _write(self) -> None:
        if not self.cache.is_open or not self._feed.is_complete or self._changing.is_listing:
            return
        header, is_whole = self._header(), self.cache.needs_all
        unsaved = self._known.take_unsaved()
        put, drop = self._records(self._everything() if is_whole else unsaved)
        try:
            await self.cache.write(header, put, () if is_whole else drop, replace=is_whole)
        except anyio.get_cancelled_exc_class():
            # It may not have begun: the last write is to have it, for its header says that it has.
            self._known.give_back_unsaved(unsaved)
            raise

    def _everything(self) -> list[Key | NodeKey]:
        return [*self._known.nodes(), *(key for key, _ in self._known.items())]

    def _header(self) -> Header:
        feed, revision = self._feed.cursor
        found = self._connection.discovered
        return Header(
            feed,
            revision,
            self._feed.confirmed_at or time.time(),
            self._connection.shown_url,
            found.to_wire() if found else None,
        )

    def _records(self, keys: Iterable[Key | NodeKey]) -> tuple[list[Record], list[Place]]:
        put: list[Record] = []
        drop: list[Place] = []
        for key in keys:
            if isinstance(key, NodeKey):
                self._node_record(key, put, drop)
                continue
            version, place = self._known.get(key), _place(key)
            if version is None:
                drop.append(place)
            else:
                put.append(_record(place, version))
        return put, drop

    def _node_record(self, key: NodeKey, put: list[Record], drop: list[Place]) -> None:
        sender = self._known.senders().get(key.node_id)
        recipients = self._known.recipients or {}
        if key.role == SENDER and sender is not None:
            put.append(NodeRecord(key.role, key.node_id, sender.closure_date))
        elif key.role != SENDER and key.node_id in recipients:
            put.append(NodeRecord(key.role, key.node_id, recipients[key.node_id]))
        else:
            drop.append(NodePlace(key.role, key.node_id))


def _place(key: Key) -> SecretPlace:
    if key.area == "from":
        return SecretPlace(key.node_id, key.secret_id)
    return SecretPlace("", key.own_id)


def _key(record: SecretRecord) -> Key | None:
    if record.from_id:
        return Key("from", record.from_id, record.secret_id)
    return own_key(record.secret_id)


def _record(place: SecretPlace, version: Version) -> SecretRecord:
    # What has a problem is opened and judged anew.
    is_fine = version.problem is None
    return SecretRecord(
        from_id=place.from_id,
        secret_id=place.secret_id,
        revision=version.revision,
        one_time=version.one_time,
        box=version.box,
        token=version.token or None if is_fine else None,
        size=version.size if is_fine else None,
        sender=version.sender,
        signed_at=version.signed_at,
        changed_at=version.changed_at,
    )
