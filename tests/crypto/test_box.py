"""The original's box, by the shared vectors and by what must hold for any content."""

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smfs.crypto import box as boxes
from smfs.crypto.box import Box, box_from_json, open_box, seal_box, seal_with
from smfs.crypto.identity import Identity, is_point
from smfs.errors import DecryptionFailed, InvalidPoint, MalformedData, SmfsError

VECTORS = Path(__file__).parents[1] / "vectors" / "original"
CIPHERTEXTS = json.loads((VECTORS / "ciphertexts.json").read_text())
LATER = json.loads((VECTORS / "ciphertexts-0.3.json").read_text())
READER = Identity(bytes(range(32)))
STRANGER = Identity(bytes(32))
POINT = STRANGER.node_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
HEX_LIKE = st.text("0123456789abcdefABCDEFg \n", max_size=130) | st.binary(max_size=96).map(
    bytes.hex
)
BOX_LIKE = st.dictionaries(
    st.sampled_from(
        ["referencePointHex", "referencePoint", "encryptedContentHex", "encryptedContent", "x"]
    ),
    HEX_LIKE | st.just(POINT) | JSON,
)


def case_name(case: Any) -> str:
    """What a case is called in the report."""
    return str(case.get("name", case["plaintext"][:20]))


@pytest.mark.parametrize("case", CIPHERTEXTS["single"], ids=case_name)
def test_what_the_original_wrote_opens(case: dict[str, str]) -> None:
    """Every recorded box opens to its plaintext, lone surrogates being U+FFFD by then."""
    content = open_box(Identity.from_secret_key_hex(case["secretKeyHex"]), box_from_json(case))
    assert (
        content
        == case["plaintext"].encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    )


@pytest.mark.parametrize("case", LATER["cases"], ids=case_name)
def test_the_later_format_opens(case: dict[str, str]) -> None:
    """What crypto utils 0.3 wrote opens too, recognised by itself."""
    content = open_box(Identity.from_secret_key_hex(case["secretKeyHex"]), box_from_json(case))
    assert content.decode() == case["plaintext"]


@pytest.mark.parametrize("case", CIPHERTEXTS["derivation"], ids=case_name)
def test_given_the_same_random_parts_the_same_bytes_are_written(case: dict[str, str]) -> None:
    """Key agreement, key derivation and padding are the original's, byte for byte."""
    ephemeral = Identity.from_secret_key_hex(case["ephemeralSecretKeyHex"])
    salted = bytes.fromhex(case["saltedPlaintextHex"])
    box = seal_with(ephemeral, case["recipientPublicKeyHex"], salted)
    assert box.reference_point_hex == case["referencePointHex"]
    assert box.encrypted_content_hex == case["encryptedContentHex"]


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\0")
def test_what_is_sealed_opens_to_the_same_bytes(content: bytes) -> None:
    """Any bytes come back, NULs included, and only for the reader that they were sealed for."""
    box = seal_box(READER.node_id, content)
    assert open_box(READER, box_from_json(box.to_json())) == content
    try:
        by_a_stranger = open_box(STRANGER, box)
    except DecryptionFailed:
        return
    assert by_a_stranger != content  # the padding may fit by chance


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_what_is_sealed_is_never_taken_for_the_later_format(content: bytes) -> None:
    """The length of every ciphertext says which format it is, so no reader guesses."""
    box = seal_box(READER.node_id, content)
    assert len(bytes.fromhex(box.encrypted_content_hex)) % 32 == 0


@given(st.binary(max_size=40))
def test_the_salt_is_text_that_any_client_can_remove(content: bytes) -> None:
    """The salt is ASCII without a NUL but for its end, at most 29 bytes long."""
    box = seal_box(READER.node_id, content)
    salt_and_content = _below_the_padding(READER, box)
    assert re.fullmatch(rb"[0-9a-f]{12,28}\0", salt_and_content[: -len(content) or None])


def _below_the_padding(reader: Identity, box: Box) -> bytes:
    point = bytes.fromhex(box.reference_point_hex)
    return boxes._decrypt(boxes._agree(reader, point), bytes.fromhex(box.encrypted_content_hex))


def test_no_two_boxes_are_alike() -> None:
    """Each box has an ephemeral key of its own, which makes key and IV unique."""
    boxes = {seal_box(READER.node_id, b"x") for _ in range(50)}
    assert len({box.reference_point_hex for box in boxes}) == 50


