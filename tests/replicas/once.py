"""Workers that do the same several times at once: it is done once."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import httpx
import trio

from smfs.client.client import Client
from smfs.client.clock import system_now
from smfs.client.stragglers import Wire
from smfs.crypto.identity import Identity
from smfs.errors import (
    InvalidAuthCode,
    SecretNotFound,
    ServiceError,
    ServiceUnavailable,
    SpaceNotFound,
)
from smfs.protocol import canonical, requests, signing
from tests.replicas.workers import Place, Worker

_CODE: Final = "openSecretSpace"
_READERS: Final = 3
_COPIES: Final = 4
_UNDECIDED: Final = {0, 429, 503}  # no answer, or to come back later

# Counted from anywhere: by chance two of thousands would be the same, and the second a replay.
_nonces = itertools.count(random.randrange(signing.NONCE_LIMIT))


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


async def _at_once(tasks: list[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)


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
