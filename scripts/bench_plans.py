#!/usr/bin/env python3
"""What is asked of a service: the spaces that are there before, and the requests of each kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from bench_drive import PATIENCE, Drive
from bench_requests import Signer, ask, connected

from smfs.protocol import requests

CONTENT = b"correct horse battery staple\n"
PORTERS = 32
"""Over so many connections spaces are filled."""

STRIDE = 7919
"""A prime, so that secrets are asked for in no order of theirs."""

APART = 1_000_000
"""So far from each other are the nonces of two generators."""


@dataclass(frozen=True)
class Spaces:
    """Spaces of a service that are made for one run; each accepts the one before it.

    Attributes:
        tag: tells the nodes of this run from those of another one.
        first: the number of the first node.
        count: how many there are.
        secrets: how many of its own each one has.
        shares: how many it has from the one before it.
    """

    tag: str
    first: int
    count: int
    secrets: int
    shares: int

    def signers(self, nonces: Iterator[int]) -> list[Signer]:
        """Their nodes, and where there is but one, a guest behind it that shares into its space."""
        end = self.first + self.count + (self.count == 1)
        return [Signer.numbered(self.tag, number, nonces) for number in range(self.first, end)]


class Plans:
    """The requests that can be asked for.

    Args:
        address: host and port of the service.
        spaces: whose requests they are.
        number: of this process: what others make at the same time is different.
    """

    def __init__(self, address: tuple[str, int], spaces: Spaces, number: int) -> None:
        self._address = address
        self._spaces = spaces
        everyone = spaces.signers(itertools.count(number * APART))
        self.signers = everyone[: spaces.count]
        self._guests = everyone[spaces.count :]
        self._before = dict(zip(self.signers, everyone[-1:] + everyone, strict=False))
        self._envelope = self.signers[0].envelope(name(0), CONTENT)
        self._fresh = (f"fresh/{number}/{each}" for each in itertools.count())

    def populate(self) -> int:
        """Makes the spaces and all that is in them; returns how many requests that took."""
        opened = (
            signer.message(
                requests.OpenSecretSpace,
                auth_code=requests.AUTH_CODE_OPEN_SPACE,
                closure_date=None,
            )
            for signer in self.signers + self._guests
        )
        accepted = (
            signer.message(requests.OpenSubSpace, from_id=before.node_id, closure_date=None)
            for signer, before in self._before.items()
            if self._spaces.shares
        )
        stored = (
            self.set_secret(signer, name(each))
            for each in range(self._spaces.secrets)
            for signer in self.signers
        )
        shared = (
            self._share(before, signer, name(each))
            for each in range(self._spaces.shares)
            for signer, before in self._before.items()
        )
        return sum(map(self.carry_out, (opened, accepted, stored, shared)))

    def carry_out(self, messages: Iterable[bytes]) -> int:
        """Has requests answered, in any order, that are not measured; returns how many.

        They may be made only while they are sent, for a signature is good for some minutes.
        """
        with closing(Drive(self._address, PORTERS)) as drive:
            return len(drive.run(messages).latencies)

    def messages(self, operation: str, count: int) -> list[bytes]:
        """So many requests of a kind, which can be answered now."""
        make = OPERATIONS[operation]
        return list(itertools.islice(make(self, count), count))

    def set_secret(self, signer: Signer, secret_id: str) -> bytes:
        """A setSecret; one envelope is as good as another."""
        return signer.message(requests.SetSecret, secret_id=secret_id, secret=self._envelope)

    def sets(self, _count: int) -> Iterator[bytes]:
        """Sets of secrets that are there, so that their number stays."""
        for signer, secret_id in self._places(self._spaces.secrets):
            yield self.set_secret(signer, secret_id)

    def gets(self, _count: int) -> Iterator[bytes]:
        """Gets of own secrets."""
        for signer, secret_id in self._places(self._spaces.secrets):
            yield signer.message(requests.GetSecret, secret_id=secret_id)

    def shares(self, _count: int) -> Iterator[bytes]:
        """Shares of what is shared already."""
        for signer, secret_id in self._places(self._spaces.shares):
            yield self._share(self._before[signer], signer, secret_id)

    def gets_from(self, _count: int) -> Iterator[bytes]:
        """Gets of what was shared, which stays."""
        for signer, secret_id in self._places(self._spaces.shares):
            yield signer.message(
                requests.GetSecretFrom, from_id=self._before[signer].node_id, secret_id=secret_id
            )

    def deletes(self, count: int) -> Iterator[bytes]:
        """Deletes of secrets that are set first for that."""
        signers = itertools.islice(itertools.cycle(self.signers), count)
        places = [(signer, next(self._fresh)) for signer in signers]
        self.carry_out([self.set_secret(*place) for place in places])
        for signer, secret_id in places:
            yield signer.message(requests.DeleteSecret, secret_id=secret_id)

    def sets_and_deletes(self, _count: int) -> Iterator[bytes]:
        """A set of a new secret and its delete, in turn."""
        for signer in itertools.cycle(self.signers):
            secret_id = next(self._fresh)
            yield self.set_secret(signer, secret_id)
            yield signer.message(requests.DeleteSecret, secret_id=secret_id)

    def feeds(self, _count: int) -> Iterator[bytes]:
        """Asks of the feed that has nothing new to tell, and are answered at once."""
        for signer, feed, since in itertools.cycle(self.known()):
            yield follow(signer, feed, since, 0)

    def known(self) -> list[tuple[Signer, str, int]]:
        """Where the feed of each space is now: its name and its newest revision."""
        found = []
        with closing(connected(self._address, PATIENCE)) as connection:
            for signer in self.signers:
                feed, since, more = "", 0, False
                while more or not feed:
                    message = follow(signer, feed, since, 0, listing=more)
                    page = signer.opened(ask(connection, message))
                    feed, since, more = page["feed"], page["revision"], page["more"]
                found.append((signer, feed, since))
        return found

    def _places(self, secrets: int) -> Iterator[tuple[Signer, str]]:
        # One space after the other, so that each connection meets all of them.
        for number in itertools.count():
            for signer in self.signers:
                yield signer, name(number * STRIDE % secrets)

    def _share(self, sender: Signer, recipient: Signer, secret_id: str) -> bytes:
        return sender.message(
            requests.ShareSecretTo,
            share_to_id=recipient.node_id,
            secret_id=secret_id,
            secret=self._envelope,
            is_one_time_secret=False,
        )


OPERATIONS: dict[str, Callable[[Plans, int], Iterator[bytes]]] = {
    "set": Plans.sets,
    "get": Plans.gets,
    "share": Plans.shares,
    "delete": Plans.deletes,
    "getSecretFrom": Plans.gets_from,
    "feed": Plans.feeds,
    "set and delete": Plans.sets_and_deletes,
}


def name(number: int) -> str:
    """The id of a secret that is there from the beginning."""
    return f"many/f{number:05}"


def follow(signer: Signer, feed: str, since: int, wait: int, *, listing: bool = False) -> bytes:
    """A getChanges that waits for so many milliseconds."""
    return signer.message(
        requests.GetChanges, feed=feed, since=since, listing=listing, contents=False, wait=wait
    )
