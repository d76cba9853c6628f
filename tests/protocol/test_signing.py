"""Signatures over requests, time frames, and the one answer that a service signs."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smfs.crypto.identity import Identity
from smfs.errors import MalformedData
from smfs.protocol import canonical, requests, signing
from smfs.protocol.requests import GetSecret, SignedRequest
from smfs.protocol.signing import NodeAnswer

VECTORS = Path(__file__).parents[1] / "vectors" / "original"
CASES = json.loads((VECTORS / "signing.json").read_text())["cases"]
RECORDED = json.loads((VECTORS / "replay" / "recorded.json").read_text())
KEY = Identity(bytes(range(32)))
NOW = 1_800_000_123_456

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def secret_request(secret_id: str = "id") -> GetSecret:
    """An unsigned request of the key."""
    return GetSecret(
        public_key=KEY.node_id,
        secret_id=secret_id,
        timestamp=signing.frame(NOW),
        signature=signing.UNSIGNED,
        nonce=1,
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_signatures_of_the_original(case: dict[str, Any]) -> None:
    """The signed text, its hash and its signature are the original's, byte for byte."""
    key = Identity.from_secret_key_hex(case["secretKeyHex"])
    assert key.node_id == case["publicKeyHex"]
    text = case["route"] + canonical.encode(case["payload"])
    digest = hashlib.sha256(text.encode()).digest()
    assert (text, digest.hex()) == (case["signedString"], case["sha256Hex"])
    assert key.sign(digest).hex() == case["signatureHex"]


def well_formed(case: dict[str, Any]) -> bool:
    """Whether a case's body is a request; some cases only show how numbers are written."""
    fields = requests.wire_fields(requests.ROUTES[case["route"][1:]])
    wanted = [field.name for field in fields if field.name != "signature"]
    return list(case["payload"]) == wanted


BODIES = [case for case in CASES if case["route"][1:] in requests.ROUTES and well_formed(case)]


@pytest.mark.parametrize("case", BODIES, ids=[case["name"] for case in BODIES])
def test_requests_of_the_original_in_both_directions(case: dict[str, Any]) -> None:
    """Its body is read and verified, and signed again is the same body."""
    request_type = requests.ROUTES[case["route"][1:]]
    request = requests.parse(request_type, canonical.decode(case["requestBody"]))
    assert isinstance(request, SignedRequest)
    assert signing.verify(request)
    key = Identity.from_secret_key_hex(case["secretKeyHex"])
    again = signing.sign(key, request.with_signature(signing.UNSIGNED))
    assert canonical.encode(again.to_wire()) == case["requestBody"]


def test_there_are_bodies_of_many_routes() -> None:
    """The two directions are not tested over an empty or narrow corpus."""
    assert len({case["route"] for case in BODIES}) >= 10


def test_the_public_auth_codes_are_those_of_a_new_original() -> None:
    """A client without a code of its own is let in by the original."""
    codes = RECORDED["defaultAuthCodes"]
    assert codes["getNodeId"] == requests.AUTH_CODE_NODE_ID
    assert codes["openSecretSpace"] == requests.AUTH_CODE_OPEN_SPACE


@given(st.text(st.characters(exclude_categories=()), max_size=10))
def test_what_is_signed_verifies_after_its_way_over_the_wire(secret_id: str) -> None:
    """Any id, lone surrogates included, is signed and verified over the same text."""
    signed = signing.sign(KEY, secret_request(secret_id))
    body = canonical.encode(signed.to_wire()).encode()
    request = requests.parse(GetSecret, canonical.decode(body))
    assert signing.verify(request)


@settings(deadline=None)
@given(st.data())
def test_a_signature_covers_every_field(data: st.DataObject) -> None:
    """Another value of any field, or another route, does not verify."""
    signed = signing.sign(KEY, secret_request())
    wire = signed.to_wire()
    name = data.draw(st.sampled_from(list(wire)))
    value = wire[name]
    if isinstance(value, str):
        value = ("0" if value[0] != "0" else "1") + value[1:]
    else:
        value += data.draw(st.integers(1, 10**6))
    assert not signing.verify(requests.parse(GetSecret, {**wire, name: value}))
    elsewhere = requests.parse(requests.DeleteSecret, wire)
    assert not signing.verify(elsewhere)


