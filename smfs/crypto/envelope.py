"""The signed envelope: the original's client layer with who wrote it, when, for whom and under
which id, so that nobody can alter, swap, re-address or forge it (the design, section 3).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn

from smfs.crypto import box as boxes
from smfs.crypto import wtf8
from smfs.crypto.box import Box
from smfs.crypto.identity import Identity, is_node_id, verify
from smfs.errors import InvalidInput, MalformedData, SignatureMismatch

VERSION: Final = 1
_DOMAIN: Final = b"smfs envelope 1\0"
_BASE64: Final = "base64"
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")
_CLAIMS: Final = frozenset({"sender", "signedAt", "signature"})
_LATEST: Final = 2**53


@dataclass(frozen=True)
class Address:
    """Where an envelope belongs: part of what is signed.

    Attributes:
        kind: `own`, or `shared` with another node.
        sender: the node id of who writes it; for `own` the same as `recipient`.
        recipient: the node id of who can read it.
        secret_id: its id, any text.
    """

    kind: Literal["own", "shared"]
    sender: str
    recipient: str
    secret_id: str


@dataclass(frozen=True)
class Opened:
    """What an envelope held.

    Attributes:
        content: the bytes that were written.
        sender: the node id that signed it, or None when it is unsigned.
        signed_at: ms since 1970, or None when it is unsigned.
    """

    content: bytes = field(repr=False)
    sender: str | None = None
    signed_at: int | None = None


@dataclass(frozen=True)
class Measure:
    """What can be told of a secret without checking its signature.

    Attributes:
        size: bytes of content.
        signed_at: ms since 1970, as it claims; None when it claims no such time.
    """

    size: int
    signed_at: int | None


def seal_envelope(sender: Identity, address: Address, content: bytes, signed_at: int) -> str:
    """The JSON text of a signed envelope; content that is no UTF-8 text travels as base64.

    Args:
        sender: who signs; its node id is the address's sender.
        address: where the envelope will lie.
        content: any bytes.
        signed_at: ms since 1970.

    Raises:
        InvalidPoint: when nothing can be encrypted to the recipient.
        InvalidInput: when the address names another sender, or the time is none.
    """
    if sender.node_id != address.sender or not _is_time(signed_at):
        raise InvalidInput("an envelope is signed by its own sender, at a time since 1970")
    encoding, carried = _encode(content)
    box = boxes.seal_box(address.recipient, carried)
    signature = sender.sign(_signed_bytes(address, signed_at, encoding, box)).hex()
    return _write(box, sender.node_id, signed_at, encoding, signature)


def open_envelope(reader: Identity, address: Address, text: bytes) -> Opened:
    """Opens what lay below the service's layer.

    What is no envelope is content of one layer (auth codes); what claims neither a sender, nor a
    time, nor a signature is another client's, its further fields ignored as the original does, and
    unsigned (PROTOCOL.md section 10, without its parsing of content).

    Raises:
        SignatureMismatch: when it claims to be signed and not everything fits together.
        MalformedData: for a version that this program does not know, or a broken envelope.
        DecryptionFailed: when the inner box does not open.
    """
    wire = _envelope(text)
    if wire is None:
        return Opened(text)
    box = boxes.box_from_json(wire)
    if _CLAIMS.isdisjoint(wire):
        return Opened(boxes.open_box(reader, box))
    signed_at, encoding = _check_signature(address, wire, box, text)
    content = _decode(encoding, boxes.open_box(reader, box))
    return Opened(content, address.sender, signed_at)


def measure_envelope(reader: Identity, outer: Box) -> Measure:
    """How large the content of a stored secret is; whether it can be trusted is not looked at.

    Args:
        reader: who it is encrypted to.
        outer: the service's layer.

    Raises:
        MalformedData, DecryptionFailed: when it does not open.
    """
    text = boxes.peek_box(reader, outer)
    wire = _envelope(text)
    if wire is None:
        return Measure(len(text), None)
    carried = boxes.peek_box(reader, boxes.box_from_json(wire))
    signed_at = wire.get("signedAt")
    if _CLAIMS.isdisjoint(wire):
        return Measure(len(carried), None)
    content = _decode(_BASE64 if wire.get("encoding") == _BASE64 else "", carried)
    return Measure(len(content), signed_at if _is_time(signed_at) else None)


def _write(box: Box, sender: str, signed_at: int, encoding: str, signature: str) -> str:
    wire: dict[str, Any] = {**box.to_json(), "version": VERSION, "sender": sender}
    wire["signedAt"] = signed_at
    if encoding:
        wire["encoding"] = encoding
    wire["signature"] = signature
    return json.dumps(wire, separators=(",", ":"))


def _envelope(text: bytes) -> dict[str, Any] | None:
    # Not json.loads on bytes: that one guesses at UTF-16 and lets more through than JSON.parse.
    try:
        value = json.loads(
            text.decode("utf-8", "replace"), parse_int=_integer, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    has_content = any(
        value.get(name) is not None for name in ("encryptedContent", "encryptedContentHex")
    )
    return value if has_content else None


def _check_signature(
    address: Address, wire: dict[str, Any], box: Box, text: bytes
) -> tuple[int, str]:
    _check_form(wire)
    sender, signed_at, signature = wire["sender"], wire["signedAt"], wire["signature"]
    encoding = wire.get("encoding", "")
    if sender != address.sender:
        raise SignatureMismatch("the envelope names another sender than the one it came from")
    # Otherwise a service could write an old envelope anew, and it would not be known as old.
    if _write(box, sender, signed_at, encoding, signature).encode() != text:
        raise SignatureMismatch("the envelope is not written as its signer wrote it")
    signed = _signed_bytes(address, signed_at, encoding, box)
    if not verify(sender, signed, bytes.fromhex(signature)):
        raise SignatureMismatch("the signature does not fit the envelope and its place")
    return signed_at, encoding


def _check_form(wire: dict[str, Any]) -> None:
    version, signature = wire.get("version"), wire.get("signature")
    if type(version) is int and version != VERSION:
        raise MalformedData("the envelope's version is not known: a newer smfs may have written it")
    if type(version) is not int:
        raise SignatureMismatch("the envelope's version is missing or malformed")
    if not isinstance(wire.get("sender"), str) or not is_node_id(wire["sender"]):
        raise SignatureMismatch("the envelope's sender is missing or malformed")
    if not _is_time(wire.get("signedAt")):
        raise SignatureMismatch("the envelope's signing time is missing or malformed")
    if "encoding" in wire and wire["encoding"] != _BASE64:
        raise SignatureMismatch("the envelope's encoding is not known")
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        raise SignatureMismatch("the envelope's signature is missing or malformed")


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LATEST


def _integer(digits: str) -> int | float:
    # int() refuses thousands of digits, which JSON does not.
    return int(digits) if len(digits) <= len(str(_LATEST)) else float(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _signed_bytes(address: Address, signed_at: int, encoding: str, box: Box) -> bytes:
    fields = (
        address.kind.encode(),
        address.sender.encode(),
        address.recipient.encode(),
        wtf8.encode(address.secret_id),
        str(signed_at).encode(),
        encoding.encode(),
        box.reference_point_hex.encode(),
        box.encrypted_content_hex.encode(),
    )
    return _DOMAIN + b"".join(len(part).to_bytes(4, "big") + part for part in fields)


def _encode(content: bytes) -> tuple[str, bytes]:
    try:
        content.decode()
    except UnicodeDecodeError:
        return _BASE64, base64.b64encode(content)
    return "", content


def _decode(encoding: str, carried: bytes) -> bytes:
    if not encoding:
        return carried
    try:
        return base64.b64decode(carried, validate=True)
    except binascii.Error:
        raise MalformedData("the envelope's content is not the base64 that it says") from None
