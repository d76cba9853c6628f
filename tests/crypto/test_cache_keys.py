"""The keys of a cache: what they seal, and the sum of a set."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.crypto.cache_keys import NAME_BYTES, NONCE_BYTES, CacheKeys
from smfs.crypto.identity import Identity
from smfs.errors import DecryptionFailed

SEED = bytes(range(32))
KEYS = CacheKeys(Identity(SEED))
OTHERS = CacheKeys(Identity(bytes(32)))


@given(st.binary(min_size=NAME_BYTES, max_size=NAME_BYTES), st.binary(max_size=300))
def test_what_is_sealed_comes_back(name: bytes, content: bytes) -> None:
    """Under its name, with the same key, in a process of its own."""
    sealed = KEYS.seal(name, content)

    assert CacheKeys(Identity(SEED)).unseal(name, sealed) == content
    assert KEYS.seal(name, content) != sealed


@given(st.binary(max_size=100), st.data())
def test_any_change_is_noticed(content: bytes, data: st.DataObject) -> None:
    """Of one bit, of the length, of the name and of the key."""
    name = KEYS.name(b"a")
    sealed = KEYS.seal(name, content)
    at = data.draw(st.integers(0, 8 * len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[at // 8] ^= 1 << at % 8

    for altered in (bytes(flipped), sealed[: at // 8], sealed + b"\0"):
        with pytest.raises(DecryptionFailed):
            KEYS.unseal(name, altered)
    with pytest.raises(DecryptionFailed):
        KEYS.unseal(KEYS.name(b"b"), sealed)
    with pytest.raises(DecryptionFailed):
        OTHERS.unseal(name, sealed)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    """What nobody sealed is an error, and no other than this one."""
    with pytest.raises(DecryptionFailed):
        KEYS.unseal(KEYS.name(b"a"), data)


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_names_are_unambiguous(one: list[bytes], other: list[bytes]) -> None:
    """Two rows have one name only when all their parts are the same."""
    assert (KEYS.name(*one) == KEYS.name(*other)) == (one == other)
    assert len(KEYS.name(*one)) == NAME_BYTES


def test_nobody_else_can_name_or_add_up() -> None:
    """Names and sums depend on the key."""
    nonce = bytes(NONCE_BYTES)
    assert KEYS.name(b"a") != OTHERS.name(b"a")
    assert KEYS.part_of_sum(b"a", nonce) != OTHERS.part_of_sum(b"a", nonce)
    assert KEYS.part_of_sum(b"a", nonce) != KEYS.part_of_sum(b"b", nonce)


def test_keys_are_not_pickled_and_not_shown() -> None:
    """They are as good as the secret key, for the cache."""
    with pytest.raises(TypeError):
        pickle.dumps(KEYS)
    assert SEED.hex() not in repr(KEYS)
