"""Workers who are told of changes, by the feed or by hooks, and miss none."""

from __future__ import annotations

import random
from typing import Final

import trio

from smfs.client.client import Client
from smfs.client.view import View
from smfs.crypto.identity import Identity
from smfs.errors import NotAccepted, SecretNotFound, ServiceError, ServiceUnavailable
from tests.replicas.ledger import Content, Slot
from tests.replicas.workers import Worker

CAUGHT_UP_S: Final = 120.0
"""For a follower, or the hooks, to know everything in the end."""

_IDS: Final = ("a", "b/c", "d")
_LATE_S: Final = 5.0  # far more than a wake-up takes, and less than the poll that makes up for one
_END: Final = "end"


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


async def _contents(view: View) -> dict[tuple[str, str], bytes]:
    """By sender (empty for own ones) and secret id."""
    found = {("", name): (await view.read_own(name)).content for name in view.own()}
    for node_id, sender in view.senders().items():
        for name in sender.secrets:
            found[node_id, name] = (await view.read_from(node_id, name)).content
    return found
