"""Those who use a service for the length of a run: each does one kind of thing, over and over."""

from __future__ import annotations

import abc
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
import trio

from smfs.client.client import Client, create_client
from smfs.client.clock import system_now
from smfs.client.stragglers import Wire
from smfs.client.view import View
from smfs.crypto.identity import Identity
from smfs.errors import (
    InvalidAuthCode,
    NotAccepted,
    SecretNotFound,
    ServiceError,
    ServiceUnavailable,
    SpaceNotFound,
)
from smfs.protocol import canonical, requests, signing
from tests.faults.blocks import block
from tests.replicas.hooks import Heard
from tests.replicas.ledger import Content, Ledger, Slot

DEADLINE_S: Final = 60.0
"""Of each client: a machine that runs all of it at once is slow, and that is no error."""

CAUGHT_UP_S: Final = 120.0
"""For a follower, or the hooks, to know everything in the end."""

_CODE: Final = "openSecretSpace"
_IDS: Final = ("a", "b/c", "d")
_READERS: Final = 3
_AFTER_AN_ERROR_S: Final = 1.0
_COPIES: Final = 4
_LATE_S: Final = 5.0  # far more than a wake-up takes, and less than the poll that makes up for one
_END: Final = "end"
_UNDECIDED: Final = {0, 429, 503}  # no answer, or to come back later

# Counted from anywhere: by chance two of thousands would be the same, and the second a replay.
_nonces = itertools.count(random.randrange(signing.NONCE_LIMIT))


@dataclass
class Place:
    """Where a run takes place.

    Attributes:
        url: of the service.
        ledger: of all workers.
        hooks: hears what the service tells; None: nobody asks to be told.
        numbers: for contents, each used once.
    """

    url: str
    ledger: Ledger = field(default_factory=Ledger)
    hooks: Heard | None = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    addresses: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def content(self) -> str:
        """A content that was never used, and shows whether it is whole."""
        return block(next(self.numbers)).decode()

    def client(self, identity: Identity | None = None, **options: Any) -> Client:
        """A client of the service, with new keys where none are given."""
        key = (identity or Identity.generate()).secret_key_hex
        transport = self.transport()
        return create_client(self.url, key, transport=transport, deadline=DEADLINE_S, **options)

    def transport(self) -> httpx.AsyncHTTPTransport:
        """A way to the service from an address of its own, as clients have."""
        number = next(self.addresses) % 250 + 1
        return httpx.AsyncHTTPTransport(local_address=f"127.0.2.{number}")


