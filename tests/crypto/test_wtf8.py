"""WTF-8: one text, one sequence of bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smfs.crypto import wtf8
from smfs.errors import MalformedData

TEXT = st.text(st.characters(exclude_categories=())) | st.text("a\ud83d\ude00\udfff😀")


@given(TEXT)
@example("\ud800")
@example("\ud83d\ude00")
@example("\ude00\ud83d")
def test_every_text_has_bytes_that_lead_back(text: str) -> None:
    """Decoding gives the text with its pairs joined, and joining twice changes nothing."""
    joined = wtf8.join_pairs(text)
    assert wtf8.decode(wtf8.encode(text)) == joined
    assert wtf8.encode(text) == wtf8.encode(joined)
    assert wtf8.join_pairs(joined) == joined


@given(TEXT)
def test_text_without_lone_surrogates_is_utf8(text: str) -> None:
    """WTF-8 differs from UTF-8 only where UTF-8 has no form at all."""
    try:
        expected = wtf8.join_pairs(text).encode()
    except UnicodeEncodeError:
        return
    assert wtf8.encode(text) == expected


@given(
    st.binary(max_size=12)
    | st.lists(st.sampled_from([b"\xed\xa0\xbd", b"\xed\xb8\x80", b"a"])).map(b"".join)
)
def test_bytes_decode_to_what_encodes_to_them(data: bytes) -> None:
    """No two byte sequences name the same text."""
    try:
        text = wtf8.decode(data)
    except MalformedData:
        return
    assert wtf8.encode(text) == data


@pytest.mark.parametrize("data", [b"\xff", b"\xc0\x80", b"\xed\xa0", b"\xed\xa0\xbd\xed\xb8\x80"])
def test_other_bytes_are_refused(data: bytes) -> None:
    """Invalid and overlong sequences, and a pair that is not joined."""
    with pytest.raises(MalformedData):
        wtf8.decode(data)
