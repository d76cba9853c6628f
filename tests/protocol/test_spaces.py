"""The shapes of spaces: the recorded ones through reading and writing, and broken ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.envelope import Address, open_envelope
from smfs.crypto.identity import Identity
from smfs.errors import MalformedData
from smfs.protocol import canonical
from smfs.protocol.spaces import StoredSecret, parse_space, parse_sub_space

VECTORS = Path(__file__).parents[1] / "vectors" / "original"
SPACE = json.loads((VECTORS / "space.json").read_text())
READER = Identity.from_secret_key_hex(SPACE["node"]["secretKeyHex"])
NODE = "ab" * 32

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
SECRET = JSON | st.fixed_dictionaries(
    {}, optional={"secret": JSON, "isOneTime": JSON, "notificationHooks": JSON}
)
META = JSON | st.fixed_dictionaries(
    {"id": JSON | st.just(NODE)},
    optional={"closureDate": JSON, "owner": JSON, "serverPub": JSON, "notificationHooks": JSON},
)
SECRETS = JSON | st.dictionaries(st.text(max_size=4), SECRET, max_size=3)
SUB_SPACE = JSON | st.fixed_dictionaries({"meta": META, "secrets": SECRETS})
SPACES = JSON | st.fixed_dictionaries(
    {
        "meta": META,
        "secrets": SECRETS,
        "subSpaces": JSON | st.dictionaries(st.just(NODE) | st.text(max_size=4), SUB_SPACE),
    }
)


@pytest.mark.parametrize("name", ["secretSpace", "subSpace"])
def test_the_recorded_answers_decrypt_to_the_recorded_text(name: str) -> None:
    """The listing's own layer opens to the text, and that to the parsed object."""
    recorded = SPACE[name]
    text = open_box(READER, box_from_json(recorded["response"])).decode()
    assert text == recorded["decryptedText"]
    assert canonical.decode(text) == recorded["decrypted"]


def test_a_recorded_space_is_written_as_it_was_read() -> None:
    """Reading a space loses nothing: written again it is the same text."""
    text = SPACE["secretSpace"]["decryptedText"]
    value = canonical.decode(text)
    space = parse_space(value)
    assert canonical.encode(space.to_wire(value["meta"]["serverSig"])) == text
    assert space.node_id == READER.node_id
    assert space.server_id == SPACE["service"]


def test_a_recorded_sub_space_is_written_as_it_was_read() -> None:
    """The same for what one sender shared."""
    text, sender = SPACE["subSpace"]["decryptedText"], SPACE["subSpace"]["fromId"]
    sub_space = parse_sub_space(canonical.decode(text))
    assert canonical.encode(sub_space.to_wire(READER.node_id, sender)) == text


def test_all_contents_of_a_recorded_space_open() -> None:
    """Own and shared secrets, auth codes included, are their recorded plaintexts."""
    space = parse_space(SPACE["secretSpace"]["decrypted"])
    own = {secret_id: content(secret) for secret_id, secret in space.secrets.items()}
    assert own == SPACE["plaintexts"]
    shared = {
        sender: {secret_id: content(secret) for secret_id, secret in sub_space.secrets.items()}
        for sender, sub_space in space.sub_spaces.items()
    }
    assert shared == SPACE["sharedPlaintexts"]


def content(secret: StoredSecret) -> str:
    """The text of a stored secret below both layers."""
    assert secret.box
    inner = open_box(READER, secret.box)
    address = Address("own", READER.node_id, READER.node_id, "any")
    return open_envelope(READER, address, inner).content.decode()


@pytest.mark.parametrize(
    "broken", [None, 5, [], {}, {"secret": None}, {"secret": {"referencePointHex": "x"}}]
)
def test_one_broken_secret_does_not_hide_the_others(broken: Any) -> None:
    """What is no box is listed as a secret without one."""
    good = SPACE["secretSpace"]["decrypted"]["secrets"]["t:empty"]
    listed = {"meta": {"closureDate": None}, "secrets": {"bad": broken, "good": good}}
    secrets = parse_sub_space(listed).secrets
    assert secrets["bad"].box is None
    assert secrets["good"].box is not None


def test_a_sub_space_of_no_node_is_left_out() -> None:
    """A sender's name becomes a directory's, so only node ids get through."""
    value = SPACE["secretSpace"]["decrypted"]
    empty = {"meta": {"closureDate": None}, "secrets": {}}
    subs = {NODE: empty, NODE.upper(): empty, "..": empty, "a/b": empty, "": 5}
    assert set(parse_space({**value, "subSpaces": subs}).sub_spaces) == {NODE}


@pytest.mark.parametrize("date", [True, "5", [], {}, float("inf")])
def test_a_closure_date_is_a_finite_number_or_null(date: Any) -> None:
    """Anything else is no listing of a service."""
    with pytest.raises(MalformedData):
        parse_sub_space({"meta": {"closureDate": date}, "secrets": {}})


def test_only_true_makes_a_secret_one_time() -> None:
    """Other values, which the original never writes, do not."""
    listed = {"a": {"isOneTime": True}, "b": {"isOneTime": 1}, "c": {}}
    secrets = parse_sub_space({"meta": {}, "secrets": listed}).secrets
    assert [secret.is_one_time for secret in secrets.values()] == [True, False, False]


@given(SPACES)
def test_any_value_is_a_space_or_refused(value: Any) -> None:
    """What is read as a space can be written as one; everything else is our refusal."""
    try:
        space = parse_space(value)
    except MalformedData:
        return
    again = parse_space(canonical.decode(canonical.encode(space.to_wire())))
    assert again == space


@given(SUB_SPACE)
def test_any_value_is_a_sub_space_or_refused(value: Any) -> None:
    """The same for sub spaces."""
    try:
        sub_space = parse_sub_space(value)
    except MalformedData:
        return
    wire = sub_space.to_wire(NODE, NODE)
    assert parse_sub_space(canonical.decode(canonical.encode(wire))) == sub_space