def test_capitals_do_not_change_what_a_signature_says() -> None:
    """The bytes of a signature count, not how its hex is written."""
    signed = signing.sign(KEY, secret_request())
    assert signing.verify(signed.with_signature(signed.signature.upper()))


def test_a_number_that_overflows_is_signed_as_null() -> None:
    """The service re-serialises `1e400` as null, and so do we (PROTOCOL.md section 3)."""
    body = canonical.encode(secret_request().to_wire()).replace('"nonce":1}', '"nonce":1e400}')
    request = requests.parse(GetSecret, canonical.decode(body))
    assert canonical.encode(request.payload()).endswith('"nonce":null}')


@given(st.integers(0, 2**53))
def test_three_frames_are_accepted(now_ms: int) -> None:
    """A timestamp is a multiple of three minutes, and its neighbours are accepted too."""
    frame = signing.frame(now_ms)
    assert frame % 180_000 == 0
    assert 0 <= now_ms - frame < 180_000
    assert signing.accepted_frames(now_ms) == (frame - 180_000, frame, frame + 180_000)


def test_a_signature_is_remembered_while_it_could_be_accepted() -> None:
    """A frame is accepted for at most three frames' time."""
    frame = signing.frame(NOW)
    accepted = [
        moment
        for moment in range(frame - 5 * 180_000, frame + 5 * 180_000, 20_000)
        if frame in signing.accepted_frames(moment)
    ]
    assert max(accepted) - min(accepted) < signing.REPLAY_WINDOW_MS == 540_000


def test_the_signed_answer_of_the_original() -> None:
    """The recorded answer to getNodeId is genuine, and ours at that moment is the same text."""
    step = RECORDED["steps"][0]
    answer = NodeAnswer.parse(canonical.decode(step["response"]["body"]))
    assert answer.is_genuine(step["now"])
    service = Identity.from_secret_key_hex(RECORDED["service"]["secretKeyHex"])
    ours = NodeAnswer.make(service, step["now"])
    assert canonical.encode(ours.to_wire()) == step["response"]["body"]


@pytest.mark.parametrize(
    "change",
    [
        {"serverNodeId": "ab" * 32},
        {"timestamp": signing.frame(NOW) + 180_000},
        {"signature": "00" * 64},
        {"signature": "no hex"},
        {"signature": ""},
        {"signature": "é"},
    ],
)
def test_a_changed_answer_is_not_genuine(change: dict[str, Any]) -> None:
    """Node id, frame and signature all count."""
    wire = {**NodeAnswer.make(KEY, NOW).to_wire(), **change}
    assert not NodeAnswer.parse(wire).is_genuine(NOW)


def test_an_answer_of_another_time_is_not_genuine() -> None:
    """An old answer, though rightly signed, is refused outside of its frames."""
    answer = NodeAnswer.make(KEY, NOW)
    assert answer.is_genuine(NOW + 180_000)
    assert not answer.is_genuine(NOW + 2 * 180_000)
    assert not answer.is_genuine(NOW - 2 * 180_000)


@given(JSON | st.fixed_dictionaries({"serverNodeId": JSON, "timestamp": JSON, "signature": JSON}))
def test_any_answer_is_read_or_refused(value: Any) -> None:
    """No value ends in anything but our refusal."""
    with pytest.raises(MalformedData):
        NodeAnswer.parse(value)


@given(JSON, JSON)
def test_an_answer_with_odd_parts_is_refused_or_not_genuine(stamp: Any, signature: Any) -> None:
    """Odd values in the fields of an answer never pass for a genuine one."""
    value = {"serverNodeId": KEY.node_id, "timestamp": stamp, "signature": signature}
    try:
        answer = NodeAnswer.parse(value)
    except MalformedData:
        return
    assert not answer.is_genuine(NOW)


def test_the_seal_on_a_space_is_over_its_text_alone() -> None:
    """`sign_value` signs the hash of the canonical text, without a path in front."""
    digest = hashlib.sha256(b'{"1":2,"a":"\xc3\xa9"}').digest()
    assert signing.sign_value(KEY, {"a": "é", "1": 2}) == KEY.sign(digest).hex()
