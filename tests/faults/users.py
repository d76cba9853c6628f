"""What the users of a service do while something happens to it, and what they check in the end."""

from __future__ import annotations

import abc
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from smfs.protocol import requests
from tests.faults.load import LONGEST_S, Client, Met
from tests.service.followers import Follower
from tests.service.nodes import Answer

_IDS: Final = ("a", "b/c", "d")
_WAIT_MS: Final = 3000
_PAUSE_S: Final = 0.1
_ACTION: Final = "openSecretSpace"


class User(abc.ABC):
    """Does one kind of thing over and over.

    Args:
        met: what all users meet.
        urls: of the replicas; the first one is its own.
        roams: whether it goes to another one when its own does not answer.
    """

    def __init__(self, met: Met, urls: Sequence[str], *, roams: bool) -> None:
        self.met = met
        self.urls = tuple(urls)
        self.clients: list[Client] = []
        self.is_over = False
        self._roams = roams

    def client(self) -> Client:
        """A new node, closed in the end."""
        made = Client(self.met, self.urls, roams=self._roams)
        self.clients.append(made)
        return made

    @abc.abstractmethod
    async def begin(self) -> None:
        """What has to be there before anything happens."""

    @abc.abstractmethod
    async def step(self, number: int) -> None:
        """Does it once."""

    async def run(self) -> None:
        """Does it until it is over."""
        for number in itertools.count(1):
            if self.is_over:
                return
            await self.step(number)

    @abc.abstractmethod
    async def end(self) -> None:
        """Checks what there is."""


class Writer(User):
    """Sets numbered contents and deletes; one who follows at each replica misses nothing."""

    async def begin(self) -> None:
        """An empty space."""
        self.node = await self.client().open_space()
        self.held: dict[str, str] = {}
        self.revisions: dict[str, int | None] = {}
        self.newest = 0
        self.last: int | None = None
        self.followers = {url: Follower(self.node) for url in self.urls}

    async def step(self, number: int) -> None:
        """One more change."""
        name = random.choice(_IDS)
        if name in self.held and not random.randrange(4):
            request = self.node.signed(requests.DeleteSecret, secret_id=name)
            answer = await self.node.change("delete", request)
            self.held.pop(name)
            self.revisions.pop(name)
            self._counts(answer)
            return
        content = f"{number} " + "x" * random.randrange(2000)
        request = self.node.signed(requests.SetSecret, secret_id=name, secret=content)
        answer = await self.node.change("set", request)
        self.held[name] = content
        self.revisions[name] = self._counts(answer)

    def _counts(self, answer: Answer | None) -> int | None:
        if answer is None or "smfs-revision" not in answer.headers:
            return None
        revision = int(answer.headers["smfs-revision"])
        self.met.expect(f"{revision} after {self.newest}", holds=revision > self.newest)
        self.newest = revision
        return revision

    async def run(self) -> None:
        """As of every user; then it is known where the feeds end."""
        await super().run()
        listing = Follower(self.node)
        await listing.catch_up()
        self.listed = {name: each.revision for (_, name), each in listing.secrets.items()}
        self.last = listing.since

    async def follow(self, url: str) -> None:
        """Follows at one replica, until all is known."""
        follower = self.followers[url]
        while self.last is None or follower.since < self.last:
            request = follower.request(wait=_WAIT_MS)
            answer = await self.node.attempt(request, url)
            if answer is None or answer.status != 200:
                await trio.sleep(_PAUSE_S)
                continue
            page = follower.read(answer)
            again = page.since == 0 and bool(follower.since) and not follower.is_listing
            self.met.expect("a feed began anew", holds=not again)
            follower.apply(page)
            if page.changes:
                self.met.note(f"told at {url}")

    async def end(self) -> None:
        """Each secret holds what was settled last; nothing was done twice."""
        listed = self.listed
        holds = listed.keys() == self.held.keys()
        self.met.expect(f"listed {set(listed)}, not {set(self.held)}", holds=holds)
        for name, content in self.held.items():
            found = await self.node.get(name)
            self.met.expect(f"{found[:9]} instead of {content[:9]}", holds=found == content)
            known = self.revisions[name]
            self.met.expect(f"{name} was set twice", holds=known in (None, listed.get(name)))
        for url, follower in self.followers.items():
            told = {name: each.revision for (_, name), each in follower.secrets.items()}
            self.met.expect(f"a feed at {url} says {told}, not {listed}", holds=told == listed)


