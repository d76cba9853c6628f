"""Every request as one frozen type in wire order, and the table of routes (PROTOCOL.md section 7).

Adding a request means adding one type here and naming it in `ROUTES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar, get_type_hints

from smfs.errors import BadRequest
from smfs.protocol.fields import (
    Boolean,
    Check,
    Hex32,
    Hex64,
    Hex128,
    Number,
    NumberOrNull,
    Text,
)

R = TypeVar("R", bound="Request")

AUTH_CODE_NODE_ID: Final = "deadbeefcafebabe" * 4
"""The public auth code that a new service takes for getNodeId (PROTOCOL.md section 6)."""

AUTH_CODE_OPEN_SPACE: Final = "deadbeef" * 8
"""The public auth code that a new service takes for openSecretSpace (PROTOCOL.md section 6)."""


@dataclass(frozen=True)
class WireField:
    """One field of a request: its attribute here, its key on the wire, and its type's check."""

    attribute: str
    name: str
    check: Check


class Request:
    """A request; the fields of each subclass are the keys of its body, in wire order."""

    @classmethod
    def route(cls) -> str:
        """The route's name as `getSecret`."""
        return cls.__name__[0].lower() + cls.__name__[1:]

    @classmethod
    def path(cls) -> str:
        """The route as it stands in a URL and in the signed text: `/getSecret`."""
        return f"/{cls.route()}"

    def to_wire(self) -> dict[str, Any]:
        """The body as a JSON object, its keys in wire order."""
        return {f.name: getattr(self, f.attribute) for f in wire_fields(type(self))}

    def __repr__(self) -> str:
        # Bodies carry signatures, auth codes and ciphertexts: none of them belongs into a log.
        return f"<{type(self).__name__}>"


class SignedRequest(Request):
    """A request that is signed by its `public_key`."""

    public_key: Hex64
    timestamp: Number
    signature: Hex128
    nonce: Number

    def payload(self) -> dict[str, Any]:
        """The body without its signature, which is what gets signed (PROTOCOL.md section 4)."""
        wire = self.to_wire()
        del wire["signature"]
        return wire

    def with_signature(self, signature: str) -> Self:
        """The same request under another signature (128 hex digits)."""
        return dataclasses.replace(self, signature=signature)  # type: ignore[type-var]


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

ADDITIONS: Final[tuple[type[Request], ...]] = (CheckShare, GetChanges)
"""The requests that only our service knows (docs/additions.md)."""

ROUTES: Final[Mapping[str, type[Request]]] = MappingProxyType(
    {request.route(): request for request in ORIGINAL + ADDITIONS}
)
"""The route table: the client calls by it, the service dispatches by it."""


def wire_fields(request_type: type[Request]) -> tuple[WireField, ...]:
    """The fields of one of `ROUTES` in wire order."""
    return _WIRE_FIELDS[request_type]


def _declared_fields(request_type: type[Request]) -> tuple[WireField, ...]:
    hints = get_type_hints(request_type, include_extras=True)
    return tuple(
        WireField(field.name, _wire_name(field.name), hints[field.name].__metadata__[0])
        for field in dataclasses.fields(request_type)  # type: ignore[arg-type]
    )


def parse(request_type: type[R], body: Any) -> R:
    """The request that a decoded JSON body holds.

    Args:
        request_type: one of `ROUTES`.
        body: what `canonical.decode` gave: an object, or an array, which counts as an object whose
            keys are the indices.

    Raises:
        BadRequest: with the original's words, checked in its order: the number of keys, their
            names in wire order, their types (PROTOCOL.md section 2).
    """
    expected = wire_fields(request_type)
    members = _members(body, len(expected))
    _check_names(expected, list(members))
    for field in expected:
        if reason := field.check(members[field.name]):
            raise BadRequest(f"Error: unexpected format of parameter {field.name} - {reason}")
    return request_type(**{field.attribute: members[field.name] for field in expected})


def _members(body: Any, expected: int) -> dict[str, Any]:
    # Counted first: a body of a million elements is refused before it is looked at.
    if not isinstance(body, dict | list):
        raise BadRequest("Bad Request")
    if len(body) != expected:
        raise BadRequest(
            "Error: The Number of parameters in the body, did not match the expected number. "
            f"{expected} vs {len(body)}"
        )
    if isinstance(body, list):
        return {str(index): value for index, value in enumerate(body)}
    return body


def _check_names(expected: tuple[WireField, ...], found: list[str]) -> None:
    for index, (field, name) in enumerate(zip(expected, found, strict=True)):
        if field.name != name:
            raise BadRequest(
                f"Error: parameter @ index: {index} had wrong key! "
                f"expected: '{field.name}'  detected: '{name}'"
            )


def _wire_name(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join("URL" if word == "url" else word.capitalize() for word in rest)


_WIRE_FIELDS: Final[Mapping[type[Request], tuple[WireField, ...]]] = MappingProxyType(
    {request: _declared_fields(request) for request in ORIGINAL + ADDITIONS}
)
