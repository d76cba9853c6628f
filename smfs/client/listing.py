"""Keeping the maps of a view right while listings, reads and writes overlap."""

from __future__ import annotations

import time
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

import anyio

from smfs.client.envelopes import Envelopes, Stored, Written
from smfs.client.known import Key, Known, own_key
from smfs.client.shared import SharedTurn
from smfs.client.versions import Sender, Version
from smfs.crypto.envelope import Address
from smfs.errors import NotAccepted, SecretNotFound
from smfs.protocol.spaces import Space, StoredSecret, SubSpace

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
        asked_at, mark, before = self._moment()
        space = await self._envelopes.space()
        listed = _keys_of(space)
        found = await self._inspect_new(listed.items())
        told = self._known.told_since(before)
        for node_id, sub in space.sub_spaces.items():
            if node_id not in told and not self._history.sender_changed_since(node_id, mark):
                self._known.put_sender(node_id, _whole(sub.closure_date))
        for key in [each for each in listed if each not in told]:
            if key.area != "from" or (
                key.node_id not in told
                and not self._history.sender_changed_since(key.node_id, mark)
            ):
                self._merge(key, found[key], asked_at, mark)
        self._drop_unlisted(listed.keys() | told, space.sub_spaces.keys() | told, mark)
        self._asked_at = asked_at
        self._took = anyio.current_time() - asked_at

    async def _inspect_new(self, items: Iterable[tuple[Key, StoredSecret]]) -> dict[Key, Stored]:
        """Opens what is not known yet: a box that was opened before opens the same way again."""
        found: dict[Key, Stored] = {}
        new: dict[Address, Key] = {}
        sealed: list[tuple[Address, StoredSecret]] = []
        for key, secret in items:
            known = self._known.get(key)
            if known is not None and is_opened_as(known, secret):
                found[key] = stored_again(known, secret)
            else:
                address = self._envelopes.address(key)
                new[address] = key
                sealed.append((address, secret))
        opened = await self._envelopes.inspect_all(sealed)
        return found | {new[address]: stored for address, stored in opened.items()}

    def _merge(self, key: Key, stored: Stored, asked_at: float, mark: int) -> None:
        address = self._envelopes.address(key)
        known = self._known.get(key)
        is_older = self._history.changed_since(address, mark)
        if is_older and (known is not None or self._history.current(address) is None):
            return
        judged = self._envelopes.judged(address, stored)
        self._known.put(key, version_of(judged, known, asked_at))

    def _moment(self) -> tuple[float, int, int]:
        """The time, the history's mark and the generation, to be taken before asking."""
        return anyio.current_time(), self._history.mark(), self._known.generation

    def _drop_unlisted(
        self, listed: AbstractSet[Key | str], senders: AbstractSet[Key | str], mark: int
    ) -> None:
        for node_id in self._known.senders().keys() - senders:
            if not self._history.sender_changed_since(node_id, mark):
                self._known.drop_sender(node_id)
        for key, _ in list(self._known.items()):
            if key not in listed and not self._is_newer(key, mark):
                self._known.drop(key)

    def _is_newer(self, key: Key, mark: int) -> bool:
        if key.area == "from" and self._history.sender_changed_since(key.node_id, mark):
            return True
        return self._history.changed_since(self._envelopes.address(key), mark)

    # --- own secrets --------------------------------------------------------------------------

    def note_own(self, secret_id: str, stored: Stored, asked_at: float, before: int) -> Version:
        """Takes over what one request told of an own secret.

        Args:
            secret_id: its id.
            stored: what the request told.
            asked_at: `anyio.current_time()` when it was asked.
            before: the generation that was known then.
        """
        key = own_key(secret_id)
        known = None if key is None else self._known.get(key)
        version = version_of(stored, known, asked_at)
        if key is not None and key not in self._known.told_since(before):
            self._known.put(key, version)
        return version

    def note_no_own(self, secret_id: str, before: int) -> None:
        """There was no such own secret, said a request asked at the generation `before`."""
        key = own_key(secret_id)
        if key is not None and key not in self._known.told_since(before):
            self._known.drop(key)

    def note_deleted(self, secret_id: str, revision: int | None, before: int) -> None:
        """We have deleted an own secret, by that revision where it is known.

        Args:
            secret_id: its id.
            revision: of the deletion.
            before: the generation that was known before.
        """
        key = own_key(secret_id)
        if key is None or (revision is None and key in self._known.told_since(before)):
            return
        self._known.drop(key, here=True, revision=revision)

    def note_written(self, secret_id: str, written: Written, size: int, asked_at: float) -> Version:
        """Takes over what the service has taken from us, unless something newer was seen since."""
        version = self.version(written, size, asked_at)
        key = own_key(secret_id)
        if key is None or not self._is_newest(key, written):
            return version
        known = self._known.get(key)
        if known is not None and known.token == version.token:
            version = known  # the feed was quicker
        self._known.put(key, version, here=True)
        return version

    def _is_newest(self, key: Key, written: Written) -> bool:
        known = self._known.get(key)
        if known is not None and known.revision is not None and written.revision is not None:
            return known.revision <= written.revision
        return self._history.current(self._envelopes.address(key)) == written.token

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
            revision=written.revision,
            envelope=written.envelope,
        )

    # --- senders ------------------------------------------------------------------------------

    async def refresh_sender(self, node_id: str, *, here: bool = False) -> Sender:
        """Asks for one sender's sub space; NotAccepted when there is none.

        Args:
            node_id: who.
            here: whether we have just accepted him.
        """
        await self._ask_sender(node_id, here=here)
        sender = self._known.senders().get(node_id)
        if sender is None:
            raise NotAccepted(node_id)
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
            sub = await self._ask_sender(node_id)
            secret = sub.secrets.get(secret_id)
            if secret is None:
                raise SecretNotFound(secret_id)
            stored = await self._envelopes.inspect(address, secret)
            rereads += 1
            if rereads > _REREADS or not self._history.overtaken(address, stored.token, mark):
                judged = self._envelopes.judged(address, stored, mark)
                known = self._known.get(Key("from", node_id, secret_id))
                return judged, version_of(judged, known, asked_at)

    async def _ask_sender(self, node_id: str, *, here: bool = False) -> SubSpace:
        asked_at, mark, before = self._moment()
        known = self._known.senders().get(node_id)
        try:
            sub = await self._envelopes.sub_space(node_id)
        except NotAccepted:
            self.drop_sender(node_id, known)
            raise
        listed = {Key("from", node_id, key): secret for key, secret in sub.secrets.items()}
        found = await self._inspect_new(listed.items())
        told = self._known.told_since(before)
        if node_id in told or self._history.sender_changed_since(node_id, mark):
            return sub
        self._known.put_sender(node_id, _whole(sub.closure_date), here=here)
        for key in [each for each in listed if each not in told]:
            self._merge(key, found[key], asked_at, mark)
        there = {each for each, _ in self._known.items("from") if each.node_id == node_id}
        for key in there - listed.keys() - told:
            if not self._is_newer(key, mark):
                self._known.drop(key)
        self._history.note_sender(node_id)
        return sub

    def drop_sender(
        self,
        node_id: str,
        before: Sender | None,
        *,
        here: bool = False,
        revision: int | None = None,
    ) -> None:
        """A sender is accepted no more.

        Args:
            node_id: who.
            before: what was known of him before the service was asked.
            here: whether we have refused him.
            revision: of the refusal, where it is known.
        """
        known = self._known.senders().get(node_id)
        if known is not None and self._known.is_followed and not _is_same_sender(before, known):
            return  # the feed was quicker, and he is accepted again
        self._history.note_sender(node_id)
        self._known.drop_sender(node_id, here=here, revision=revision)

    def drop_from(self, node_id: str, secret_id: str, *consumed: Stored | Version) -> None:
        """A shared secret was consumed, in one of these versions, unless there is a newer one."""
        key = Key("from", node_id, secret_id)
        known, boxes = self._known.get(key), [each.box for each in consumed]
        if known is None or not self._known.is_followed or known.box in (None, *boxes):
            self._history.deleted(self._envelopes.address(key))
            self._known.drop(key)