class Sharer(User):
    """Shares with one who accepts; of one-time secrets each is handed out once."""

    async def begin(self) -> None:
        """Somebody who accepts."""
        self.node, self.recipient = self.client(), await self.client().open_space()
        await self.recipient.accept(self.node)
        self.held: dict[str, str] = {}

    async def step(self, number: int) -> None:
        """One more share, or a one-time secret and all who ask for it."""
        name = random.choice(_IDS)
        if number % 3 == 0:
            await self._hand_out(f"once {number}")
        elif name in self.held and not random.randrange(4):
            fields = {"shared_to_id": self.recipient.node_id, "secret_id": name}
            request = self.node.signed(requests.DeleteSharedSecret, **fields)
            await self.node.change("unshare", request)
            self.held.pop(name)
        else:
            self.held[name] = f"shared {number}"
            await self._share(name, self.held[name], once=False)

    async def _share(self, name: str, content: str, *, once: bool) -> None:
        request = self.node.signed(
            requests.ShareSecretTo,
            share_to_id=self.recipient.node_id,
            secret_id=name,
            secret=content,
            is_one_time_secret=once,
        )
        await self.node.change("share once" if once else "share", request)

    async def _hand_out(self, name: str) -> None:
        await self._share(name, name, once=True)
        got: list[str] = []
        lost: list[str] = []

        async def fetch(url: str) -> None:
            fields = {"from_id": self.node.node_id, "secret_id": name}
            request = self.recipient.signed(requests.GetSecretFrom, **fields)
            answer = await self.recipient.settle(request, "" if self._roams else url)
            if answer is None:
                lost.append(request.signature)
            elif answer.error is None:
                got.append(answer.opened(self.recipient.identity))

        await _at_once(fetch, self.urls)
        for signature in lost:
            fields = {"from_id": self.node.node_id, "secret_id": name, "first": signature}
            repeat = self.recipient.signed(requests.RepeatSecretFrom, **fields)
            answer = await self.recipient.settle(repeat)
            if answer is not None and answer.error is None:
                got.append(answer.opened(self.recipient.identity))
        self.met.expect(f"{name} was handed out as {got}, {len(lost)} lost", holds=got == [name])
        self.met.note("handed out")

    async def end(self) -> None:
        """Each is there as it was shared last."""
        for name in _IDS:
            fields = {"from_id": self.node.node_id, "secret_id": name}
            answer = await self.recipient.ask(requests.GetSecretFrom, **fields)
            found = None if answer.error else answer.opened(self.recipient.identity)
            holds = found == self.held.get(name)
            self.met.expect(f"{name} is {found}, not {self.held.get(name)}", holds=holds)


class Coder(User):
    """Has codes made with which two nodes each try to open their spaces: one succeeds."""

    async def begin(self) -> None:
        """One to whom the service may send codes."""
        self.node = await self.client().open_space()
        answer = await self.node.send(requests.GetNodeId(auth_code=requests.AUTH_CODE_NODE_ID))
        self.service_id = answer.json["serverNodeId"]
        await self.node.accept(self.service_id)

    async def step(self, number: int) -> None:
        """One more code."""
        await self.node.change("code", self.node.signed(requests.CreateAuthCode, action=_ACTION))
        fields = {"from_id": self.service_id, "secret_id": f"{_ACTION}AuthCode"}
        request = self.node.signed(requests.GetSecretFrom, **fields)
        answer = await self.node.settle(request)
        if answer is None:
            return  # it was handed out, and lost on its way
        code = answer.opened(self.node.identity)
        turned = [self.urls, self.urls[::-1]]
        newcomers = [Client(self.met, each, roams=self._roams) for each in turned]
        opened: list[Client] = []
        told: list[Client] = []

        async def enter(newcomer: Client) -> None:
            request = newcomer.signed(requests.OpenSecretSpace, auth_code=code, closure_date=None)
            answer = await newcomer.settle(request)
            if answer is not None and answer.error is None:
                told.append(newcomer)
            look = newcomer.signed(requests.GetSecretSpace)
            while (found := await newcomer.settle(look)) is None:
                look = newcomer.signed(requests.GetSecretSpace)
            if found.error is None:
                opened.append(newcomer)

        await _at_once(enter, newcomers)
        self.met.expect(f"a code let {len(opened)} in", holds=len(opened) == 1)
        self.met.expect(
            "somebody was let in and has no space", holds=set(map(id, told)) <= set(map(id, opened))
        )
        self.met.note("entered")
        for newcomer in newcomers:
            await newcomer.aclose()

    async def end(self) -> None:
        """All is checked already."""


async def _at_once(call: Callable[[Any], Any], each: Sequence[Any]) -> None:
    async with trio.open_nursery() as nursery:
        for one in each:
            nursery.start_soon(call, one)


@asynccontextmanager
async def users(urls: Sequence[str], *, roams: bool = False) -> AsyncIterator[Met]:
    """Users at every replica for as long as the block lasts; then all is checked.

    Args:
        urls: of the replicas.
        roams: whether they go to another replica when one does not answer.
    """
    met = Met()
    turned = [(*urls[at:], *urls[:at]) for at in range(len(urls))]
    writers = [Writer(met, each, roams=roams) for each in turned]
    others: list[User] = [
        kind(met, each, roams=roams) for each in turned for kind in (Sharer, Coder)
    ]
    everybody = [*writers, *others]
    for user in everybody:
        await user.begin()
    async with trio.open_nursery() as nursery:
        for user in everybody:
            nursery.start_soon(user.run)
        for writer in writers:
            for url in urls:
                nursery.start_soon(writer.follow, url)
        await met.more_from(urls, 10)
        yield met
        for user in everybody:
            user.is_over = True
        nursery.cancel_scope.deadline = trio.current_time() + LONGEST_S
    assert not nursery.cancel_scope.cancelled_caught, "somebody has not come to an end"
    for user in everybody:
        await user.end()
        for client in user.clients:
            await client.aclose()
