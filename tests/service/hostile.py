"""Keys, signatures, numbers and texts that no honest node sends."""

from __future__ import annotations

import hashlib
from typing import Final

from nacl import bindings

from smfs.crypto.identity import Identity

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in (RFC 8032, section 5.1)."""

_FIELD: Final = 2**255 - 19
_SIGN: Final = 1 << 255
_COFACTOR: Final = 8
_NEUTRAL: Final = (1).to_bytes(32, "little")
_EIGHTH: Final = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
_EIGHTH_Y: Final = int.from_bytes(_EIGHTH, "little")


def _encoded(y: int) -> tuple[str, str]:
    return tuple(value.to_bytes(32, "little").hex() for value in (y, y | _SIGN))  # type: ignore[return-value]


SMALL_ORDER: Final = (
    *_encoded(0),
    *_encoded(1),
    *_encoded(_FIELD - 1),
    *_encoded(_EIGHTH_Y),
    *_encoded(_FIELD - _EIGHTH_Y),
)
"""The eight points of small order, and with a sign where x is 0, two of them in another form."""

NON_CANONICAL: Final = tuple(text for y in range(_FIELD, 2**255) for text in _encoded(y))
"""Every encoding whose y is not below the field's prime."""

NO_POINTS: Final = ("02" + 62 * "0", "ff" * 31 + "00", "ab" * 32)
"""Some are no point of the curve, all are nobody's key."""

NUMBERS: Final = (
    *("0", "-0", "-0.0", "0e0", "1", "1.0", "1E0", "10e-1", "-1", "0.5", "1e21", "1e-7"),
    *("5e-324", "1e-320", "1e-400", "1e400", "-1e400", "1.7976931348623157e308", "1" + "0" * 400),
    *("9007199254740991", "9007199254740993", "9223372036854775808", "-9223372036854775809"),
    *("1800000123456", "1800000123455", "1800000123456.5", "1800003600000", "4102444800000"),
    *("8640000000000000", "8640000000000001", "0." + "3" * 2000, "253402300800000"),
)
"""Numbers as JSON may spell them; the clock of the tests begins at 1800000123456."""

TEXTS: Final = (
    *("", "x", "\0", "a\0b", "\ud800", "\udfff", "\udc00\ud800", "a\ud83dz", "\ud83d\udd10", "🔐"),
    *("__proto__", "constructor", "toString", "hasOwnProperty", "0", "00", "4294967295", "-1", "."),
    *("a.b", "..", "../../etc/passwd", "%", "%00", "\u2028", "\ufeff", "\ufffe", "\x7f", "\x1b[2J"),
    *("'; DROP TABLE secrets; --", '"', "\\", "{}", "null", "<script>", "\r\nX: y", "é" * 300),
    *("😀" * 25_000, "k" * 100_000, "\0" * 3000, "\ud800" * 3000),
)
"""Texts that trip what is careless with text."""


class Mixed(Identity):
    """A key with a part of small order: its owner can sign, but nobody can encrypt to it.

    The equation without the cofactor holds for one signature in eight, so it is tried for.
    """

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self._secret = int.from_bytes(self.agreement_scalar, "little")
        self._point = bindings.crypto_core_ed25519_add(bytes.fromhex(self.node_id), _EIGHTH)
        self.node_id = self._point.hex()

    def sign(self, message: bytes) -> bytes:
        """A signature that fits."""
        return _forged(self._point, self._secret, message)


class Nobody(Identity):
    """A key that holds no secret: where such is let in, anybody can sign for it.

    Args:
        point: an encoding of a point of small order.
    """

    def __init__(self, point: str) -> None:
        super().__init__(bytes(32))
        self.node_id = point

    def sign(self, message: bytes) -> bytes:
        """A signature that fits wherever points of small order are let in."""
        return _forged(bytes.fromhex(self.node_id), 0, message)


class Lax(Identity):
    """An honest key with signatures that only careless verifiers take.

    Args:
        seed: of the key.
        kind: `scalar`: the same signature with the order added to its scalar; `commitment`: one
            whose point is the neutral one; `zero`: the scalar is zero.
    """

    KINDS: Final = ("scalar", "commitment", "zero")

    def __init__(self, seed: bytes, kind: str) -> None:
        super().__init__(seed)
        self._kind = kind

    def sign(self, message: bytes) -> bytes:
        """Such a signature."""
        honest = super().sign(message)
        if self._kind == "zero":
            return honest[:32] + bytes(32)
        if self._kind == "scalar":
            scalar = int.from_bytes(honest[32:], "little") + ORDER
            return honest[:32] + scalar.to_bytes(32, "little")
        challenge = _challenge(_NEUTRAL, bytes.fromhex(self.node_id), message)
        scalar = challenge * int.from_bytes(self.agreement_scalar, "little") % ORDER
        return _NEUTRAL + scalar.to_bytes(32, "little")


def _challenge(commitment: bytes, point: bytes, message: bytes) -> int:
    digest = hashlib.sha512(commitment + point + message).digest()
    return int.from_bytes(digest, "little") % ORDER


def _forged(point: bytes, secret: int, message: bytes) -> bytes:
    tried = int.from_bytes(message[:8], "little")
    while True:
        tried += 1
        commitment = bindings.crypto_scalarmult_ed25519_base_noclamp(tried.to_bytes(32, "little"))
        challenge = _challenge(commitment, point, message)
        if challenge % _COFACTOR == 0:
            return commitment + ((tried + challenge * secret) % ORDER).to_bytes(32, "little")
