"""What the cache on disk is sealed with: the names of its rows, their content, and the set of them.

Whoever has the file but not the secret key can neither read a row, nor make one, nor move one to
another name, nor bring an old one back alone: the set of rows has a sum, which is sealed too.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, NoReturn

from nacl import bindings
from nacl.exceptions import CryptoError

from smfs.crypto.identity import Identity
from smfs.errors import DecryptionFailed

_PERSON: Final = b"smfs cache 1"
_KEY_BYTES: Final = 32
_SUM_BYTES: Final = 32

NAME_BYTES: Final = 32
"""The length of a row's name."""

NONCE_BYTES: Final = bindings.crypto_secretbox_NONCEBYTES
"""How many bytes at the beginning of what is sealed tell it from all else that was ever sealed."""


class CacheKeys:
    """The keys of one node's cache; all follow from its secret key (BLAKE2b, personalised).

    Args:
        identity: the node.
    """

    def __init__(self, identity: Identity) -> None:
        seed = bytes.fromhex(identity.secret_key_hex)
        self._naming = _derived(seed, b"names")
        self._sealing = _derived(seed, b"rows")
        self._summing = _derived(seed, b"sum")

    def name(self, *parts: bytes) -> bytes:
        """The name of the row for these parts, `NAME_BYTES` long; it tells nobody what they are."""
        unambiguous = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.blake2b(unambiguous, digest_size=NAME_BYTES, key=self._naming).digest()

    def seal(self, name: bytes, content: bytes) -> bytes:
        """The content, readable under this name only (XSalsa20-Poly1305, a random nonce).

        All names are of one length, so that none is the beginning of another.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + bindings.crypto_secretbox(name + content, nonce, self._sealing)

    def unseal(self, name: bytes, sealed: bytes) -> bytes:
        """The content of a row.

        Raises:
            DecryptionFailed: when it was not sealed by this node under this name.
        """
        try:
            nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            named = bindings.crypto_secretbox_open(ciphertext, nonce, self._sealing)
            is_here = named.startswith(name)
        except (CryptoError, ValueError, TypeError):
            raise DecryptionFailed("the row is of another key, or was altered") from None
        if not is_here:
            raise DecryptionFailed("the row stood under another name")
        return named[len(name) :]

    def part_of_sum(self, name: bytes, nonce: bytes) -> int:
        """What a row adds to the sum of a set of rows, which is the exclusive or of these.

        Without the key nobody can tell which other set has the same sum.

        Args:
            name: the row's.
            nonce: the first `NONCE_BYTES` of what is sealed in it.
        """
        digest = hashlib.blake2b(name + nonce, digest_size=_SUM_BYTES, key=self._summing).digest()
        return int.from_bytes(digest, "big")

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")


def _derived(seed: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, digest_size=_KEY_BYTES, key=seed, person=_PERSON).digest()
