"""Where a run takes place, and what all who use a service there have in common."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import trio

from smfs.client.client import Client, create_client
from smfs.crypto.identity import Identity
from smfs.errors import NotAccepted, SecretNotFound, ServiceError, ServiceUnavailable
from tests.faults.blocks import block
from tests.replicas.hooks import Heard
from tests.replicas.ledger import Content, Ledger, Slot

DEADLINE_S: Final = 60.0
"""Of each client: a machine that runs all of it at once is slow, and that is no error."""

_AFTER_AN_ERROR_S: Final = 1.0


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
