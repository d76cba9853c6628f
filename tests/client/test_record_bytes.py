"""The bytes of cached records: there and back, and nothing else gets through."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smfs.client.record_bytes import (
    box_size,
    decode_header,
    decode_record,
    encode_header,
    encode_record,
    place_parts,
)
from smfs.client.records import Header, NodeRecord, Record, SecretRecord, Tally, without_box
from smfs.crypto import wtf8
from smfs.crypto.box import Box
from smfs.errors import MalformedData

hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
ids = st.text(st.characters(), max_size=40).map(wtf8.join_pairs)
counts = st.integers(0, 2**53)
moments = st.floats(0, 2**53)
boxes = st.builds(Box, hexes, st.binary(min_size=16, max_size=64).map(bytes.hex))
secrets = st.builds(
    SecretRecord,
    from_id=hexes | st.just(""),
    secret_id=ids,
    revision=st.none() | counts,
    one_time=st.booleans(),
    box=st.none() | boxes,
    token=st.none() | hexes,
    size=st.none() | counts,
    sender=st.none() | hexes,
    signed_at=st.none() | counts,
    changed_at=moments,
)
nodes = st.builds(NodeRecord, st.sampled_from(["sender", "recipient"]), hexes, st.none() | moments)
discoveries = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=3)
headers = st.builds(
    Header,
    feed=ids,
    revision=counts,
    confirmed_at=moments,
    service=ids,
    discovery=st.none() | discoveries,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=11) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=15,
)


def framed(text: bytes, rest: bytes = b"") -> bytes:
    """Bytes that look like a record's."""
    return len(text).to_bytes(4, "big") + text + rest


@given(secrets | nodes)
def test_a_record_comes_back(record: Record) -> None:
    """As it was."""
    assert decode_record(encode_record(record)) == record


@given(headers, st.builds(Tally, counts, counts, st.integers(0, 2**256 - 1)))
def test_a_header_comes_back(header: Header, tally: Tally) -> None:
    """With what its rows come to."""
    assert decode_header(encode_header(header, tally)) == (header, tally)


@given(secrets | nodes, secrets | nodes)
def test_places_are_told_apart(one: Record, other: Record) -> None:
    """Two records have the same parts only when they are of the same place."""
    assert (place_parts(one.place) == place_parts(other.place)) == (one.place == other.place)


@given(
    st.binary(max_size=100)
    | st.builds(framed, st.binary(max_size=60), st.binary(max_size=60))
    | st.builds(lambda value, rest: framed(json.dumps(value).encode(), rest), values, st.binary())
)
@example(framed(b"[" * 100_000))
@example(framed(b'["",' + b"1" * 5000 + b"]"))
@example(framed(json.dumps(["", "", None, False, None, None, None, None, 0]).encode(), b"short"))
@example(framed(json.dumps(["", 0, 0, "", None, 0, 0, "no number"]).encode()))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """With one error, whatever they are; what is read can be written again."""
    for decode in (decode_record, decode_header):
        try:
            found = decode(data)
        except MalformedData:
            continue
        if isinstance(found, SecretRecord | NodeRecord):
            assert repr(decode_record(encode_record(found))) == repr(found)


@given(secrets, st.data())
def test_a_record_that_is_cut_off_is_refused(record: SecretRecord, data: st.DataObject) -> None:
    """Wherever it is cut before its ciphertext."""
    encoded = encode_record(without_box(record))
    with pytest.raises(MalformedData):
        decode_record(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(secrets | nodes)
def test_the_size_of_ciphertext(record: Record) -> None:
    """It is what leaving the box out saves."""
    saved = len(encode_record(record)) - len(encode_record(without_box(record)))
    assert box_size(record) == saved