@pytest.mark.parametrize(
    "node_id",
    [
        "00" * 32,
        "01" + "00" * 31,
        "ff" * 32,
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "02" + "00" * 31,
        "ab",
        "",
        "no hex",
    ],
)
def test_nothing_is_sealed_to_what_is_no_key(node_id: str) -> None:
    """Small orders, points off the curve and other text are refused as such."""
    with pytest.raises(InvalidPoint):
        seal_box(node_id, b"x")


@given(st.binary(min_size=32, max_size=32))
@example(bytes.fromhex(POINT))
def test_a_point_is_what_can_be_sealed_to(point: bytes) -> None:
    """`is_point` says beforehand whether sealing to a node id would be refused."""
    if is_point(point.hex()):
        assert isinstance(seal_box(point.hex(), b"x"), Box)
    else:
        with pytest.raises(InvalidPoint):
            seal_box(point.hex(), b"x")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {"referencePointHex": POINT},
        {"referencePointHex": POINT, "encryptedContentHex": ""},
        {"referencePointHex": POINT, "encryptedContentHex": "0" * 31},
        {"referencePointHex": POINT, "encryptedContentHex": "0" * 30},
        {"referencePointHex": POINT, "encryptedContentHex": "0" * 31 + "g"},
        {"referencePointHex": POINT, "encryptedContentHex": "0" * 32 + "\n"},
        {"referencePointHex": POINT[:-1], "encryptedContentHex": "0" * 32},
        {"referencePointHex": POINT + "\n", "encryptedContentHex": "0" * 32},
        {"referencePointHex": 5, "encryptedContentHex": "0" * 32},
    ],
)
def test_what_is_no_box_is_malformed(value: Any) -> None:
    """A box has both fields, in hex, with whole blocks."""
    with pytest.raises(MalformedData):
        box_from_json(value)


def test_the_older_field_names_are_read() -> None:
    """`referencePoint` and `encryptedContent` mean the same; the newer names go first."""
    box = seal_box(READER.node_id, b"x")
    older = {
        "referencePoint": box.reference_point_hex,
        "encryptedContent": box.encrypted_content_hex,
    }
    assert box_from_json(older) == box
    assert box_from_json({"referencePoint": "junk", "encryptedContent": 5, **box.to_json()}) == box


def test_content_without_a_salt_is_refused() -> None:
    """A box that decrypts to something without any NUL was written by no client."""
    with pytest.raises(DecryptionFailed, match="salt"):
        open_box(READER, seal_with(Identity.generate(), READER.node_id, b"no end of a salt"))


@settings(deadline=None)
@given(BOX_LIKE | JSON)
def test_any_value_is_a_box_or_refused(value: Any) -> None:
    """Whatever a service sends, reading it gives bytes or one of our errors."""
    try:
        open_box(READER, box_from_json(value))
    except SmfsError:
        return
    assert isinstance(value, dict)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_ciphertext_opens_or_is_refused(point: bytes, blocks: int, random: Any) -> None:
    """Points and ciphertexts at random never end in a foreign exception."""
    box = Box(point.hex(), random.randbytes(16 * blocks).hex())
    try:
        open_box(READER, box)
    except DecryptionFailed:
        return


@settings(deadline=None)
@given(st.data())
def test_a_damaged_box_of_the_later_format_never_breaks_the_reader(data: st.DataObject) -> None:
    """A flipped bit in a box of crypto utils 0.3 gives other bytes or a refusal."""
    case = data.draw(st.sampled_from(LATER["cases"]))
    ciphertext = bytearray.fromhex(case["encryptedContentHex"])
    ciphertext[data.draw(st.integers(0, len(ciphertext) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reader = Identity.from_secret_key_hex(case["secretKeyHex"])
    try:
        open_box(reader, Box(case["referencePointHex"], ciphertext.hex()))
    except DecryptionFailed:
        return


def test_checking_a_large_box_takes_no_more_memory_than_the_box() -> None:
    """The form of a ciphertext of 4 MB is checked without building anything of its size."""
    value = {"referencePointHex": POINT, "encryptedContentHex": "ab" * 2_000_000}
    tracemalloc.start()
    try:
        box_from_json(value)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
