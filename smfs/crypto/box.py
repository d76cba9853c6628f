"""The original's box: content encrypted to a public key by anybody (PROTOCOL.md 9, 17)."""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from nacl import bindings
from nacl.exceptions import CryptoError

from smfs.crypto.identity import Identity
from smfs.errors import DecryptionFailed, InvalidPoint, MalformedData

_POINT: Final = re.compile(r"[0-9a-fA-F]{64}")
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_BLOCK_BITS: Final = 128
_FIELD: Final = 2**255 - 19
_BLOCK_BYTES: Final = 16
_SALT_BYTES: Final = 12


@dataclass(frozen=True)
class Box:
    """A ciphertext.

    Attributes:
        reference_point_hex: the ephemeral public key, 64 hex digits.
        encrypted_content_hex: whole AES blocks, in hex.
    """

    reference_point_hex: str
    encrypted_content_hex: str

    def to_json(self) -> dict[str, str]:
        """The JSON object in wire order."""
        return {
            "referencePointHex": self.reference_point_hex,
            "encryptedContentHex": self.encrypted_content_hex,
        }


def box_from_json(value: Any) -> Box:
    """The box in a decoded JSON value, under its present or its older field names.

    Raises:
        MalformedData: when a field is missing or is no hex of whole blocks.
    """
    if not isinstance(value, dict):
        raise MalformedData("a box is a JSON object")
    point = _first(value, "referencePointHex", "referencePoint")
    content = _first(value, "encryptedContentHex", "encryptedContent")
    if not isinstance(point, str) or not _POINT.fullmatch(point):
        raise MalformedData("a box's reference point is 64 hex digits")
    if not isinstance(content, str) or not _HEX.fullmatch(content):
        raise MalformedData("a box's content is hex")
    if len(content) % (2 * _BLOCK_BYTES):
        raise MalformedData("a box's content is whole AES blocks")
    return Box(point, content)


def seal_box(node_id: str, content: bytes) -> Box:
    """Encrypts to a public key under a fresh ephemeral key.

    The salt is short ASCII: any text that is free of NUL but for its end will do (section 9.2).

    Raises:
        InvalidPoint: when nobody can decrypt for `node_id`: it is no point, or of small order.
    """
    return seal_with(Identity.generate(), node_id, _salt(len(content)) + content)


def seal_with(ephemeral: Identity, node_id: str, salted: bytes) -> Box:
    """`seal_box` with its random parts given, for vectors: never use an ephemeral twice."""
    try:
        shared = _agree(ephemeral, bytes.fromhex(node_id))
    except (CryptoError, ValueError):
        raise InvalidPoint(node_id) from None
    padder = PKCS7(_BLOCK_BITS).padder()
    encryptor = _cipher(shared).encryptor()
    padded = padder.update(salted) + padder.finalize()
    return Box(ephemeral.node_id, (encryptor.update(padded) + encryptor.finalize()).hex())


def open_box(reader: Identity, box: Box) -> bytes:
    """The content of a box in either format, without its salt.

    Raises:
        DecryptionFailed: when it is not for this reader, was altered, or ends in no proper padding.
    """
    point = bytes.fromhex(box.reference_point_hex)
    ciphertext = bytes.fromhex(box.encrypted_content_hex)
    if len(ciphertext) % 32 == _BLOCK_BYTES:
        # Only the later format always has this length, and only it checks itself.
        content = _open_later_format(reader, point, ciphertext)
        if content is not None:
            return content
    try:
        salted = _decrypt(_agree(reader, point), ciphertext)
    except (CryptoError, ValueError):
        raise DecryptionFailed("the ciphertext does not decrypt with this key") from None
    _, end, content = salted.partition(b"\0")
    if not end:
        raise DecryptionFailed("the ciphertext decrypts to something without a salt")
    return content


def peek_box(reader: Identity, box: Box) -> bytes:
    """As `open_box` for the format that our services and clients write, in half the time.

    It does not check that the reference point is a point of the curve, which takes libsodium most
    of the time. That is safe: X25519 takes any u, on the curve or on its twist, and both have
    subgroups of small order only within their cofactors, which the scalar is a multiple of; where
    nothing is left, libsodium refuses the result. Whatever matters is opened by `open_box` all the
    same; this is for looking at thousands of boxes, of which one wants to know the length.

    Raises:
        DecryptionFailed: when it is not for this reader, was altered, or ends in no proper padding.
    """
    try:
        montgomery = _montgomery_unchecked(bytes.fromhex(box.reference_point_hex))
        shared = bindings.crypto_scalarmult(reader.agreement_scalar, montgomery)
        salted = _decrypt(shared, bytes.fromhex(box.encrypted_content_hex))
    except (CryptoError, ValueError):
        raise DecryptionFailed("the ciphertext does not decrypt with this key") from None
    _, end, content = salted.partition(b"\0")
    if not end:
        raise DecryptionFailed("the ciphertext decrypts to something without a salt")
    return content


def _salt(content_bytes: int) -> bytes:
    """A salt that brings the ciphertext to whole 32 bytes, which the later format never has.

    So no reader has to try that one, nor can mistake it (section 17).
    """
    blocks = (_SALT_BYTES + 1 + content_bytes) // _BLOCK_BYTES + 1
    length = _SALT_BYTES + blocks % 2 * _BLOCK_BYTES
    return secrets.token_hex(length // 2).encode() + b"\0"


def _open_later_format(reader: Identity, point: bytes, ciphertext: bytes) -> bytes | None:
    try:
        scalar = bindings.crypto_core_ed25519_scalar_reduce(reader.agreement_scalar + bytes(32))
        salted = _decrypt(bindings.crypto_scalarmult_ed25519_noclamp(scalar, point), ciphertext)
    except (CryptoError, ValueError):
        return None
    return _unsalt_later_format(salted)


def _unsalt_later_format(salted: bytes) -> bytes | None:
    """Finds the end of the salt by its sum and checks the mirrored padding (section 17)."""
    total = sum(salted[:32])
    for i in range(32, min(len(salted) - 3, 161)):
        if total == 256 * salted[i] + salted[i + 1]:
            padding = salted[i + 2]
            end = len(salted) - padding
            mirrored = salted[:padding][::-1]
            if 1 <= padding <= 32 and end >= i + 3 and salted[end:] == mirrored:
                return salted[i + 3 : end]
            return None
        total += salted[i]
    return None


def _agree(own: Identity, other: bytes) -> bytes:
    return bindings.crypto_scalarmult(own.agreement_scalar, _montgomery(other))


@functools.lru_cache(maxsize=1024)
def _montgomery(public_key: bytes) -> bytes:
    # The costliest step of sealing, and the same for everything that one node gets.
    return bindings.crypto_sign_ed25519_pk_to_curve25519(public_key)


def _montgomery_unchecked(public_key: bytes) -> bytes:
    """The u of an Ed25519 y (section 9.1); public values only, so its time tells nothing."""
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, _FIELD) % _FIELD).to_bytes(32, "little")


def _cipher(shared: bytes) -> Cipher[modes.CBC]:
    key = hashlib.sha512(shared).digest()
    return Cipher(algorithms.AES(key[16:48]), modes.CBC(key[:16]))


def _decrypt(shared: bytes, ciphertext: bytes) -> bytes:
    decryptor = _cipher(shared).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK_BITS).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def _first(value: dict[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)
