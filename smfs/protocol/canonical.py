"""JSON exactly as JavaScript's `JSON.parse` reads it and `JSON.stringify` writes it.

Signatures are made over this text (PROTOCOL.md sections 3 and 4), so every byte counts.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from smfs.crypto import wtf8
from smfs.errors import MalformedData

_quote: Final = json.encoder.encode_basestring
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ARRAY_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_ARRAY_INDEX: Final = 2**32 - 2
_EXACT_INTEGER: Final = 2**53
_DEEPEST: Final = 100  # the protocol needs 6; writing recurses, and must not run out of stack
_FEW_KEYS: Final = 16  # so many, and so long, have the shapes that recur, which are remembered
_SHORT_KEYS: Final = 256
_INDEX_KEY: Final = re.compile(r'"(?:[0-9]|\\u003[0-9]){1,10}"\s*:')
_EXACT_DIGITS: Final = 15  # so many digits always fit below 2**53


def encode(value: Any) -> str:
    """The text that `JSON.stringify(value)` gives.

    Args:
        value: None, bool, int, float, str, or lists and str-keyed dicts of these.

    Returns:
        Text without white space and without surrogates, so it always has a UTF-8 form.

    Raises:
        TypeError: for any other type.
    """
    # A page of the change feed has tens of thousands of values: the most frequent types come first.
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return _object_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(encode, value)) + "]"
    raise TypeError(f"JSON has no form for {type(value).__name__}")


def _object_text(value: dict[str, Any]) -> str:
    if len(value) <= _FEW_KEYS and sum(map(len, value)) <= _SHORT_KEYS:
        members = [text + encode(value[key]) for key, text in _key_texts(tuple(value))]
    else:
        members = [f"{_string(key)}:{encode(item)}" for key, item in _js_order(value.items())]
    return "{" + ",".join(members) + "}"


@functools.lru_cache(maxsize=256)
def _key_texts(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """The keys of an object, each with its text, in JavaScript's order."""
    return [(key, f"{_string(key)}:") for key, _ in _js_order((key, None) for key in keys)]


def decode(data: bytes | str) -> Any:
    """The value that `JSON.parse` reads, every number as the IEEE double that it is there.

    Bytes are taken as UTF-8, invalid sequences as U+FFFD, a leading byte order mark skipped
    (PROTOCOL.md section 2). Doubled keys: the last one wins.

    Raises:
        MalformedData: when it is no JSON, or nested too deeply to be a request.
    """
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        # Only where some key may have to move: asking about each costs most of the reading.
        decoder = _ORDERING if _INDEX_KEY.search(text) else _PLAIN
        value = decoder.decode(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise MalformedData(f"not JSON: {type(error).__name__}") from None
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(value):
        raise MalformedData("JSON nested too deeply")
    return value


def number(value: float) -> str:
    """A number as JavaScript prints it (ECMA-262, Number::toString); what is not finite: `null`."""
    if isinstance(value, int) and abs(value) <= _EXACT_INTEGER:
        return str(int(value))
    try:
        double = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(double):
        return "null"
    if double == 0:
        return "0"
    sign = "-" if double < 0 else ""
    return sign + _positive_number(repr(abs(double)))


def _positive_number(shortest: str) -> str:
    # Python and JavaScript find the same shortest digits; they only lay them out differently.
    mantissa, _, exponent = shortest.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1:+d}"


def _string(text: str) -> str:
    if text.isascii():
        return _quote(text)
    quoted = _quote(wtf8.join_pairs(text))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _is_too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _integer(digits: str) -> int | float:
    if len(digits) <= _EXACT_DIGITS:
        return int(digits)
    double = float(digits)
    return int(double) if abs(double) < _EXACT_INTEGER else double


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(_js_order(dict(pairs).items()))


def _js_order(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    """JavaScript puts the keys that are array indices first, in ascending order."""
    items = list(items)
    if not any(_is_index(key) for key, _ in items):
        return items
    indices = sorted((item for item in items if _is_index(item[0])), key=lambda i: int(i[0]))
    return indices + [item for item in items if not _is_index(item[0])]


def _is_index(key: str) -> bool:
    return _ARRAY_INDEX.fullmatch(key) is not None and int(key) <= _MAX_ARRAY_INDEX


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_PLAIN: Final = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse_constant)
_ORDERING: Final = json.JSONDecoder(
    parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_object
)
