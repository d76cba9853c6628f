"""WTF-8: the bytes of a text that may hold lone surrogates, as secret ids may."""

from __future__ import annotations

from smfs.errors import MalformedData


def join_pairs(text: str) -> str:
    """The text with every surrogate pair joined to the one character that it stands for."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def encode(text: str) -> bytes:
    """The WTF-8 of a text, surrogate pairs joined first, so that equal texts have equal bytes."""
    return join_pairs(text).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """The text of canonical WTF-8.

    Raises:
        MalformedData: for anything that `encode` would not have written, pairs included.
    """
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise MalformedData("not WTF-8") from None
    if encode(text) != data:
        raise MalformedData("WTF-8 with an unjoined surrogate pair")
    return text
