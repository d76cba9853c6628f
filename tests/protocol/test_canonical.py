"""Canonical JSON against JavaScript itself: what it writes, what it reads, and what it refuses."""

import decimal
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smfs.errors import MalformedData
from smfs.protocol import canonical

Javascript = Callable[[bytes], bytes | None]

VECTORS = Path(__file__).parents[1] / "vectors" / "original"
SIGNING = json.loads((VECTORS / "signing.json").read_text())["cases"]

ANY_TEXT = st.text(st.characters(exclude_categories=()))
TEXT = ANY_TEXT | st.text('\ud83d\ude00\udfff\0\x1f\x7f\u2028"\\/é😀', max_size=6)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.binary(min_size=8, max_size=8).map(
    lambda bits: struct.unpack(">d", bits)[0]
).filter(lambda double: double - double == 0)
NUMBERS = (
    DOUBLES
    | st.integers()
    | st.builds(
        lambda digits, power: digits * 10.0**power, st.integers(-99, 99), st.integers(-30, 30)
    )
    | st.builds(lambda power, near: 2**power + near, st.integers(0, 70), st.integers(-2, 2))
)
KEYS = (
    TEXT
    | st.integers(0, 2**33).map(str)
    | st.sampled_from(
        ["0", "00", "-0", "4294967294", "4294967295", "4294967296", "1.0", "__proto__", "length"]
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


def shift(text: str, place: int, put: str) -> str:
    """A text with one character replaced by others."""
    place %= len(text) or 1
    return text[:place] + put + text[place + 1 :]


BROKEN = st.builds(
    shift,
    VALUES.map(json.dumps),
    st.integers(0, 200),
    st.sampled_from(
        [*'{}[]":,\\-+.eE019 \t\n\r\f\v\0u/nf', "\ufeff", "\u00a0", "NaN", "\\ud8", "é", ""]
    ),
)
NUMBER_LIKE = st.text("-+.eE0123456789", min_size=1, max_size=30)


@settings(deadline=None, max_examples=400)
@given(VALUES)
@example(5e-324)
@example(1.7976931348623157e308)
@example(-0.0)
@example(1e21)
@example(999999999999999900000.0)
@example(123456789012345680000.0)
@example(1e-7)
@example(0.000001)
@example(2**53 + 1)
@example({"b": 1, "10": 2, "9": 3, "a": 4, "4294967295": 5, "4294967294": 6})
@example({**{f"k{number}": number for number in range(20)}, "1": 0, "0": 1})
@example([{"b": 1, "1": 2}, {"1": 2, "b": 1}, {"b" * 300: 1, "1": 2}])
def test_it_writes_what_javascript_writes(javascript: Javascript, value: Any) -> None:
    """Every value has the text that JSON.stringify gives it, byte for byte."""
    assert canonical.encode(value).encode() == javascript(json.dumps(value).encode())


@settings(deadline=None, max_examples=400)
@given(NUMBERS)
def test_numbers_are_laid_out_as_in_javascript(javascript: Javascript, value: float) -> None:
    """Every double, and every integer as the double that it becomes."""
    assert canonical.number(value).encode() == javascript(json.dumps(value).encode())


@settings(deadline=None, max_examples=400)
@given(BROKEN | NUMBER_LIKE | NUMBER_LIKE.map(lambda text: f"[{text}]"))
@example('{"a":1,"a":2}')
@example('{"b":1,"a":2,"b":3}')
@example('{"__proto__":1,"2":1,"1":1,"__proto__":2}')
@example('{"b":1,"\\u0032":2,"1" :3}')
@example('{"a":{"b":1,"0":2}}')
@example("1e400")
@example("-1e400")
@example("[1e-400]")
@example("9007199254740993")
@example('"\\/\\u00E9\\uD83D\\uDE00\\udfff"')
@example("01")
@example("[1,]")
@example("\ufeff1")
@example("\ufeff\ufeff1")
@example("")
@example(" ")
@example("nan")
@example("-Infinity")
@example('"\t"')
def test_it_reads_what_javascript_reads(javascript: Javascript, text: str) -> None:
    """A text is refused where JSON.parse refuses it, and else normalised to the same text."""
    data = text.encode("utf-8", "surrogatepass")
    assert normalised(data) == javascript(data)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=24).map(lambda data: b'"' + data.replace(b'"', b"") + b'"') | st.binary())
@example(b'"\xed\xa0\x80"')
@example(b'"\xf0\x9f\x98"')
@example(b'"\xc0\x80\xff"')
@example(b'\xef\xbb\xbf{"a":1}')
def test_invalid_utf8_is_replaced_as_in_javascript(javascript: Javascript, data: bytes) -> None:
    """Bytes that are no UTF-8 become as many replacement characters as there."""
    assert normalised(data) == javascript(data)


@settings(deadline=None)
@given(BROKEN | NUMBER_LIKE)
def test_normalising_twice_changes_nothing(text: str) -> None:
    """The text of what was read reads as the same and is written the same."""
    once = normalised(text.encode("utf-8", "surrogatepass"))
    if once is not None:
        assert normalised(once) == once


@given(st.binary(max_size=60) | ANY_TEXT)
def test_any_input_is_read_or_refused(data: bytes | str) -> None:
    """Nothing but our error comes out of reading, and what is read can be written."""
    try:
        value = canonical.decode(data)
    except MalformedData:
        return
    assert canonical.encode(value).encode()


def normalised(data: bytes) -> bytes | None:
    """What canonical JSON makes of a text; None where it refuses it."""
    try:
        return canonical.encode(canonical.decode(data)).encode()
    except MalformedData:
        return None


@pytest.mark.parametrize("case", SIGNING, ids=[case["name"] for case in SIGNING])
def test_signed_texts_of_the_original(case: dict[str, Any]) -> None:
    """Payloads and bodies of the original are written again as they were."""
    assert canonical.encode(case["payload"]) == case["payloadJson"]
    assert canonical.encode(canonical.decode(case["requestBody"])) == case["requestBody"]


@pytest.mark.parametrize("depth", [100, 101, 900, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_read_and_written_or_refused(
    depth: int, opening: str, closing: str
) -> None:
    """Beyond 100 levels reading refuses, so that writing never runs out of stack."""
    text = opening * depth + "1" + closing * depth
    assert normalised(text.encode()) == (text.encode() if depth <= 100 else None)


def test_what_is_not_finite_is_null() -> None:
    """As in JavaScript; so is an integer beyond all doubles."""
    for value in (float("inf"), float("-inf"), float("nan"), 10**400, -(10**400)):
        assert canonical.encode([value]) == "[null]"


def test_the_decimal_context_of_the_program_does_not_matter() -> None:
    """A program that computes with few digits still signs the right text."""
    with decimal.localcontext() as context:
        context.prec = 3
        assert canonical.number(1.23456789) == "1.23456789"


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), {1: 2}, {None: 1}])
def test_what_json_has_no_form_for_is_a_type_error(value: Any) -> None:
    """A mistake of the program is not turned into some text."""
    with pytest.raises(TypeError):
        canonical.encode(value)
