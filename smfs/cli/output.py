"""What commands print."""

from __future__ import annotations

import json
import sys
from typing import Any

import click


def print_json(value: Any) -> None:
    """One JSON value, in ASCII: a lone surrogate in a secret id stays what it is."""
    click.echo(json.dumps(value, indent=2))


def shown_id(secret_id: str) -> str:
    """A secret id for a person: as it is, or as a JSON string if it could upset a terminal."""
    is_plain = secret_id.isprintable() and secret_id and not secret_id.startswith('"')
    return secret_id if is_plain else json.dumps(secret_id)


def write_content(content: bytes) -> None:
    """The bytes of a secret, verbatim, to standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def read_content() -> bytes:
    """The bytes of a secret: all of standard input, or typed twice where that is a terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read()
    typed: str = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
    return typed.encode("utf-8", "surrogateescape")
