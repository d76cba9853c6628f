"""What callers may give for keys, node ids, contents and options, and its one form."""

from __future__ import annotations

import math
import re
from typing import Final, Protocol, TypeAlias

from smfs.client.versions import RequireSignatures
from smfs.crypto import wtf8
from smfs.crypto.identity import Identity
from smfs.errors import InvalidInput, InvalidKey

Hex: TypeAlias = str | bytes | bytearray | memoryview
"""64 hex digits, with or without `0x` in front, or 32 bytes."""

_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_DEADLINE: Final = "a deadline is a positive number of seconds"
_CLOSURE_DATE: Final = "a closure date is a finite number of milliseconds since 1970, or None"


class HasNodeId(Protocol):
    """A client, an identity: whatever stands for a node."""

    @property
    def node_id(self) -> str:
        """64 lower-case hex digits."""


NodeRef: TypeAlias = Hex | HasNodeId
"""A node: its id, or something that has one."""


def hex_of(value: Hex, what: str) -> str:
    """The value as 64 lower-case hex digits.

    Args:
        value: what the caller gave.
        what: its name in the error; the value itself may be secret and is never shown.

    Raises:
        InvalidKey: when it is of another form.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        if len(bytes(value)) != 32:
            raise InvalidKey(f"{what} must have 32 bytes")
        return bytes(value).hex()
    if not isinstance(value, str):
        raise InvalidKey(f"{what} must be hex text or 32 bytes, not {type(value).__name__}")
    text = value.lower().removeprefix("0x")
    if not _HEX64.fullmatch(text):
        raise InvalidKey(f"{what} must have 64 hex digits")
    return text


def node_id_of(node: NodeRef) -> str:
    """The node id of whatever stands for a node; InvalidKey when nothing does."""
    if isinstance(node, str | bytes | bytearray | memoryview):
        return hex_of(node, "a node id")
    return hex_of(getattr(node, "node_id", ""), "a node id")


def identity_of(secret_key: Hex | None, public_key: Hex | None) -> Identity:
    """The key pair of a client: given, or new.

    Raises:
        InvalidKey: when a key is malformed, when the two do not belong together, or when there is
            only the public one.
    """
    if secret_key is None:
        if public_key is not None:
            raise InvalidKey("a public key is of no use without its secret key")
        return Identity.generate()
    found = Identity.from_secret_key_hex(hex_of(secret_key, "secret_key_hex"))
    if public_key is not None and hex_of(public_key, "public_key_hex") != found.node_id:
        raise InvalidKey("public_key_hex does not belong to secret_key_hex")
    return found


def secret_id_of(secret_id: str) -> str:
    """The secret id in the one form that it travels in; InvalidInput when it is no text."""
    return text_of(secret_id, "a secret id")


def text_of(text: str, what: str) -> str:
    """A text in the one form that it travels in.

    Args:
        text: what the caller gave.
        what: its name in the error.

    Raises:
        InvalidInput: when it is no text.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"{what} is text, not {type(text).__name__}")
    return wtf8.join_pairs(text)


def content_of(secret: str | bytes) -> bytes:
    """The bytes of a content; text is taken as UTF-8.

    Raises:
        InvalidInput: for a lone surrogate, which UTF-8 cannot hold, or for another type.
    """
    if isinstance(secret, bytes | bytearray | memoryview):
        return bytes(secret)
    if not isinstance(secret, str):
        raise InvalidInput(f"a secret is text or bytes, not {type(secret).__name__}")
    try:
        return secret.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput("the secret holds a lone surrogate, which is no text") from None


def is_text(content: bytes) -> bool:
    """Whether a content is UTF-8 text, which travels as it is."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def text_or_bytes(content: bytes) -> str | bytes:
    """A content as it is handed out: text as `str`, anything else as `bytes`."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def closure_date_of(closure_date: float | None) -> float | None:
    """A closure date: ms since 1970, or None for no end; InvalidInput for anything else.

    The texts of the original's documentation (`+4hours`) are refused by services, so they are
    refused here (PROTOCOL.md section 12).
    """
    if closure_date is None:
        return None
    # JSON has neither infinity nor nan, so these would arrive as null, which is "for ever".
    if not math.isfinite(_number_of(closure_date, _CLOSURE_DATE)):
        raise InvalidInput(_CLOSURE_DATE)
    return closure_date


def deadline_of(deadline: float) -> float:
    """A deadline: seconds, more than 0; InvalidInput for anything else."""
    if not _number_of(deadline, _DEADLINE) > 0:  # which nan is not either
        raise InvalidInput(_DEADLINE)
    return deadline


def flag_of(flag: object, what: str) -> bool:
    """A flag as it is; InvalidInput, which names it, for what is merely true or false."""
    if not isinstance(flag, bool):
        raise InvalidInput(f"{what} is True or False, not {type(flag).__name__}")
    return flag


def requirement_of(require_signatures: RequireSignatures) -> RequireSignatures:
    """Where unsigned content is refused; InvalidInput for anything but RequireSignatures."""
    if not isinstance(require_signatures, RequireSignatures):
        raise InvalidInput(
            "require_signatures is a RequireSignatures, as RequireSignatures(own=True)"
        )
    return require_signatures


def _number_of(value: float, requirement: str) -> float:
    """The number as a double; InvalidInput, which says the requirement, when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(requirement)
    try:
        return float(value)
    except OverflowError:
        raise InvalidInput(requirement) from None