def _keys_of(space: Space) -> dict[Key, StoredSecret]:
    """The secrets of a listing that a view shows."""
    found: dict[Key, StoredSecret] = {}
    for own_id, secret in space.secrets.items():
        key = own_key(own_id)
        if key is not None:
            found[key] = secret
    for node_id, sub in space.sub_spaces.items():
        found |= {Key("from", node_id, each): secret for each, secret in sub.secrets.items()}
    return found


def _whole(date: float | None) -> int | None:
    # JSON has numbers beyond every date, infinite ones included: those never come.
    return None if date is None or not abs(date) < _NEVER else int(date)


def _is_same_sender(before: Sender | None, now: Sender) -> bool:
    """Whether he was not refused and accepted again: each time begins a new map of secrets."""
    return before is not None and before.secrets is now.secrets


def is_opened_as(known: Version, secret: StoredSecret) -> bool:
    """Whether a version was opened from this very box."""
    return known.is_opened and known.box is not None and known.box == secret.box


def stored_again(known: Version, secret: StoredSecret) -> Stored:
    """What opening the box of a known version gave."""
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


def version_of(
    stored: Stored, known: Version | None, asked_at: float, revision: int | None = None
) -> Version:
    """What is known of a secret after it was opened.

    Args:
        stored: what opening it gave.
        known: the version before.
        asked_at: `anyio.current_time()` when it was current.
        revision: the service's number for it, where that is known.
    """
    same = known if known is not None and known.token and known.token == stored.token else None
    if stored.signed_at is not None:
        changed_at = stored.signed_at / 1000
    else:
        changed_at = same.changed_at if same else time.time()
    if revision is None and same is not None:
        revision = same.revision
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
        revision=revision,
    )