class Worker(abc.ABC):
    """Does one kind of thing.

    Args:
        place: where.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ledger = place.ledger
        self._clients: list[Client] = []

    def client(self, identity: Identity | None = None, **options: Any) -> Client:
        """As `Place.client`; closed with the worker."""
        made = self.place.client(identity, **options)
        self._clients.append(made)
        return made

    async def aclose(self) -> None:
        """Closes the sockets."""
        for client in self._clients:
            await client.aclose()

    async def failed(self, kind: str, error: Exception) -> None:
        """Notes what a client was told instead of an answer, and pauses as people would."""
        self.ledger.errors.append(f"{kind}: {error!r}")
        await trio.sleep(_AFTER_AN_ERROR_S)

    async def tell(self, kind: str, asked: Awaitable[object]) -> bool:
        """Does what is to be acknowledged; whether it was."""
        try:
            await asked
        except (ServiceError, ServiceUnavailable) as error:
            await self.failed(kind, error)
            return False
        self.ledger.done[kind] += 1
        return True

    async def read(self, kind: str, asked: Awaitable[object], slot: Slot) -> None:
        """Reads what has to be there, or not to be."""
        found: Content
        try:
            found = str(await asked)
        except (SecretNotFound, NotAccepted):
            found = None
        except (ServiceError, ServiceUnavailable) as error:
            await self.failed(kind, error)
            return
        self.ledger.done[kind] += 1
        slot.check(found, self.ledger)

    @abc.abstractmethod
    async def begin(self) -> None:
        """What has to be there before the first step."""

    @abc.abstractmethod
    async def step(self) -> None:
        """Does it once."""

    async def end(self) -> None:
        """Compares with what is there in the end."""
        self.ledger.done["retry"] += sum(each.connection.health.retries for each in self._clients)


class Following(Worker):
    """One whose node a further program follows by the feed.

    Attributes:
        view: what that program knows.
        other: a program of the same node that does not follow.
    """

    view: View
    other: Client

    def followed(self, identity: Identity) -> None:
        """Says whose feed it is."""
        self.view, self.other = View(self.client(identity)), self.client(identity)

    async def follow(self) -> None:
        """Follows until it is cancelled."""
        await self.view.follow()

    async def hears_of(self, name: str, content: Content, sender: str | None = None) -> None:
        """Waits until the follower knows a secret as it was acknowledged."""
        began = trio.current_time()
        with trio.move_on_after(CAUGHT_UP_S) as waiting:
            while True:
                generation = self.view.generation
                if await self._known(name, sender) == content:
                    break
                await self.view.wait_for_change(generation)
        self.ledger.expect(f"a follower never heard of {name}", holds=not waiting.cancelled_caught)
        self.ledger.done["change heard of late"] += trio.current_time() - began > _LATE_S

    async def _known(self, name: str, sender: str | None) -> Content:
        try:
            if sender is None:
                return (await self.view.read_own(name)).content.decode()
            return (await self.view.read_from(sender, name)).content.decode()
        except (SecretNotFound, NotAccepted):
            return None

    async def end(self) -> None:
        """What the follower knows is what the service lists."""
        await super().end()
        await View(self.other).write_own(_END, b"")
        with trio.move_on_after(CAUGHT_UP_S) as waiting:
            while _END not in self.view.own():
                await self.view.wait_for_change(self.view.generation)
            await self.view.wait_until_live(live=True)
        self.ledger.expect("a follower never caught up", holds=not waiting.cancelled_caught)
        fresh = View(self.other)
        await fresh.refresh(0)
        known, listed = await _contents(self.view), await _contents(fresh)
        different = sorted(known.items() ^ listed.items())
        self.ledger.expect(f"a follower and the listing differ: {different}", holds=not different)
        self.ledger.done["change followed"] += self.view.generation


class Owner(Following):
    """Two programs of one node: one writes, the other reads at once."""

    async def begin(self) -> None:
        """The space is there."""
        identity = Identity.generate()
        self.followed(identity)
        self.writer = self.client(identity)
        self.slots = {name: Slot(f"own {name}") for name in _IDS}
        await self.tell("set", self.writer.set_secret("first", "x"))

    async def step(self) -> None:
        """Changes a secret; the other program sees that."""
        name = random.choice(_IDS)
        slot = self.slots[name]
        content, kind = None, "delete"
        if random.random() < 0.25 and None not in slot.possible:
            asked = self.writer.delete_secret(name)
        else:
            content, kind = self.place.content(), "set"
            asked = self.writer.set_secret(name, content)
        slot.attempted(content)
        if await self.tell(kind, asked):
            slot.acknowledged(content)
            await self.hears_of(name, content)
        await self.read("get", self.other.get_secret(name), slot)

    async def end(self) -> None:
        """Each secret holds what was acknowledged, and the follower knows that."""
        await super().end()
        for name, slot in self.slots.items():
            await self.read("get", self.other.get_secret(name), slot)


class Sharer(Following):
    """Shares with a node that accepts and stops accepting; both see at once what that means."""

    async def begin(self) -> None:
        """Two nodes with spaces."""
        recipient = Identity.generate()
        self.followed(recipient)
        self.sender, self.recipient = self.client(), self.client(recipient)
        self.slots = {name: Slot(f"shared {name}") for name in _IDS}
        await self.tell("set", self.sender.set_secret("first", "x"))
        await self.tell("accept", self.recipient.accept_secrets_from(self.sender))

    async def step(self) -> None:
        """One more share, or taking one back, or an acceptance that ends and begins anew."""
        name = random.choice(_IDS)
        slot = self.slots[name]
        chance = random.random()
        if chance < 0.15:
            await self._begin_anew()
        elif chance < 0.35 and None not in slot.possible:
            slot.attempted(None)
            if await self.tell("unshare", self.sender.delete_shared_secret(self.recipient, name)):
                slot.acknowledged(None)
        else:
            content = self.place.content()
            slot.attempted(content)
            asked = self.sender.share_secret_to(self.recipient, name, content)
            if await self.tell("share", asked):
                slot.acknowledged(content)
                await self.hears_of(name, content, self.sender.node_id)
        await self._read_all()

    async def _begin_anew(self) -> None:
        for slot in self.slots.values():
            slot.attempted(None)
        if not await self.tell("stop", self.recipient.stop_accepting_secrets_from(self.sender)):
            return
        for slot in self.slots.values():
            slot.acknowledged(None)
        try:
            await self.sender.share_secret_to(self.recipient, "a", "refused")
        except NotAccepted:
            self.ledger.done["refused"] += 1
        except (ServiceError, ServiceUnavailable) as error:
            await self.failed("refused", error)
        else:
            self.ledger.complaints.append("shared with somebody who does not accept that")
        await self.tell("accept", self.recipient.accept_secrets_from(self.sender))

    async def _read_all(self) -> None:
        for name, slot in self.slots.items():
            await self.read("get from", self.other.get_secret_from(self.sender, name), slot)

    async def end(self) -> None:
        """Each is there as it was shared, and the follower knows that."""
        await super().end()
        await self._read_all()


class OneTime(Worker):
    """A one-time secret for which several programs of the recipient ask at once."""

    async def begin(self) -> None:
        """A sender who is accepted."""
        recipient = Identity.generate()
        self.sender = self.client()
        self.readers = [self.client(recipient) for _ in range(_READERS)]
        await self.tell("accept", self.readers[0].accept_secrets_from(self.sender))

    async def step(self) -> None:
        """It is handed out once, whole."""
        content = self.place.content()
        name = f"once {content[:8]}"
        asked = self.sender.share_secret_to(self.readers[0], name, content, one_time=True)
        if not await self.tell("share once", asked):
            return
        got: list[str] = []
        failed: list[str] = []

        async def fetch(reader: Client) -> None:
            try:
                got.append(str(await reader.get_secret_from(self.sender, name)))
            except SecretNotFound:
                pass  # another one was quicker
            except (ServiceError, ServiceUnavailable) as error:
                failed.append(f"get once: {error!r}")

        await _at_once([partial(fetch, reader) for reader in self.readers])
        self.ledger.errors += failed
        self.ledger.done["get once"] += len(got)
        # Who failed may have had it: that is an error, but not doubled.
        is_right = got == [content] or (not got and bool(failed))
        self.ledger.expect(f"{name} was handed out {len(got)} times", holds=is_right)


class Codes(Worker):
    """A use-once auth code with which two nodes try to open their spaces at once."""

    async def begin(self) -> None:
        """A node that the service may send codes to."""
        self.giver = self.client()
        self.service_id = await self.giver.get_server_id()
        await self.tell("accept", self.giver.accept_secrets_from(self.service_id))

    async def step(self) -> None:
        """One of them succeeds."""
        await self.giver.generate_auth_code_for(_CODE)
        self.ledger.done["code"] += 1
        code = str(await self.giver.get_secret_from(self.service_id, f"{_CODE}AuthCode"))
        newcomers = [self.place.client(auth_code=code) for _ in range(2)]
        opened: list[Client] = []
        failed: list[str] = []

        async def enter(newcomer: Client) -> None:
            try:
                await newcomer.ready
            except InvalidAuthCode:
                pass  # the other one was quicker
            except (ServiceError, ServiceUnavailable) as error:
                failed.append(f"open: {error!r}")
            else:
                opened.append(newcomer)

        await _at_once([partial(enter, newcomer) for newcomer in newcomers])
        self.ledger.errors += failed
        self.ledger.done["open"] += len(opened)
        is_right = len(opened) == 1 or (not opened and bool(failed))
        self.ledger.expect(f"a code let {len(opened)} in", holds=is_right)
        for newcomer in newcomers:
            holds = await self._has_space(newcomer.identity) == (newcomer in opened) or failed
            self.ledger.expect("a space is there, or not, against what was said", holds=bool(holds))
            await newcomer.aclose()

    async def _has_space(self, identity: Identity) -> bool:
        looking = self.place.client(identity)
        async with looking:
            try:
                # Below `Client`, which would open a space that is missing.
                await looking.connection.post(lambda: _signed(identity, requests.GetSecretSpace))
            except SpaceNotFound:
                return False
        return True


class Replayer(Worker):
    """Sends the same bytes several times at once: they are carried out once."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.http = httpx.AsyncClient(base_url=place.url, transport=place.transport())

    async def begin(self) -> None:
        """A node with a space."""
        self.identity = Identity.generate()
        self.owner = self.client(self.identity)
        await self.tell("set", self.owner.set_secret("first", "x"))

    async def aclose(self) -> None:
        """Closes the sockets."""
        await self.http.aclose()
        await super().aclose()

    async def step(self) -> None:
        """All copies but one are refused."""
        text = self.place.content()
        kind = random.choice([requests.SetSecret, requests.GetSecretSpace])
        fields = {"secret_id": "raw", "secret": text} if kind is requests.SetSecret else {}
        wire = _signed(self.identity, kind, **fields)
        taken: list[int] = []

        async def send() -> None:
            try:
                answer = await self.http.post(
                    wire.path, content=wire.body, headers={"content-type": "application/json"}
                )
            except httpx.TransportError:
                taken.append(0)  # its replica died; whether before or after, nobody knows
            else:
                taken.append(answer.status_code)

        await _at_once([send] * _COPIES)
        self.ledger.done["replay"] += taken.count(401)
        carried_out = taken.count(200)
        is_once = carried_out == 1 or (not carried_out and not _UNDECIDED.isdisjoint(taken))
        is_known = {200, 401} | _UNDECIDED >= set(taken)
        self.ledger.expect(f"a replay was answered by {sorted(taken)}", holds=is_once and is_known)


