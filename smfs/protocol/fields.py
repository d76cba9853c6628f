"""The types of a request's fields, and the words in which the original refuses them.

PROTOCOL.md section 1 has the table of types, section 2 the order of the checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

_HEX: Final = re.compile(r"[0-9a-fA-F]*")

Check = Callable[[Any], str | None]
"""Takes a field's value; returns why it is refused, or None."""


def is_string(value: Any) -> str | None:
    """Any JSON string."""
    return None if isinstance(value, str) else "Not a string!"


def is_number(value: Any) -> str | None:
    """Any JSON number; in Python a bool is an int, in JSON it is not."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_one else "Not a number!"


def is_boolean(value: Any) -> str | None:
    """`true` or `false`."""
    return None if isinstance(value, bool) else "Not a boolean!"


def is_number_or_null(value: Any) -> str | None:
    """A number, or null for "no end"."""
    if value is None or is_number(value) is None:
        return None
    return "Neither a number nor null!"


def is_hex(length: int) -> Check:
    """A check for text of exactly `length` hex digits; the digits are looked at first."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "Not a string!"
        if not _HEX.fullmatch(value):
            return "Not a HexString!"
        if len(value) != length:
            return f"HexString length was not {length} characters!"
        return None

    return check


Text = Annotated[str, is_string]
Number = Annotated[float, is_number]
Boolean = Annotated[bool, is_boolean]
NumberOrNull = Annotated[float | None, is_number_or_null]
Hex32 = Annotated[str, is_hex(32)]
Hex64 = Annotated[str, is_hex(64)]
Hex128 = Annotated[str, is_hex(128)]
