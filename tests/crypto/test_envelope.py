"""The signed envelope: its own vectors, and that nobody can alter, move or forge one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smfs import errors
from smfs.crypto import wtf8
from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.envelope import Address, open_envelope, seal_envelope
from smfs.crypto.identity import Identity, verify
from smfs.errors import InvalidInput, InvalidPoint, SignatureMismatch, SmfsError, TamperedSecret

VECTORS = Path(__file__).parents[1] / "vectors"
ENVELOPES = json.loads((VECTORS / "envelope.json").read_text())
CIPHERTEXTS = json.loads((VECTORS / "original" / "ciphertexts.json").read_text())
ALICE, BOB, EVE = (Identity(bytes([number]) * 32) for number in (1, 2, 3))
OWN = Address("own", ALICE.node_id, ALICE.node_id, "id")
SHARED = Address("shared", ALICE.node_id, BOB.node_id, "id")
NOW = 1_800_000_000_000
IDS = st.text(st.characters(exclude_categories=()), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def case_name(case: Any) -> str:
    """What a case is called in the report."""
    return str(case["name"])


def address_of(case: dict[str, Any]) -> Address:
    """Where a case's envelope lies."""
    at = case["address"]
    return Address(at["kind"], at["sender"], at["recipient"], at["secretId"])


def reader_of(case: dict[str, Any]) -> Identity:
    """Who reads a case's envelope."""
    return Identity.from_secret_key_hex(ENVELOPES["keys"][case["reader"]]["secretKeyHex"])


@pytest.mark.parametrize("case", ENVELOPES["accept"], ids=case_name)
def test_accepted_vectors(case: dict[str, Any]) -> None:
    """What is to be accepted opens to its content, with its sender and time."""
    opened = open_envelope(reader_of(case), address_of(case), case["envelope"].encode())
    assert opened.content.hex() == case["contentHex"]
    assert (opened.sender, opened.signed_at) == (case["sender"], case["signedAt"])


@pytest.mark.parametrize("case", ENVELOPES["reject"], ids=case_name)
def test_rejected_vectors(case: dict[str, Any]) -> None:
    """What is to be rejected is rejected for the reason that it is in the vectors for."""
    with pytest.raises(SmfsError) as caught:
        open_envelope(reader_of(case), address_of(case), case["envelope"].encode())
    assert type(caught.value) is getattr(errors, case["error"])


@pytest.mark.parametrize(
    "case", [case for case in ENVELOPES["accept"] if case["sender"]], ids=case_name
)
def test_what_is_signed_is_unambiguous(case: dict[str, Any]) -> None:
    """The signature is over the domain and each field with its length, built here anew."""
    wire, at = json.loads(case["envelope"]), case["address"]
    fields = [at["kind"], at["sender"], at["recipient"], wtf8.encode(at["secretId"])]
    fields += [str(case["signedAt"]), wire.get("encoding", "")]
    fields += [wire["referencePointHex"], wire["encryptedContentHex"]]
    parts = [field if isinstance(field, bytes) else field.encode() for field in fields]
    signed = b"smfs envelope 1\0"
    for part in parts:
        signed += len(part).to_bytes(4, "big") + part
    assert signed.hex() == case["signedHex"]
    assert verify(wire["sender"], signed, bytes.fromhex(wire["signature"]))


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=20).map(str.encode), IDS)
def test_what_is_sealed_opens(content: bytes, secret_id: str) -> None:
    """Any content under any id comes back to its recipient, with who wrote it and when."""
    address = Address("shared", ALICE.node_id, BOB.node_id, secret_id)
    opened = open_envelope(BOB, address, seal_envelope(ALICE, address, content, NOW).encode())
    assert (opened.content, opened.sender, opened.signed_at) == (content, ALICE.node_id, NOW)


def test_the_original_finds_its_two_fields_first() -> None:
    """The box comes first, under the names that the original reads, and holds the very text."""
    wire = json.loads(seal_envelope(ALICE, SHARED, "grüße".encode(), NOW))
    assert list(wire) == [
        "referencePointHex",
        "encryptedContentHex",
        "version",
        "sender",
        "signedAt",
        "signature",
    ]
    assert open_box(BOB, box_from_json(wire)) == "grüße".encode()


def test_content_that_is_no_text_travels_as_base64() -> None:
    """Any client can carry it, and the envelope says so before the signature."""
    wire = json.loads(seal_envelope(ALICE, OWN, b"\xff\0", NOW))
    assert list(wire)[-2:] == ["encoding", "signature"]
    assert open_box(ALICE, box_from_json(wire)) == b"/wA="


def test_the_size_is_not_in_the_clear() -> None:
    """Contents of different sizes in the same blocks have envelopes of the same size."""
    assert len({len(seal_envelope(ALICE, OWN, b"x" * size, NOW)) for size in range(3)}) == 1


