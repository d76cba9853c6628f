"""Key pairs, signatures, and that a secret key shows itself nowhere."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.crypto.identity import Identity, is_node_id, verify
from smfs.errors import InvalidKey

# RFC 8032, section 7.1
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]
KEY = Identity(bytes(range(32)))
CURVE_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_signatures_are_plain_ed25519(
    secret: str, public: str, message: str, signature: str
) -> None:
    """Keys and signatures are those of RFC 8032."""
    key = Identity.from_secret_key_hex(secret)
    assert key.node_id == public
    assert key.secret_key_hex == secret
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert verify(public, bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(max_size=40), st.integers(0, 511))
def test_a_flipped_bit_is_noticed(message: bytes, bit: int) -> None:
    """A signature with any one bit changed does not fit, nor does it fit another message."""
    signature = bytearray(KEY.sign(message))
    assert not verify(KEY.node_id, message + b"x", bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.node_id, message, bytes(signature))


def test_a_second_form_of_a_signature_does_not_fit() -> None:
    """S plus the group's order would name the same point; only the smaller S is taken."""
    signature = KEY.sign(b"x")
    scalar = int.from_bytes(signature[32:], "little") + CURVE_ORDER
    assert not verify(KEY.node_id, b"x", signature[:32] + scalar.to_bytes(32, "little"))


@given(st.text(max_size=70) | st.binary(max_size=40).map(bytes.hex), st.binary(max_size=70))
def test_verifying_anything_is_yes_or_no(node_id: str, signature: bytes) -> None:
    """Keys and signatures of any form are answered, never raised about."""
    assert verify(node_id, b"x", signature) is False


@pytest.mark.parametrize("point", ["00" * 32, "01" + "00" * 31, "ff" * 32])
def test_no_signature_fits_a_key_of_small_order(point: str) -> None:
    """A key under which one signature fits every message is no key."""
    assert not verify(point, b"x", bytes.fromhex(point) + bytes(32))


@pytest.mark.parametrize(
    "text", ["", "ab" * 31, "AB" * 32, "zz" * 32, "ab" * 32 + "\n", "0x" + "ab" * 31, "é" * 64]
)
def test_a_malformed_secret_key_is_refused_and_not_repeated(text: str) -> None:
    """A secret key is 64 lower-case hex digits; the refusal does not contain what was given."""
    with pytest.raises(InvalidKey) as caught:
        Identity.from_secret_key_hex(text)
    assert not text or text not in str(caught.value)


def test_only_lower_case_hex_of_64_is_a_node_id() -> None:
    """The form of a node id is exact."""
    assert is_node_id("0a" * 32)
    assert not any(map(is_node_id, ["0A" * 32, "0a" * 31, "0a" * 32 + "\n", "", "\u0660" * 64]))


def test_a_secret_key_does_not_show_itself() -> None:
    """Neither printing nor formatting shows the secret key or the scalar; pickling is refused."""
    shown = f"{KEY!r} {KEY!s} {KEY} {[KEY]}"
    assert KEY.secret_key_hex not in shown
    assert KEY.agreement_scalar.hex() not in shown
    assert KEY.node_id in shown
    for copying in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            copying(KEY)
        assert KEY.secret_key_hex not in str(caught.value)


def test_two_new_identities_differ() -> None:
    """Every generated identity has a key of its own."""
    assert len({Identity.generate().node_id for _ in range(20)}) == 20
