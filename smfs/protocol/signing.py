"""Signing requests, and the time frames that bound them (PROTOCOL.md sections 4 and 5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from smfs.crypto import identity
from smfs.crypto.identity import Identity
from smfs.errors import MalformedData
from smfs.protocol import canonical
from smfs.protocol.requests import SignedRequest

FRAME_MS: Final = 180_000
"""The length of a time frame in milliseconds."""

REPLAY_WINDOW_MS: Final = 3 * FRAME_MS
"""For how long a signature could still be accepted, and is therefore remembered."""

NONCE_LIMIT: Final = 10_000_000
"""Nonces count modulo this."""

UNSIGNED: Final = "0" * 128
"""What stands in the signature's place until a request is signed."""

S = TypeVar("S", bound=SignedRequest)


def frame(now_ms: int) -> int:
    """The time frame of a moment, both in ms since 1970: the timestamp that requests carry."""
    return now_ms - now_ms % FRAME_MS


def accepted_frames(now_ms: int) -> tuple[int, int, int]:
    """The timestamps that a service accepts at `now_ms`: the frame before, this one, the next."""
    current = frame(now_ms)
    return current - FRAME_MS, current, current + FRAME_MS


def sign(signer: Identity, request: S) -> S:
    """The request under its signature by `signer`, whose node id must be its public key."""
    return request.with_signature(signer.sign(_digest(request)).hex())


def verify(request: SignedRequest) -> bool:
    """Whether a request's signature fits its content and its public key."""
    signature = bytes.fromhex(request.signature)
    return identity.verify(request.public_key, _digest(request), signature)


def _digest(request: SignedRequest) -> bytes:
    return _sha256(request.path() + canonical.encode(request.payload()))


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class NodeAnswer:
    """The answer to getNodeId, the only one that a service signs.

    Attributes:
        server_node_id: the service's node id.
        timestamp: the time frame of the answer, ms since 1970.
        signature: the service's, 128 hex digits.
    """

    server_node_id: str
    timestamp: int
    signature: str

    @classmethod
    def make(cls, signer: Identity, now_ms: int) -> NodeAnswer:
        """The answer of the service `signer` at `now_ms`."""
        timestamp = frame(now_ms)
        signature = sign_value(signer, _node_payload(signer.node_id, timestamp))
        return cls(signer.node_id, timestamp, signature)

    @classmethod
    def parse(cls, value: Any) -> NodeAnswer:
        """The answer in a decoded JSON value; MalformedData when it is of another form."""
        match value:
            case {"serverNodeId": str(node), "timestamp": int(stamp), "signature": str(signature)}:
                if identity.is_node_id(node) and not isinstance(stamp, bool):
                    return cls(node, stamp, signature)
        raise MalformedData("the answer to getNodeId is not of its form")

    def to_wire(self) -> dict[str, Any]:
        """The answer as a JSON object in wire order."""
        payload = _node_payload(self.server_node_id, self.timestamp)
        return {**payload, "signature": self.signature}

    def is_genuine(self, now_ms: int) -> bool:
        """Whether the signature fits and the frame is one of those accepted at `now_ms`."""
        try:
            signature = bytes.fromhex(self.signature)
        except ValueError:
            return False
        digest = _sha256(canonical.encode(_node_payload(self.server_node_id, self.timestamp)))
        fits = identity.verify(self.server_node_id, digest, signature)
        return fits and self.timestamp in accepted_frames(now_ms)


def _node_payload(server_node_id: str, timestamp: int) -> dict[str, Any]:
    return {"serverNodeId": server_node_id, "timestamp": timestamp}


def sign_value(signer: Identity, value: Any) -> str:
    """The service's signature over a JSON value without a path (PROTOCOL.md section 11)."""
    return signer.sign(_sha256(canonical.encode(value))).hex()
