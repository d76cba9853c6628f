"""One node at one service: signed requests, and the opening of its secret space."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from smfs.client.answers import Answer
from smfs.client.connection import Connection
from smfs.client.nonces import Nonces
from smfs.client.retries import Delivery
from smfs.client.shared import SharedTurn, again
from smfs.client.spaces import read_space
from smfs.client.stragglers import Stragglers, Wire, target_of
from smfs.crypto.identity import Identity
from smfs.errors import (
    ClosureDateFixed,
    InvalidAuthCode,
    ServiceError,
    SpaceNotFound,
)
from smfs.protocol import canonical, signing
from smfs.protocol.discovery import receipt_of
from smfs.protocol.requests import (
    AUTH_CODE_OPEN_SPACE,
    CheckShare,
    CreateAuthCode,
    DeleteNotificationHook,
    DeleteSecret,
    DeleteSecretSpace,
    DeleteSharedSecret,
    DeleteSubSpace,
    GetChanges,
    GetNodeId,
    GetNotificationHooks,
    GetSecretSpace,
    GetSubSpace,
    OpenSecretSpace,
    OpenSubSpace,
    Request,
    SetSecret,
    ShareSecretTo,
    SignedRequest,
)

T = TypeVar("T")

_NO_NEWCOMERS: Final = (
    "the service keeps no secret space for you and opens none without an auth code of its own"
)
_NO_SUCH_CODE: Final = "the auth code is unknown to the service, used up, or for something else"
_LISTINGS: Final = (GetSecretSpace, GetSubSpace, GetNotificationHooks, GetChanges)
_PLAIN: Final = (
    CreateAuthCode,
    OpenSecretSpace,
    DeleteSecretSpace,
    SetSecret,
    DeleteSecret,
    OpenSubSpace,
    DeleteSubSpace,
    ShareSecretTo,
    CheckShare,
    DeleteSharedSecret,
    DeleteNotificationHook,
)
_NEED_NO_SPACE: Final = (OpenSecretSpace, DeleteSecretSpace)


class Repeatable(Generic[T]):
    """Something to await, as often as one likes."""

    def __init__(self, start: Callable[[], Awaitable[T]]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, T]:
        return self._start().__await__()


class Follower(Protocol):
    """Who goes by what the service tells by itself."""

    def doubt(self) -> None:
        """A request got no answer, though it was tried several times."""

    def moved(self) -> None:
        """The service is another one from now on."""


class Session:
    """What signs a node's requests and sends them.

    Args:
        identity: whose requests they are.
        connection: where they go.
        closure_date: until when a space that this session opens shall be there; ms since 1970.
        auth_code: opens the space before the first request; None: it is taken to be there, and
            opened by the default code when it turns out not to be.

    Attributes:
        identity, connection, closure_date: as above.
        followers: whoever goes by what the service tells by itself.
    """

    def __init__(
        self,
        identity: Identity,
        connection: Connection,
        *,
        closure_date: float | None,
        auth_code: str | None,
    ) -> None:
        self.identity = identity
        self.connection = connection
        self.closure_date = closure_date
        self._auth_code = auth_code
        self._opens_late = auth_code is None
        self._opening = SharedTurn()
        self._failure: ServiceError | None = None
        self._nonces = Nonces()
        self._openings = 0
        self._stragglers = Stragglers()
        self.followers: set[Follower] = set()
        connection.when_unavailable = self._doubt

    def _doubt(self) -> None:
        for each in self.followers:
            each.doubt()

    async def ready(self) -> None:
        """Waits until the space is open, opening it where that is due.

        A refusal is final: every later call raises the same (PROTOCOL.md section 15). A service
        that cannot be reached is asked again by the next call.

        Raises:
            ServiceError: the refusal.
            ServiceUnavailable: when the service cannot be reached.
        """
        if self._failure is not None:
            raise again(self._failure)
        if self._auth_code is None:
            return
        async with self._opening.take():
            await self._open_once()

    async def _open_once(self) -> None:
        if self._failure is not None:
            raise again(self._failure)
        if self._auth_code is None:
            return
        try:
            await self._open(self.connection, self._auth_code, Delivery())
        except ServiceError as error:
            self._failure = error
            raise
        self._auth_code = None

    async def call(
        self,
        request_type: type[SignedRequest],
        delivery: Delivery | None = None,
        **fields: Any,
    ) -> Answer:
        """Makes a signed request of this node.

        Args:
            request_type: a row of the route table.
            delivery: as `Connection.post` takes it.
            **fields: what the request has besides who, when and signature.

        Raises:
            ServiceError, ServiceUnavailable: as `Connection.post`.
        """
        await self.ready()
        delivery, before = delivery or Delivery(), self._openings
        try:
            return await self._signed(self.connection, request_type, delivery, fields)
        except SpaceNotFound as missing:
            is_own = missing.subject == self.identity.node_id
            if not is_own or not self._opens_late or request_type in _NEED_NO_SPACE:
                raise
        async with self._opening.take():
            if self._openings == before:
                await self._open(self.connection, AUTH_CODE_OPEN_SPACE, Delivery())
        return await self._signed(self.connection, request_type, delivery, fields)

    async def server_answer(self, auth_code: str) -> Answer:
        """The service's answer to getNodeId, which needs no signature."""
        request = GetNodeId(auth_code=auth_code)
        return await self.connection.post(lambda: _wire(request))

    async def move(self, connection: Connection, auth_code: str) -> None:
        """Opens the space at another service and stays there; on failure nothing changes."""
        try:
            async with self._opening.take():
                await self._open(connection, auth_code, Delivery())
                self._stay_at(connection)
        except BaseException:
            if connection.transport is None:  # else it is the one of where we stay
                await connection.retire()
            raise

    def _stay_at(self, connection: Connection) -> None:
        self.connection.when_unavailable, connection.when_unavailable = None, self._doubt
        self.connection = connection
        self._stragglers.forget()
        self._auth_code = self._failure = None
        self._opens_late = False
        for each in self.followers:
            each.moved()

    async def erase(self) -> None:
        """Deletes the space; it is not opened again by itself."""
        await self.call(DeleteSecretSpace)
        self._opens_late = False

    async def _open(self, connection: Connection, auth_code: str, delivery: Delivery) -> None:
        try:
            await self._signed(
                connection,
                OpenSecretSpace,
                delivery,
                {"auth_code": auth_code, "closure_date": self.closure_date},
            )
        except InvalidAuthCode:
            # The code may have been used up by an attempt, now or before a restart, whose answer
            # was lost: then the space is there.
            if auth_code == AUTH_CODE_OPEN_SPACE:
                raise InvalidAuthCode(_NO_NEWCOMERS) from None
            if not await self._is_open(connection):
                raise InvalidAuthCode(_NO_SUCH_CODE) from None
        self._openings += 1

    async def _is_open(self, connection: Connection) -> bool:
        try:
            answer = await self._signed(connection, GetSecretSpace, Delivery(), {})
        except SpaceNotFound:
            return False
        space = await read_space(self.identity, answer.value)
        if self.closure_date is not None and space.closure_date != self.closure_date:
            raise ClosureDateFixed("the space is open, with another closure date")
        return True

    async def _signed(
        self,
        connection: Connection,
        request_type: type[SignedRequest],
        delivery: Delivery,
        fields: dict[str, Any],
    ) -> Answer:
        target = target_of(request_type, fields)
        if target is not None:
            await self._stragglers.settle(target, partial(_once_more, connection))
        sent: list[Wire] = []

        def compose() -> Wire:
            if sent and target is not None and delivery.in_doubt:
                return sent[-1]  # the service takes the same bytes once only
            if sent:
                # Another client with the same key may be counting in step with this one.
                self._nonces.jump()
            request = self._sign(connection, request_type, fields)
            delivery.signatures.append(request.signature)
            sent.append(_wire(request))
            return sent[-1]

        try:
            return await connection.post(
                compose,
                delivery,
                secret_id=fields.get("secret_id", ""),
                is_listing=request_type in _LISTINGS,
                is_plain=request_type in _PLAIN,
            )
        finally:
            if sent and target is not None and delivery.in_doubt:
                self._stragglers.keep(target, sent[-1])

    def _sign(
        self, connection: Connection, request_type: type[SignedRequest], fields: dict[str, Any]
    ) -> SignedRequest:
        who_and_when: dict[str, Any] = {
            "public_key": self.identity.node_id,
            "timestamp": connection.clock.frame(),
            "signature": signing.UNSIGNED,
            "nonce": self._nonces.take(),
        }
        return signing.sign(self.identity, request_type(**fields, **who_and_when))


def _wire(request: Request) -> Wire:
    receipt = receipt_of(request.signature) if isinstance(request, SignedRequest) else ""
    return Wire(request.path(), canonical.encode(request.to_wire()).encode(), receipt)


async def _once_more(connection: Connection, wire: Wire) -> None:
    await connection.post(lambda: wire, Delivery(renewable=False), is_plain=True)
