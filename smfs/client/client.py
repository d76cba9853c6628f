"""The client: what the original client offers (PROTOCOL.md section 15), under Python names."""

from __future__ import annotations

from typing import Self

import httpx

from smfs.client.arguments import (
    Hex,
    NodeRef,
    closure_date_of,
    content_of,
    deadline_of,
    flag_of,
    hex_of,
    identity_of,
    node_id_of,
    requirement_of,
    secret_id_of,
    text_of,
    text_or_bytes,
)
from smfs.client.clock import Now, system_now
from smfs.client.connection import Connection
from smfs.client.deadlines import operation
from smfs.client.envelopes import Envelopes
from smfs.client.hooks import NotificationHook, add_hook, delete_hook, hooks_of
from smfs.client.locks import KeyedLocks
from smfs.client.session import Repeatable, Session
from smfs.client.trust import History
from smfs.client.versions import UNSIGNED_IS_READ, RequireSignatures
from smfs.crypto.identity import Identity
from smfs.errors import (
    InvalidInput,
    MalformedData,
    ServiceUnavailable,
    SignatureMismatch,
    UnsupportedByService,
)
from smfs.protocol import fields, requests
from smfs.protocol.discovery import Discovery
from smfs.protocol.requests import AUTH_CODE_NODE_ID, AUTH_CODE_OPEN_SPACE
from smfs.protocol.signing import NodeAnswer
from smfs.protocol.spaces import Space, SubSpace

DEADLINE_S = 10.0
"""Seconds that one operation may take, with all its requests, unless said otherwise."""


def create_client(  # noqa: PLR0913 - the original's options, and ours by keyword
    server_url: str,
    secret_key_hex: Hex | None = None,
    public_key_hex: Hex | None = None,
    closure_date: float | None = None,
    auth_code: Hex | None = None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    deadline: float = DEADLINE_S,
    require_signatures: RequireSignatures = UNSIGNED_IS_READ,
    now: Now = system_now,
) -> Client:
    """A client of a Secret Manager service; nothing is sent before its first use.

    With keys and no `auth_code` the space is taken to be there, and is opened by the default code
    when the service says that it is not. With keys and an `auth_code`, or without keys (which
    makes new ones), the space is opened first.

    Args:
        server_url: `http://…` or `https://…`.
        secret_key_hex: the 32-byte seed of the node's key pair, as hex or bytes.
        public_key_hex: the node id; given or not, it follows from the secret key.
        closure_date: until when a space opened by this client shall be there, ms since 1970; None
            for no end.
        auth_code: 64 hex digits that let this client open a space.
        transport: what carries the requests instead of a socket, as `embedded_transport` makes it.
        deadline: seconds that one call of a method may take, with all its requests.
        require_signatures: where unsigned content is refused.
        now: the clock, ms since 1970.

    Raises:
        InvalidKey: when a key or code is malformed, or the public key does not fit the secret one.
        InvalidInput: when something else is.
    """
    deadline, require = deadline_of(deadline), requirement_of(require_signatures)
    identity = identity_of(secret_key_hex, public_key_hex)
    if auth_code is not None:
        code: str | None = hex_of(auth_code, "auth_code")
    else:
        code = AUTH_CODE_OPEN_SPACE if secret_key_hex is None else None
    connection = Connection(server_url, transport=transport, deadline=deadline, now=now)
    session = Session(
        identity, connection, closure_date=closure_date_of(closure_date), auth_code=code
    )
    return Client(session, require_signatures=require, now=now)


