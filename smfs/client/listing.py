"""Keeping the maps of a view right while listings, reads and writes overlap."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

import anyio

from smfs.client.envelopes import Envelopes, Stored, Written
from smfs.client.known import Known, split_sent_id
from smfs.client.petnames import split_petname_id
from smfs.client.shared import SharedTurn
from smfs.client.trust import is_reserved
from smfs.client.versions import Sender, Version
from smfs.crypto.envelope import Address
from smfs.errors import NotAccepted, SecretNotFound
from smfs.protocol.spaces import StoredSecret, SubSpace

_NEVER: Final = 2**53
_PAUSE: Final = 10  # times what a listing takes
_LONGEST_PAUSE_S: Final = 60.0
_REREADS: Final = 4  # when something here went past an answer that was under way


class Listing:
    """Brings the maps up to date.

    Whatever was seen or done here after a listing was asked for is newer than that listing, and
    stays; the history's count tells which is which.

    Args:
        envelopes: the secrets of the node.
        known: the maps.
    """

    def __init__(self, envelopes: Envelopes, known: Known) -> None:
        self._envelopes = envelopes
        self._history = envelopes.history
        self._known = known
        self._refreshing = SharedTurn()
        self._asked_at: float | None = None
        self._took = 0.0
        self._sender_changes: dict[str, int] = {}

    # --- the whole space ----------------------------------------------------------------------

    async def refresh(self, max_age: float) -> None:
        """Asks for the whole space, unless that was done within `max_age` seconds."""
        wanted = anyio.current_time() - max_age
        if self._is_since(wanted):
            return
        async with self._refreshing.take():
            if not self._is_since(wanted):
                await self._refresh()

    async def look_again(self, since: float) -> bool:
        """Asks for the whole space, unless that would take more than a tenth of the time.

        Args:
            since: a listing asked for after this moment (`anyio.current_time()`) will do.

        Returns:
            whether the maps are that new now.
        """
        if self._is_since(since):
            return True
        if self._is_since(anyio.current_time() - self.pause):
            return False
        await self.refresh(max_age=0)
        return True

    @property
    def pause(self) -> float:
        """Seconds between two listings, so that they take at most a tenth of the time."""
        return min(_PAUSE * self._took, _LONGEST_PAUSE_S)

    def _is_since(self, wanted: float) -> bool:
        return self._asked_at is not None and self._asked_at >= wanted

    async def _refresh(self) -> None:
        await self._envelopes.session.connection.discover()
        asked_at, mark = anyio.current_time(), self._history.mark()
        space = await self._envelopes.space()
        own = {key: secret for key, secret in space.secrets.items() if _is_shown(key)}
        found = await self._inspect_new(
            [
                *(self._own_item(key, secret) for key, secret in own.items()),
                *(
                    self._from_item(node_id, key, secret)
                    for node_id, sub in space.sub_spaces.items()
                    for key, secret in sub.secrets.items()
                ),
            ]
        )
        self._known.replace_own(self._merge_own(own, found, asked_at, mark))
        self._merge_senders(space.sub_spaces, found, asked_at, mark)
        self._asked_at = asked_at
        self._took = anyio.current_time() - asked_at

    def _own_item(
        self, secret_id: str, secret: StoredSecret
    ) -> tuple[Address, StoredSecret, Version | None]:
        address = self._envelopes.own_address(secret_id)
        return address, secret, self._known.own_version(secret_id)

    def _from_item(
        self, node_id: str, secret_id: str, secret: StoredSecret
    ) -> tuple[Address, StoredSecret, Version | None]:
        address = self._envelopes.from_address(node_id, secret_id)
        return address, secret, self._from_version(node_id, secret_id)

    async def _inspect_new(
        self, items: Iterable[tuple[Address, StoredSecret, Version | None]]
    ) -> dict[Address, Stored]:
        """Opens what is not known yet: a box that was opened before opens the same way again."""
        found: dict[Address, Stored] = {}
        new: list[tuple[Address, StoredSecret]] = []
        for address, secret, known in items:
            if known is None or known.box is None or known.box != secret.box:
                new.append((address, secret))
            else:
                found[address] = _stored_again(known, secret)
        return found | await self._envelopes.inspect_all(new)

    def _merge_own(
        self,
        own: Mapping[str, StoredSecret],
        found: Mapping[Address, Stored],
        asked_at: float,
        mark: int,
    ) -> dict[str, Version]:
        merged = {}
        for secret_id in own:
            address = self._envelopes.own_address(secret_id)
            known = self._known.own_version(secret_id)
            version = self._merged(address, found[address], known, asked_at, mark)
            if version is not None:
                merged[secret_id] = version
        for secret_id in self._known.own_ids():
            address = self._envelopes.own_address(secret_id)
            known = self._known.own_version(secret_id)
            if secret_id not in own and known and self._history.changed_since(address, mark):
                merged[secret_id] = known
        return merged

    def _merged(
        self, address: Address, stored: Stored, known: Version | None, asked_at: float, mark: int
    ) -> Version | None:
        is_older = self._history.changed_since(address, mark)
        if is_older and (known is not None or self._history.current(address) is None):
            return known
        return _version(self._envelopes.judged(address, stored), known, asked_at)

    # --- own secrets --------------------------------------------------------------------------

    def note_own(self, secret_id: str, stored: Stored, asked_at: float) -> Version:
        """Takes over what one request told of an own secret."""
        version = _version(stored, self._known.own_version(secret_id), asked_at)
        self._known.put_own(secret_id, version)
        return version

    def note_written(self, secret_id: str, written: Written, size: int, asked_at: float) -> Version:
        """Takes over what the service has taken from us, unless something newer was seen since."""
        version = self.version(written, size, asked_at)
        if self._history.current(self._envelopes.own_address(secret_id)) == written.token:
            self._known.put_own(secret_id, version)
        return version

    def version(
        self, written: Written, size: int, asked_at: float, *, one_time: bool = False
    ) -> Version:
        """The version that a write of ours made; the service's box of it is not known."""
        return Version(
            token=written.token,
            box=None,
            size=size,
            one_time=one_time,
            sender=self._envelopes.node_id,
            signed_at=written.signed_at,
            checked_at=asked_at,
            changed_at=written.signed_at / 1000,
            problem=None,
        )

    # --- senders ------------------------------------------------------------------------------

    async def refresh_sender(self, node_id: str) -> Sender:
        """Asks for one sender's sub space; NotAccepted when there is none."""
        sender, _ = await self._ask_sender(node_id)
        return sender

    async def fetch_from(self, node_id: str, secret_id: str) -> tuple[Stored, Version]:
        """What a sender's sub space says of one secret, opened and judged.

        Raises:
            NotAccepted: when the sender is not accepted.
            SecretNotFound: when there is no such secret.
        """
        address = self._envelopes.from_address(node_id, secret_id)
        rereads = 0
        while True:
            asked_at, mark = anyio.current_time(), self._history.mark()
            _, sub = await self._ask_sender(node_id)
            secret = sub.secrets.get(secret_id)
            if secret is None:
                raise SecretNotFound(secret_id)
            stored = await self._envelopes.inspect(address, secret)
            rereads += 1
            if rereads > _REREADS or not self._history.overtaken(address, stored.token, mark):
                judged = self._envelopes.judged(address, stored, mark)
                return judged, _version(judged, self._from_version(node_id, secret_id), asked_at)

    async def _ask_sender(self, node_id: str) -> tuple[Sender, SubSpace]:
        asked_at, mark = anyio.current_time(), self._history.mark()
        try:
            sub = await self._envelopes.sub_space(node_id)
        except NotAccepted:
            self.drop_sender(node_id)
            raise
        found = await self._inspect_new(
            self._from_item(node_id, key, secret) for key, secret in sub.secrets.items()
        )
        if self._sender_changes.get(node_id, 0) > mark:
            return self._sender(node_id, sub, found, asked_at, mark), sub
        sender = self._sender(node_id, sub, found, asked_at, mark)
        self._sender_changes[node_id] = self._history.tick()
        self._known.put_sender(sender)
        return sender, sub

    def drop_sender(self, node_id: str) -> None:
        """A sender is accepted no more."""
        self._sender_changes[node_id] = self._history.tick()
        self._known.drop_sender(node_id)

    def drop_from(self, node_id: str, secret_id: str) -> None:
        """A shared secret was consumed."""
        self._history.deleted(self._envelopes.from_address(node_id, secret_id))
        self._known.drop_from(node_id, secret_id)

    def _merge_senders(
        self,
        listed: Mapping[str, SubSpace],
        found: Mapping[Address, Stored],
        asked_at: float,
        mark: int,
    ) -> None:
        before = self._known.senders()
        merged: dict[str, Sender] = {}
        for node_id in listed.keys() | before.keys():
            if self._sender_changes.get(node_id, 0) > mark:
                if node_id in before:
                    merged[node_id] = before[node_id]
            elif node_id in listed:
                merged[node_id] = self._sender(node_id, listed[node_id], found, asked_at, mark)
        self._known.replace_senders(merged)

    def _sender(
        self,
        node_id: str,
        sub: SubSpace,
        found: Mapping[Address, Stored],
        asked_at: float,
        mark: int,
    ) -> Sender:
        secrets = {}
        for secret_id in sub.secrets:
            address = self._envelopes.from_address(node_id, secret_id)
            known = self._from_version(node_id, secret_id)
            version = self._merged(address, found[address], known, asked_at, mark)
            if version is not None:
                secrets[secret_id] = version
        return Sender(node_id, _whole(sub.closure_date), secrets)

    def _from_version(self, node_id: str, secret_id: str) -> Version | None:
        sender = self._known.senders().get(node_id)
        return None if sender is None else sender.secrets.get(secret_id)


def _is_shown(own_id: str) -> bool:
    is_ours = split_sent_id(own_id) is not None or split_petname_id(own_id) is not None
    return is_ours or not is_reserved(own_id)


def _whole(date: float | None) -> int | None:
    # JSON has numbers beyond every date, infinite ones included: those never come.
    return None if date is None or not abs(date) < _NEVER else int(date)


def _stored_again(known: Version, secret: StoredSecret) -> Stored:
    # What does not open has a problem of its own; the other problems are judged anew each time.
    return Stored(
        token=known.token,
        box=secret.box,
        one_time=secret.is_one_time,
        size=known.size,
        sender=known.sender,
        signed_at=known.signed_at,
        problem=known.problem if known.size is None else None,
    )


def _version(stored: Stored, known: Version | None, asked_at: float) -> Version:
    same = known if known is not None and known.token == stored.token else None
    if stored.signed_at is not None:
        changed_at = stored.signed_at / 1000
    else:
        changed_at = same.changed_at if same else time.time()
    return Version(
        token=stored.token,
        box=stored.box,
        size=stored.size,
        one_time=stored.one_time,
        sender=stored.sender,
        signed_at=stored.signed_at,
        checked_at=asked_at,
        changed_at=changed_at,
        problem=stored.problem,
    )
