"""How much fits into a request, and what the original cannot take (PROTOCOL.md 9.4, 16)."""

from __future__ import annotations

from typing import Final

ORIGINAL_BODY_BYTES: Final = 102_400
"""The largest body that the original reads."""

ORIGINAL_CONTENT_BYTES: Final = 49_000
"""The most bytes of text that always fit through the original's setSecret and shareSecretTo."""

ORIGINAL_BINARY_BYTES: Final = 36_000
"""The same for content that is no text, which travels as base64."""

DEFAULT_CONTENT_BYTES: Final = 1024 * 1024
"""What our service takes by default."""

LARGEST_CONTENT_BYTES: Final = 256 * 1024 * 1024
"""The most that our service can be told to take."""

LONGEST_ID_BYTES: Final = 8192
"""The longest secret id that our service takes, as WTF-8: twice the longest path of Linux.

What is deleted is remembered for a while, its id included, and does not count for any quota.
"""

_BODY_OVERHEAD_BYTES: Final = 64 * 1024  # ids, keys, salt, envelope fields: generously


def body_limit(content_bytes: int) -> int:
    """The body that `content_bytes` of any content, with any id, needs at the most, in bytes.

    Content that is no text grows by 4/3 (base64), and every byte of a ciphertext is two hex digits.
    """
    return content_bytes * 8 // 3 + _BODY_OVERHEAD_BYTES


UNSAFE_IDS: Final = frozenset(
    {
        "constructor",
        "__proto__",
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    }
)
"""The names of JavaScript's `Object.prototype`, which break the original as secret ids."""