class Client:
    """One node at one service; made by `create_client`.

    Every method waits until the space is open, and raises a `ServiceError` for what the service
    refuses, a `ServiceUnavailable` when it cannot be reached within the deadline, and
    `InvalidInput` for arguments of the wrong form. A node is given by its id or by something that
    has a `node_id`.

    Attributes:
        envelopes: the secrets below this interface, for a `View`.
    """

    def __init__(
        self, session: Session, *, require_signatures: RequireSignatures, now: Now
    ) -> None:
        self._session = session
        self._now = now
        self.envelopes = Envelopes(
            session, History(), KeyedLocks(), require=require_signatures, now=now
        )

    def __repr__(self) -> str:
        return f"<Client at {self.server_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the sockets."""
        await self._session.connection.aclose()

    # --- who and where ------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """The node's key pair."""
        return self._session.identity

    @property
    def node_id(self) -> str:
        """The node id: the public key, 64 lower-case hex digits."""
        return self._session.identity.node_id

    @property
    def id(self) -> str:
        """The node id, under the original's name."""
        return self.node_id

    @property
    def public_key_hex(self) -> str:
        """The node id, under the original's other name."""
        return self.node_id

    @property
    def secret_key_hex(self) -> str:
        """The seed of the key pair, 64 hex digits: keep it to yourself."""
        return self._session.identity.secret_key_hex

    @property
    def server_url(self) -> str:
        """Where the service is, without a final slash."""
        return self._session.connection.url

    @property
    def closure_date(self) -> float | None:
        """Until when a space that this client opens shall be there, ms since 1970, or None."""
        return self._session.closure_date

    @property
    def connection(self) -> Connection:
        """The way to the service, with its health."""
        return self._session.connection

    @property
    def keys_ready(self) -> Repeatable[bool]:
        """To await: true once there are keys, which is at once."""
        return Repeatable(_true)

    @property
    def ready(self) -> Repeatable[bool]:
        """To await: true once the space is open; raises what the opening failed with."""
        return Repeatable(self._ready)

    @operation
    async def _ready(self) -> bool:
        await self._session.ready()
        return True

    @operation
    async def discover(self) -> Discovery | None:
        """What the service says of its limits and features; None for an original."""
        return await self._session.connection.discover()

    @operation
    async def update_server_url(self, server_url: str, auth_code: Hex | None = None) -> None:
        """Moves to another service and opens the space there; nothing is copied.

        On failure the client stays where it was. Requests that are under way end at the old one.

        Args:
            server_url: of the other service.
            auth_code: lets this client open a space there; None: the default one.
        """
        code = AUTH_CODE_OPEN_SPACE if auth_code is None else hex_of(auth_code, "auth_code")
        old = self._session.connection
        new = Connection(server_url, transport=old.transport, deadline=old.deadline, now=self._now)
        await self._session.move(new, code)
        self.envelopes.history.forget_versions()
        if old.transport is None:
            await old.retire()

    @operation
    async def get_server_id(self, auth_code: Hex = AUTH_CODE_NODE_ID) -> str:
        """The node id of the service, after checking its signature and time.

        Raises:
            InvalidAuthCode: when the service does not take the code.
            SignatureMismatch: when the answer is not signed by that id, or not now.
            ServiceUnavailable: also when what answers is no service.
        """
        reply = await self._session.server_answer(hex_of(auth_code, "auth_code"))
        try:
            found = NodeAnswer.parse(reply.value)
        except MalformedData as error:
            raise ServiceUnavailable(f"the service answered with nonsense: {error}") from None
        if not found.is_genuine(self._session.connection.clock.now()):
            raise SignatureMismatch("the service's answer is not signed by its id, or not now")
        return found.server_node_id

    @operation
    async def generate_auth_code_for(self, action: str) -> None:
        """Has the service make an auth code that is good once.

        It arrives as the one-time secret `<action>AuthCode` from the service's node id, which has
        to be accepted as a sender first (PROTOCOL.md section 6).

        Args:
            action: the route that it shall be good for, as `openSecretSpace`.
        """
        await self._session.call(requests.CreateAuthCode, action=text_of(action, "an action"))

    # --- the space ----------------------------------------------------------------------------

    @operation
    async def get_secret_space(self) -> Space:
        """The whole space, its secrets still sealed."""
        return await self.envelopes.space()

    @operation
    async def erase_from_server(self) -> None:
        """Deletes the space with all that is in it."""
        await self._session.erase()

    # --- own secrets --------------------------------------------------------------------------

    @operation
    async def get_secret(self, secret_id: str) -> str | bytes:
        """An own secret: text as `str`, content that is no text as `bytes`.

        Raises:
            SecretNotFound: when there is none.
            TamperedSecret: when it cannot be trusted.
        """
        stored = await self.envelopes.own(secret_id_of(secret_id))
        return text_or_bytes(stored.content())

    @operation
    async def set_secret(self, secret_id: str, secret: str | bytes) -> None:
        """Sets an own secret; when this returns, the service has taken it.

        Raises:
            TooLarge: when it is larger than the service takes.
            UnsafeSecretId: for an id that would break an original.
        """
        await self.envelopes.write_own(secret_id_of(secret_id), content_of(secret))

    @operation
    async def delete_secret(self, secret_id: str) -> None:
        """Deletes an own secret; SecretNotFound when there is none."""
        await self.envelopes.delete_own(secret_id_of(secret_id))

    # --- sharing ------------------------------------------------------------------------------

    @operation
    async def accept_secrets_from(
        self, from_id: NodeRef, closure_date: float | None = None
    ) -> None:
        """Lets a node share secrets with this one.

        An existing acceptance stays as it is, its closure date included.

        Args:
            from_id: who.
            closure_date: until when, ms since 1970; None for no end.
        """
        await self._session.call(
            requests.OpenSubSpace,
            from_id=node_id_of(from_id),
            closure_date=closure_date_of(closure_date),
        )

    @operation
    async def stop_accepting_secrets_from(self, from_id: NodeRef) -> None:
        """Accepts a node no more, and loses what it shared; NotAccepted when it was not."""
        await self.envelopes.stop_accepting(node_id_of(from_id))

    @operation
    async def get_sub_space(self, from_id: NodeRef) -> SubSpace:
        """All that a node shared, still sealed; NotAccepted when it is not accepted."""
        return await self.envelopes.sub_space(node_id_of(from_id))

    @operation
    async def share_secret_to(
        self, share_to_id: NodeRef, secret_id: str, secret: str | bytes, *, one_time: bool = False
    ) -> None:
        """Shares a secret with a node that accepts this one.

        Args:
            share_to_id: with whom.
            secret_id: under which id.
            secret: the content.
            one_time: whether it can be fetched only once.

        Raises:
            NotAccepted: when the node does not accept secrets from this one.
            SpaceNotFound: when the node has no space.
        """
        await self.envelopes.share(
            node_id_of(share_to_id),
            secret_id_of(secret_id),
            content_of(secret),
            one_time=flag_of(one_time, "one_time"),
        )

    @operation
    async def get_secret_from(self, from_id: NodeRef, secret_id: str) -> str | bytes:
        """A secret that a node shared; a one-time secret is gone afterwards.

        Raises:
            SecretNotFound, NotAccepted: when there is none.
            TamperedSecret: when it cannot be trusted.
        """
        stored = await self.envelopes.shared_by(node_id_of(from_id), secret_id_of(secret_id))
        return text_or_bytes(stored.content())

    @operation
    async def delete_shared_secret(
        self, shared_to_id: NodeRef, secret_id: str, *, force: bool = False
    ) -> None:
        """Takes back a secret that this node shared.

        Args:
            shared_to_id: with whom.
            secret_id: which.
            force: ask an original too, which dies of it.

        Raises:
            UnsupportedByService: towards an original, without `force`.
        """
        node_id, secret_id = node_id_of(shared_to_id), secret_id_of(secret_id)
        if not force and await self.discover() is None:
            raise UnsupportedByService(
                "the original service dies of un-sharing, so it is not asked"
            )
        await self.envelopes.unshare(node_id, secret_id)

    # --- notification hooks -------------------------------------------------------------------

    @operation
    async def add_notification_hook(
        self, kind: str, target_id: str, notify_url: str
    ) -> NotificationHook:
        """Has the service post to a URL whenever something happens.

        Args:
            kind: `log` for everything, or the name of an event (PROTOCOL.md section 14).
            target_id: `this`, `secrets.<id>`, `subSpaces.<node id>` or `subSpaces.<node id>.<id>`.
            notify_url: where it posts to.
        """
        return await add_hook(self._session, kind, target_id, notify_url)

    @operation
    async def get_notification_hooks(self, target_id: str) -> list[NotificationHook]:
        """The hooks of a target, in the order in which they were added."""
        return await hooks_of(self._session, target_id)

    @operation
    async def delete_notification_hook(self, hook_id: str) -> None:
        """Removes a hook; HookNotFound when there is none."""
        if fields.is_hex(32)(hook_id) is not None:
            raise InvalidInput("the id of a notification hook has 32 hex digits")
        await delete_hook(self._session, hook_id)


async def _true() -> bool:
    return True