@pytest.mark.parametrize(
    "moved",
    [
        Address("own", ALICE.node_id, BOB.node_id, "id"),
        Address("shared", EVE.node_id, BOB.node_id, "id"),
        Address("shared", ALICE.node_id, EVE.node_id, "id"),
        Address("shared", ALICE.node_id, BOB.node_id, "di"),
        Address("shared", ALICE.node_id, BOB.node_id, ""),
    ],
)
def test_an_envelope_fits_one_place_only(moved: Address) -> None:
    """Under another kind, sender, recipient or id, the signature does not fit."""
    text = seal_envelope(ALICE, SHARED, b"x", NOW).encode()
    with pytest.raises(SignatureMismatch):
        open_envelope(BOB, moved, text)


@settings(deadline=None)
@given(st.data())
def test_one_changed_character_never_gives_other_signed_content(data: st.DataObject) -> None:
    """An altered envelope is refused, or is no envelope any more and reads as unsigned."""
    text = seal_envelope(ALICE, SHARED, b"content", NOW)
    place = data.draw(st.integers(0, len(text) - 1))
    other = text[:place] + data.draw(st.characters(codec="ascii")) + text[place + 1 :]
    try:
        opened = open_envelope(BOB, SHARED, other.encode())
    except SmfsError:
        return
    if other != text:
        assert (opened.content, opened.sender) == (other.encode(), None)


@settings(deadline=None)
@given(st.sampled_from(["version", "sender", "signedAt", "encoding", "signature"]), JSON)
def test_any_value_in_a_field_is_refused_or_changes_nothing(name: str, value: Any) -> None:
    """No value of any type in any field of ours gets through the signature."""
    wire = json.loads(seal_envelope(ALICE, OWN, b"\xff", NOW))
    changed = {**wire, name: value}
    if changed == wire and type(value) is type(wire[name]):
        return
    with pytest.raises((TamperedSecret, errors.MalformedData)):
        open_envelope(ALICE, OWN, json.dumps(changed, separators=(",", ":")).encode())


@settings(deadline=None)
@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_text_opens_as_itself_or_is_refused(text: bytes) -> None:
    """What is no envelope is content of one layer, verbatim and unsigned."""
    try:
        opened = open_envelope(ALICE, OWN, text)
    except SmfsError:
        return
    assert (opened.content, opened.sender) == (text, None)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000])
def test_text_that_would_exhaust_a_parser_is_content(text: bytes) -> None:
    """Nesting and digits without end are no envelope, and no crash."""
    assert open_envelope(ALICE, OWN, text).content == text


def test_an_envelope_in_another_coding_is_no_envelope() -> None:
    """Only UTF-8 is JSON here: a client in another language would see no envelope either."""
    text = seal_envelope(ALICE, OWN, b"x", NOW).encode("utf-16-le")
    assert open_envelope(ALICE, OWN, text).content == text


def test_nobody_signs_in_the_name_of_another() -> None:
    """A signer that is not the address's sender, or a time that is none, is refused."""
    with pytest.raises(InvalidInput):
        seal_envelope(EVE, SHARED, b"x", NOW)
    for signed_at in (-1, 2**53):
        with pytest.raises(InvalidInput):
            seal_envelope(ALICE, SHARED, b"x", signed_at)


def test_nothing_is_sealed_to_what_is_no_key() -> None:
    """A recipient that can decrypt nothing is refused, not silently written to."""
    with pytest.raises(InvalidPoint):
        seal_envelope(ALICE, Address("shared", ALICE.node_id, "00" * 32, "id"), b"x", NOW)


def test_opened_content_does_not_show_itself() -> None:
    """The representation of what was opened is free of the content."""
    opened = open_envelope(ALICE, OWN, seal_envelope(ALICE, OWN, b"canary", NOW).encode())
    assert "canary" not in repr(opened)


@pytest.mark.parametrize("case", CIPHERTEXTS["double"], ids=case_name)
def test_both_layers_of_the_original(case: dict[str, Any]) -> None:
    """The service's answer opens to the client's envelope, and that to the plaintext."""
    reader = Identity.from_secret_key_hex(case["secretKeyHex"])
    inner = open_box(reader, box_from_json(case))
    assert json.loads(inner) == case["inner"]
    opened = open_envelope(reader, Address("own", reader.node_id, reader.node_id, "id"), inner)
    assert opened.content.decode() == case["plaintext"]
    assert opened.sender is None


@pytest.mark.parametrize("case", CIPHERTEXTS["received"], ids=case_name)
def test_odd_content_of_others(case: dict[str, Any]) -> None:
    """What other means left below the service's layer is read as text or refused, never parsed."""
    reader = Identity.from_secret_key_hex(case["secretKeyHex"])
    inner = open_box(reader, box_from_json(case))
    assert inner.decode() == case["plaintextOfServiceLayer"]
    own = Address("own", reader.node_id, reader.node_id, "id")
    if "clientThrows" in case and case["name"] != "bare null":
        with pytest.raises(SmfsError):
            open_envelope(reader, own, inner)
        return
    returned = case.get("clientReturns", "")
    content = open_envelope(reader, own, inner).content
    # The original parses what it returns; here the text stays as it was written.
    expected = returned if "envelope" in case["name"] else case["plaintextOfServiceLayer"]
    assert content.decode() == expected
