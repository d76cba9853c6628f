"""A node's Ed25519 key pair (PROTOCOL.md section 1), its signatures, and its X25519 side."""

from __future__ import annotations

import re
import secrets
from functools import cached_property
from typing import Final, NoReturn

from nacl import bindings
from nacl.exceptions import CryptoError

from smfs.errors import InvalidKey

_LENGTHS: Final = (bindings.crypto_sign_PUBLICKEYBYTES, bindings.crypto_sign_BYTES)
_KEY_HEX: Final = re.compile(r"[0-9a-f]{64}")


def is_node_id(text: str) -> bool:
    """Whether a text has the form of a node id: 64 lower-case hex digits."""
    return _KEY_HEX.fullmatch(text) is not None


class Identity:
    """An Ed25519 key pair; it shows its node id and never its secret key.

    Attributes:
        node_id: the public key, 64 lower-case hex digits.
    """

    def __init__(self, seed: bytes) -> None:
        public_key, self._seed_and_public = bindings.crypto_sign_seed_keypair(seed)
        self.node_id = public_key.hex()

    @classmethod
    def generate(cls) -> Identity:
        """A new key pair."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_secret_key_hex(cls, secret_key_hex: str) -> Identity:
        """The key pair of a 32-byte seed in lower-case hex; InvalidKey when it is none."""
        if not _KEY_HEX.fullmatch(secret_key_hex):
            raise InvalidKey("a secret key is 64 lower-case hex digits")
        return cls(bytes.fromhex(secret_key_hex))

    @property
    def secret_key_hex(self) -> str:
        """The seed, 64 lower-case hex digits."""
        return self._seed_and_public[: bindings.crypto_sign_SEEDBYTES].hex()

    @cached_property
    def agreement_scalar(self) -> bytes:
        """The clamped scalar for key agreements, 32 bytes (PROTOCOL.md section 9.1)."""
        return bindings.crypto_sign_ed25519_sk_to_curve25519(self._seed_and_public)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message (RFC 8032, plain Ed25519)."""
        signed = bindings.crypto_sign(message, self._seed_and_public)
        return signed[: bindings.crypto_sign_BYTES]

    def __repr__(self) -> str:
        return f"<Identity {self.node_id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is not pickled: it would carry its secret key")


def verify(node_id: str, message: bytes, signature: bytes) -> bool:
    """Whether a signature fits; what libsodium calls malformed or of small order does not."""
    try:
        public_key = bytes.fromhex(node_id)
        # The binding looks at neither length, and libsodium reads as much as there should be.
        if (len(public_key), len(signature)) != _LENGTHS:
            return False
        bindings.crypto_sign_open(signature + message, public_key)
    except (CryptoError, ValueError):
        return False
    return True


def is_point(node_id: str) -> bool:
    """Whether a node id is a point of the curve that can be somebody's public key."""
    return bindings.crypto_core_ed25519_is_valid_point(bytes.fromhex(node_id))