class Hooked(Worker):
    """Has itself told of each write of its space."""

    async def begin(self) -> None:
        """A hook for what is written."""
        assert self.place.hooks is not None
        self.hooks = self.place.hooks
        self.owner = self.client()
        self.view = View(self.owner)
        self.written: set[str] = set()
        await self.tell("set", self.owner.set_secret("first", "x"))
        url = self.hooks.url_for(self.owner.node_id)
        await self.tell("hook", self.owner.add_notification_hook("event onWrite", "this", url))

    async def step(self) -> None:
        """One more write."""
        try:
            written = await self.view.write_own("told", self.place.content().encode())
        except (ServiceError, ServiceUnavailable) as error:
            await self.failed("set", error)
            return
        self.written.add(written.token)
        self.ledger.done["set"] += 1

    async def end(self) -> None:
        """Each was told of."""
        await super().end()
        with trio.move_on_after(CAUGHT_UP_S):
            while not self.written <= self.hooks.told(self.owner.node_id):
                await self.hooks.wait_for_more()
        told = self.hooks.told(self.owner.node_id)
        missed = len(self.written - told)
        self.ledger.expect(f"hooks were not told of {missed} writes", holds=not missed)
        self.ledger.done["hook told"] += len(told)


async def _at_once(tasks: list[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)


async def _contents(view: View) -> dict[tuple[str, str], bytes]:
    """By sender (empty for own ones) and secret id."""
    found = {("", name): (await view.read_own(name)).content for name in view.own()}
    for node_id, sender in view.senders().items():
        for name in sender.secrets:
            found[node_id, name] = (await view.read_from(node_id, name)).content
    return found


def _signed(identity: Identity, kind: type[requests.SignedRequest], **fields: Any) -> Wire:
    """A request of a node, signed now, under a nonce of its own."""
    who_and_when: dict[str, Any] = {
        "public_key": identity.node_id,
        "timestamp": signing.frame(system_now()),
        "signature": signing.UNSIGNED,
        "nonce": next(_nonces) % signing.NONCE_LIMIT,
    }
    request = signing.sign(identity, kind(**fields, **who_and_when))
    return Wire(request.path(), canonical.encode(request.to_wire()).encode())
