"""Who asks: time, replay, auth code and signature, in the original's order (PROTOCOL.md 5, 6)."""

from __future__ import annotations

import functools
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from smfs.crypto.identity import is_node_id, is_point
from smfs.errors import (
    BadRequest,
    InvalidAuthCode,
    InvalidPoint,
    ReplayRefused,
    SignatureRefused,
    TimestampMissing,
    TimestampRefused,
)
from smfs.protocol import requests, signing
from smfs.protocol.requests import Request, SignedRequest
from smfs.service.rows import Rows

_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in (RFC 8032, section 5.1)."""

_PUBLIC_CODES: Final[dict[type[Request], str]] = {
    requests.GetNodeId: requests.AUTH_CODE_NODE_ID,
    requests.OpenSecretSpace: requests.AUTH_CODE_OPEN_SPACE,
}
_NODE_IDS: Final = {
    request: [
        (field.attribute, field.name)
        for field in requests.wire_fields(request)
        if field.attribute in ("public_key", "from_id", "share_to_id", "shared_to_id")
    ]
    for request in requests.ROUTES.values()
}
"""Of each request the attributes that are node ids, and what these are called on the wire."""

_MOST_REFUSED: Final = 10_000


@dataclass(frozen=True)
class Evidence:
    """What can be said of a request without the database.

    Attributes:
        signature: as bytes, so that no other spelling of it counts as another one; None where the
            request has none.
        is_timely: whether its time was accepted when it was looked at.
        fits: whether it fits.
    """

    signature: bytes | None
    is_timely: bool
    fits: bool


def examine(request: Request, now: int) -> Evidence:
    """Looks at what needs no database; the costly part of authenticating.

    Args:
        request: of the right shape.
        now: ms since 1970.

    Raises:
        BadRequest: for a node id with capitals, which would name another space.
    """
    for attribute, name in _NODE_IDS[type(request)]:
        if not is_node_id(getattr(request, attribute)):
            raise BadRequest(f"Error: unexpected format of parameter {name} - Not in lower case!")
    if not isinstance(request, SignedRequest):
        return Evidence(None, is_timely=True, fits=True)
    is_timely = request.timestamp in signing.accepted_frames(now)
    signature = bytes.fromhex(request.signature)
    fits = is_timely and signing.verify(request) and _can_be_answered(request.public_key)
    return Evidence(signature, is_timely, fits)


# With a part of small order a key can sign, but nothing can be encrypted to it. To find that out
# costs as much as a signature does, so keys are remembered; only of those who have signed.
_can_be_answered: Final = functools.lru_cache(maxsize=4096)(is_point)


@dataclass(frozen=True)
class Policy:
    """Who is let in.

    Attributes:
        anonymous: whether the public code opens new spaces.
    """

    anonymous: bool = True


class Refused:
    """The signatures of refused requests, which are refused again as replays.

    Nothing depends on them, so they are kept in memory, and only the newest ten thousand.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, signature: bytes) -> bool:
        return signature in self._seen

    def add(self, evidence: Evidence) -> None:
        """Remembers a signature, if there is one."""
        if evidence.signature is None:
            return
        self._seen[evidence.signature] = None
        if len(self._seen) > _MOST_REFUSED:
            self._seen.popitem(last=False)


def authenticate(
    rows: Rows, request: Request, evidence: Evidence, refused: Refused, policy: Policy
) -> str | None:
    """Lets a request in or not; its signature is used up in either case.

    Returns:
        who made the use-once auth code that it presented (empty: the operator), if it did; the
        code is left to be used.

    Raises:
        AuthenticationFailed: with the first reason in the original's order.
        InvalidPoint: when the public key is none; also a reason of the 401.
    """
    if isinstance(request, SignedRequest):
        _check_time_and_replay(rows, request, evidence, refused)
    creator = _check_code(rows, request, policy)
    if isinstance(request, SignedRequest) and not evidence.fits:
        raise _misfit(request)
    return creator


def _check_time_and_replay(
    rows: Rows, request: SignedRequest, evidence: Evidence, refused: Refused
) -> None:
    if not request.timestamp:
        raise TimestampMissing
    signature = evidence.signature or b""
    if signature in refused:
        raise ReplayRefused
    if not evidence.is_timely:
        raise TimestampRefused
    # The timestamp is signed, so under another one the same signature does not fit; and what does
    # not fit is not let in, and need not be remembered.
    admission = rows.admission
    if not admission.use_signature(
        request.public_key, request.timestamp, signature, keep=evidence.fits
    ):
        raise ReplayRefused


def is_public_code(request: requests.OpenSecretSpace | requests.GetNodeId) -> bool:
    """Whether a request presents the code that everybody knows."""
    return hmac.compare_digest(request.auth_code, _PUBLIC_CODES[type(request)])


def _check_code(rows: Rows, request: Request, policy: Policy) -> str | None:
    if not isinstance(request, requests.OpenSecretSpace | requests.GetNodeId):
        return None
    if is_public_code(request):
        if isinstance(request, requests.OpenSecretSpace) and not policy.anonymous:
            _require_space(rows, request.public_key)
        return None
    creator = rows.admission.code_creator(request.auth_code, type(request).route())
    if creator is None:
        raise InvalidAuthCode
    return creator


def _require_space(rows: Rows, node_id: str) -> None:
    if rows.space(node_id) is None:
        raise InvalidAuthCode("No new anonymous clients are accepted!")


def _misfit(request: SignedRequest) -> SignatureRefused | InvalidPoint:
    scalar = int.from_bytes(bytes.fromhex(request.signature)[32:], "little")
    if scalar >= _ORDER:
        return SignatureRefused("Expected valid scalar: 0 < scalar < max")
    if not is_point(request.public_key):
        return InvalidPoint(request.public_key)
    return SignatureRefused("Invalid Signature!")
