"""Every request as one frozen type in wire order, and the table of routes (PROTOCOL.md section 7).

Adding a request means adding one type here and naming it in `ROUTES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from smfs.protocol.fields import (
    Boolean,
    Hex32,
    Hex64,
    Hex128,
    Number,
    NumberOrNull,
    Text,
)
from smfs.protocol.wire import Request, SignedRequest, parse, wire_fields

__all__ = [
    "ADDITIONS",
    "AUTH_CODE_NODE_ID",
    "AUTH_CODE_OPEN_SPACE",
    "ORIGINAL",
    "ROUTES",
    "AddNotificationHook",
    "CheckShare",
    "CreateAuthCode",
    "DeleteNotificationHook",
    "DeleteSecret",
    "DeleteSecretSpace",
    "DeleteSharedSecret",
    "DeleteSubSpace",
    "GetChanges",
    "GetNodeId",
    "GetNotificationHooks",
    "GetSecret",
    "GetSecretFrom",
    "GetSecretSpace",
    "GetSubSpace",
    "OpenSecretSpace",
    "OpenSubSpace",
    "RepeatSecretFrom",
    "Request",
    "SetSecret",
    "ShareSecretTo",
    "SignedRequest",
    "parse",
    "wire_fields",
]

AUTH_CODE_NODE_ID: Final = "deadbeefcafebabe" * 4
"""The public auth code that a new service takes for getNodeId (PROTOCOL.md section 6)."""

AUTH_CODE_OPEN_SPACE: Final = "deadbeef" * 8
"""The public auth code that a new service takes for openSecretSpace (PROTOCOL.md section 6)."""


@dataclass(frozen=True, repr=False, kw_only=True)
class GetNodeId(Request):
    """The service's node id."""

    auth_code: Hex64


@dataclass(frozen=True, repr=False, kw_only=True)
class CreateAuthCode(SignedRequest):
    """A use-once auth code for `action`, delivered as a one-time secret (section 6)."""

    public_key: Hex64
    action: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class OpenSecretSpace(SignedRequest):
    """A new, empty space; nothing changes where there is one."""

    auth_code: Hex64
    public_key: Hex64
    closure_date: NumberOrNull
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class GetSecretSpace(SignedRequest):
    """The whole space as JSON (section 11)."""

    public_key: Hex64
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class DeleteSecretSpace(SignedRequest):
    """Everything of the node goes; fine when there is nothing."""

    public_key: Hex64
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class SetSecret(SignedRequest):
    """Puts an envelope under an id of the own space."""

    public_key: Hex64
    secret_id: Text
    secret: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class GetSecret(SignedRequest):
    """The service-layer box of an own secret."""

    public_key: Hex64
    secret_id: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class DeleteSecret(SignedRequest):
    """Removes an own secret."""

    public_key: Hex64
    secret_id: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class OpenSubSpace(SignedRequest):
    """Accepts secrets from `from_id`; nothing changes where they are accepted already."""

    public_key: Hex64
    from_id: Hex64
    closure_date: NumberOrNull
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class GetSubSpace(SignedRequest):
    """All that one sender shared, as JSON (section 11); consumes nothing."""

    public_key: Hex64
    from_id: Hex64
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class DeleteSubSpace(SignedRequest):
    """Stops accepting a sender; all that he shared goes."""

    public_key: Hex64
    from_id: Hex64
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class ShareSecretTo(SignedRequest):
    """Puts an envelope into the recipient's sub space of the asker."""

    public_key: Hex64
    share_to_id: Hex64
    secret_id: Text
    secret: Text
    is_one_time_secret: Boolean
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class GetSecretFrom(SignedRequest):
    """One shared secret; consumes it when it is a one-time secret (section 13)."""

    public_key: Hex64
    from_id: Hex64
    secret_id: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class DeleteSharedSecret(SignedRequest):
    """Takes back what was shared; kills the original (section 16)."""

    public_key: Hex64
    shared_to_id: Hex64
    secret_id: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class AddNotificationHook(SignedRequest):
    """Has events of `target_id` posted to `notify_url` (section 14)."""

    public_key: Hex64
    type: Text
    target_id: Text
    notify_url: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class GetNotificationHooks(SignedRequest):
    """The hooks of one target."""

    public_key: Hex64
    target_id: Text
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class DeleteNotificationHook(SignedRequest):
    """Removes a hook by its id, 32 hex digits."""

    public_key: Hex64
    notification_hook_id: Hex32
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class CheckShare(SignedRequest):
    """Ours (docs/additions.md): what shareSecretTo would say to `size` bytes, storing nothing."""

    public_key: Hex64
    share_to_id: Hex64
    secret_id: Text
    size: Number
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class GetChanges(SignedRequest):
    """Ours (docs/additions.md): what has changed in the own space since a revision.

    Attributes:
        feed: the identity of the feed that `since` counts in; empty at first.
        since: the last revision seen; 0 for a full listing.
        listing: whether this continues a full listing, of which `since` is only a part.
        contents: whether the stored boxes are wanted.
        wait: for how many ms to wait until there is something to tell.
    """

    public_key: Hex64
    feed: Text
    since: Number
    listing: Boolean
    contents: Boolean
    wait: Number
    timestamp: Number
    signature: Hex128
    nonce: Number


@dataclass(frozen=True, repr=False, kw_only=True)
class RepeatSecretFrom(SignedRequest):
    """Ours (docs/additions.md): the answer to getSecretFrom once more, for it was lost.

    Attributes:
        first: the signature of the getSecretFrom that consumed the secret.
    """

    public_key: Hex64
    from_id: Hex64
    secret_id: Text
    first: Hex128
    timestamp: Number
    signature: Hex128
    nonce: Number


ORIGINAL: Final[tuple[type[Request], ...]] = (
    GetNodeId,
    CreateAuthCode,
    OpenSecretSpace,
    GetSecretSpace,
    DeleteSecretSpace,
    SetSecret,
    GetSecret,
    DeleteSecret,
    OpenSubSpace,
    GetSubSpace,
    DeleteSubSpace,
    ShareSecretTo,
    GetSecretFrom,
    DeleteSharedSecret,
    AddNotificationHook,
    GetNotificationHooks,
    DeleteNotificationHook,
)
"""The requests that the original knows."""

ADDITIONS: Final[tuple[type[Request], ...]] = (CheckShare, GetChanges, RepeatSecretFrom)
"""The requests that only our service knows (docs/additions.md)."""

ROUTES: Final[Mapping[str, type[Request]]] = MappingProxyType(
    {request.route(): request for request in ORIGINAL + ADDITIONS}
)
"""The route table: the client calls by it, the service dispatches by it."""
