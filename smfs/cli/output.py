"""What commands print."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, Final, NoReturn

import click

from smfs.errors import InvalidInput, TooLarge

_CLOSED: Final = "standard output is closed"


def plain(text: str) -> str:
    """A text in which nothing can upset a terminal: a service may have had a say in it."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def print_json(value: Any) -> None:
    """One JSON value, in ASCII: a lone surrogate in a secret id stays what it is."""
    click.echo(json.dumps(value, indent=2))


def shown_id(secret_id: str) -> str:
    """A secret id for a person: as it is, or as a JSON string if it could upset a terminal."""
    is_plain = secret_id.isprintable() and secret_id and not secret_id.startswith('"')
    return secret_id if is_plain else json.dumps(secret_id)


class ClosedOutput(io.RawIOBase):
    """What stands in for a standard output that is closed: nobody prints to it unnoticed."""

    def writable(self) -> bool:
        """As the text stream before it asks."""
        return True

    def write(self, _data: object) -> NoReturn:
        """Refuses whatever is written, by InvalidInput."""
        raise InvalidInput(_CLOSED)


def has_output() -> bool:
    """Whether there is a standard output."""
    return not isinstance(getattr(sys.stdout, "buffer", None), ClosedOutput)


def check_output() -> None:
    """Refuses to begin what could not tell of its end: a one-time secret would be lost.

    Raises:
        InvalidInput: when standard output is closed.
    """
    if not has_output():
        raise InvalidInput(_CLOSED)


def write_content(content: bytes) -> None:
    """The bytes of a secret, verbatim, to standard output."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def read_content(limit: int) -> bytes:
    """The bytes of a secret: all of standard input, or typed twice where that is a terminal.

    Raises:
        TooLarge: when there are more than `limit`; the rest stays unread.
    """
    if sys.stdin is None:
        raise InvalidInput("standard input is closed")
    if not sys.stdin.isatty():
        content = sys.stdin.buffer.read(limit + 1)
        if len(content) > limit:
            raise TooLarge(f"standard input holds more than the {limit} bytes that a secret can")
        return content
    typed: str = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
    return typed.encode("utf-8", "surrogateescape")
