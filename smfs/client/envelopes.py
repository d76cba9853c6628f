"""Secrets as envelopes: sealed and sent, fetched and opened, with the rules of trust applied."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from smfs.client.answers import Answer
from smfs.client.clock import Now
from smfs.client.known import Key
from smfs.client.limits import Limits
from smfs.client.locks import KeyedLocks
from smfs.client.retries import Delivery
from smfs.client.session import Session
from smfs.client.shared import again
from smfs.client.spaces import box_of, read_space, read_sub_space
from smfs.client.trust import History
from smfs.client.under_way import UnderWay
from smfs.client.versions import RequireSignatures
from smfs.client.workers import off_loop
from smfs.crypto.box import Box, open_box
from smfs.crypto.envelope import Address, Opened, open_envelope, seal_envelope
from smfs.crypto.identity import Identity
from smfs.errors import (
    MalformedData,
    NotAccepted,
    SecretNotFound,
    ServiceUnavailable,
    SmfsError,
    SpaceNotFound,
)
from smfs.protocol import requests
from smfs.protocol.spaces import Space, StoredSecret, SubSpace

_REREADS: Final = 4  # when something here went past an answer that was under way
_GONE: Final = (SecretNotFound, NotAccepted, SpaceNotFound)


@dataclass(frozen=True)
class Stored:
    """A stored secret, as far as it can be opened.

    Attributes:
        token: the identity of its envelope.
        box: the service-layer box; None when what is stored is none.
        one_time: whether getSecretFrom hands it out only once.
        opened: what it holds; None when it does not open, or in a listing.
        size: bytes of content; None when it does not open.
        sender: who signed it; None when it is unsigned.
        signed_at: ms since 1970; None when it is unsigned.
        problem: why it does not open or cannot be trusted.
    """

    token: str
    box: Box | None = field(repr=False)
    one_time: bool
    opened: Opened | None = field(default=None, repr=False)
    size: int | None = None
    sender: str | None = None
    signed_at: int | None = None
    problem: SmfsError | None = None

    def content(self) -> bytes:
        """The content; raises the problem when there is one."""
        if self.problem is not None:
            raise again(self.problem)
        if self.opened is None:
            raise MalformedData("the secret does not open")
        return self.opened.content


@dataclass(frozen=True)
class Written:
    """What became of a write that the service has taken.

    Attributes:
        token: the identity of the envelope.
        signed_at: ms since 1970.
        revision: what the service gave it, where it says so.
        envelope: as it was sent.
    """

    token: str
    signed_at: int
    revision: int | None
    envelope: bytes = field(repr=False)


def inspect(reader: Identity, address: Address, secret: StoredSecret) -> Stored:
    """Opens both layers of a stored secret and checks the signature; needs no event loop."""
    box, one_time = secret.box, secret.is_one_time
    if box is None:
        return Stored("", None, one_time, problem=MalformedData("what is kept here is no box"))
    token = _token(box.encrypted_content_hex.encode())
    try:
        text = open_box(reader, box)
        token = _token(text)
        opened = open_envelope(reader, address, text)
    except SmfsError as error:
        return Stored(token, box, one_time, problem=error.with_traceback(None))
    size = len(opened.content)
    return Stored(token, box, one_time, opened, size, opened.sender, opened.signed_at)


def _token(envelope: bytes) -> str:
    return hashlib.sha256(envelope).hexdigest()[:32]


class Envelopes:
    """What a node keeps and shares.

    Args:
        session: the node at its service.
        history: what was seen so far.
        locks: keep two writes of one secret apart, so that their order is the one we remember.
        require: where unsigned content is refused.
        now: the clock of this machine, ms since 1970.
        under_way: the changes that the service is being asked for; None: none yet.
    """

    def __init__(
        self,
        session: Session,
        history: History,
        locks: KeyedLocks,
        *,
        require: RequireSignatures,
        now: Now,
        under_way: UnderWay | None = None,
    ) -> None:
        self.session = session
        self.under_way = under_way or UnderWay()
        self.history = history
        self.require = require
        self.node_id = session.identity.node_id
        self.limits = Limits(session)
        self._locks = locks
        self._now = now

    def requiring(self, require: RequireSignatures) -> Envelopes:
        """The same secrets and the same history, under another rule for unsigned content."""
        return Envelopes(
            self.session,
            self.history,
            self._locks,
            require=require,
            now=self._now,
            under_way=self.under_way,
        )

    def own_address(self, secret_id: str) -> Address:
        """Where an own secret lies."""
        return Address("own", self.node_id, self.node_id, secret_id)

    def from_address(self, sender: str, secret_id: str) -> Address:
        """Where a secret lies that `sender` shared with us."""
        return Address("shared", sender, self.node_id, secret_id)

    def address(self, key: Key) -> Address:
        """Where a secret of a view lies."""
        if key.area == "from":
            return self.from_address(key.node_id, key.secret_id)
        return self.own_address(key.own_id)

    def judged(self, address: Address, stored: Stored, mark: int | None = None) -> Stored:
        """The stored secret with the problem that the history finds in it.

        Args:
            address: where it lies.
            stored: as it came.
            mark: the history's when it was asked for, where something may have overtaken it.
        """
        if stored.size is None:
            return stored
        problem = self.history.judge(self.require, address, stored.token, stored.signed_at, mark)
        return stored if problem is None else replace(stored, problem=problem)

    async def own(self, secret_id: str) -> Stored:
        """An own secret; SecretNotFound when there is none."""
        await self.limits.check_id(secret_id)
        address = self.own_address(secret_id)
        for _ in range(_REREADS):
            mark = self.history.mark()
            try:
                stored = await self._ask_own(address)
            except SecretNotFound:
                if not self.history.overtaken(address, None, mark):
                    raise
            else:
                if not self.history.overtaken(address, stored.token, mark):
                    return self.judged(address, stored)
        mark = self.history.mark()
        return self.judged(address, await self._ask_own(address), mark)

    async def _ask_own(self, address: Address) -> Stored:
        answer = await self.session.call(requests.GetSecret, secret_id=address.secret_id)
        return await self.inspect(address, StoredSecret(box_of(answer.value)))

    async def write_own(self, secret_id: str, content: bytes) -> Written:
        """Sets an own secret; when this returns, the service has taken it."""
        await self.limits.check_id(secret_id)
        await self.limits.check_size(content)
        address = self.own_address(secret_id)
        return await self._write(
            address, content, partial(self.session.call, requests.SetSecret, secret_id=secret_id)
        )

    async def share(
        self, recipient: str, secret_id: str, content: bytes, *, one_time: bool
    ) -> Written:
        """Shares a secret.

        Raises:
            NotAccepted, SpaceNotFound, InvalidPoint: the recipient takes nothing, or cannot.
        """
        await self.limits.check_id(secret_id)
        await self.limits.check_size(content)
        address = Address("shared", self.node_id, recipient, secret_id)
        call = partial(
            self.session.call,
            requests.ShareSecretTo,
            share_to_id=recipient,
            secret_id=secret_id,
            is_one_time_secret=one_time,
        )
        return await self._write(address, content, call)

    async def _write(
        self, address: Address, content: bytes, call: Callable[..., Awaitable[Answer]]
    ) -> Written:
        identity = self.session.identity
        async with self._locks.hold(address):
            signed_at = self.history.next_time(address, self._now())
            text = await off_loop(
                2 * len(content), lambda: seal_envelope(identity, address, content, signed_at)
            )
            envelope = text.encode()
            token, mark = _token(envelope), self.history.mark()
            with self.under_way.begun(address, token):
                answer = await call(secret=text)
            self.history.written(address, token, signed_at, mark)
        return Written(token, signed_at, answer.revision, envelope)

    async def delete_own(self, secret_id: str) -> int | None:
        """Deletes an own secret; SecretNotFound when there was none.

        Returns:
            the revision of the deletion, where the service tells it.
        """
        await self.limits.check_id(secret_id)
        address = self.own_address(secret_id)
        async with self._locks.hold(address):
            mark = self.history.mark()
            with self.under_way.begun(address, None):
                revision = await self._remove(requests.DeleteSecret, secret_id=secret_id)
            self.history.deleted(address, mark)
        return revision

    async def unshare(self, recipient: str, secret_id: str) -> None:
        """Takes a shared secret back; raises as getSecretFrom would when it is not there."""
        await self.limits.check_id(secret_id)
        address = Address("shared", self.node_id, recipient, secret_id)
        async with self._locks.hold(address):
            await self._remove(
                requests.DeleteSharedSecret, shared_to_id=recipient, secret_id=secret_id
            )
            self.history.deleted(address)

    async def _remove(self, request: type[requests.SignedRequest], **fields: str) -> int | None:
        delivery = Delivery()
        try:
            return (await self.session.call(request, delivery, **fields)).revision
        except _GONE:
            # An earlier attempt may have removed it, though its answer was lost.
            if not delivery.lost:
                raise
            return None

    async def stop_accepting(self, sender: str) -> int | None:
        """Deletes a sender's sub space; NotAccepted when there was none.

        Returns:
            the revision of the deletion, where the service tells it.
        """
        return await self._remove(requests.DeleteSubSpace, from_id=sender)

    async def check_share(self, recipient: str, secret_id: str, size: int) -> None:
        """Has our service say what it would say to a share of `size` bytes (docs/additions.md)."""
        await self.session.call(
            requests.CheckShare, share_to_id=recipient, secret_id=secret_id, size=size
        )

    async def take(self, sender: str, secret_id: str, delivery: Delivery) -> Stored:
        """What getSecretFrom hands out, not yet judged; a one-time secret is gone afterwards.

        Raises:
            SecretNotFound: when it is gone; by an attempt of ours if the delivery is still lost.
        """
        await self.limits.check_id(secret_id)
        try:
            answer = await self.session.call(
                requests.GetSecretFrom, delivery, from_id=sender, secret_id=secret_id
            )
        except SecretNotFound:
            if not delivery.lost:
                raise
            answer = await self._take_again(sender, secret_id, delivery)
        address = self.from_address(sender, secret_id)
        return await self.inspect(address, StoredSecret(box_of(answer.value)))

    async def _take_again(self, sender: str, secret_id: str, delivery: Delivery) -> Answer:
        """What an attempt consumed whose answer was lost, where the service has kept it."""
        found = await self.session.connection.discover()
        if found is None or requests.RepeatSecretFrom.route() not in found.features:
            raise SecretNotFound(secret_id)
        for first in delivery.signatures:
            with suppress(SecretNotFound):
                return await self.session.call(
                    requests.RepeatSecretFrom, from_id=sender, secret_id=secret_id, first=first
                )
        delivery.lost = False
        raise SecretNotFound(secret_id)

    async def shared_by(self, sender: str, secret_id: str) -> Stored:
        """What `sender` shared, by getSecretFrom.

        Raises:
            ServiceUnavailable: when the answer was lost and the secret, being one for one time,
                went with it.
        """
        delivery, mark = Delivery(), self.history.mark()
        try:
            stored = await self.take(sender, secret_id, delivery)
        except SecretNotFound:
            if delivery.lost:
                text = "the answer was lost on the way; if it was a one-time secret, it is gone"
                raise ServiceUnavailable(text) from None
            raise
        return self.judged(self.from_address(sender, secret_id), stored, mark)

    async def space(self) -> Space:
        """The whole space, its secrets still sealed."""
        answer = await self.session.call(requests.GetSecretSpace)
        return await read_space(self.session.identity, answer.value)

    async def sub_space(self, sender: str) -> SubSpace:
        """A sender's sub space, its secrets still sealed; NotAccepted when there is none."""
        answer = await self.session.call(requests.GetSubSpace, from_id=sender)
        return await read_sub_space(self.session.identity, answer.value)

    async def inspect_all(
        self, secrets: Iterable[tuple[Address, StoredSecret]]
    ) -> dict[Address, Stored]:
        """Opens many at once, in a worker thread, and keeps no content; none is judged yet."""
        listed = list(secrets)
        identity = self.session.identity

        def work() -> dict[Address, Stored]:
            return {
                address: replace(inspect(identity, address, secret), opened=None)
                for address, secret in listed
            }

        # One opening takes as long as decrypting some tens of kilobytes.
        return await off_loop(32 * 1024 * len(listed), work)

    async def inspect(self, address: Address, secret: StoredSecret) -> Stored:
        """Opens one, a large one in a worker thread; it is not judged yet."""
        size = len(secret.box.encrypted_content_hex) if secret.box else 0
        identity = self.session.identity
        return await off_loop(size, lambda: inspect(identity, address, secret))
