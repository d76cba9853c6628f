"""`smfs service authcode`: codes by which an operator lets somebody in, once each."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from smfs.cli.commands import command
from smfs.cli.databases import database_options, existing_place
from smfs.cli.options import json_option
from smfs.cli.output import check_output, plain, print_json

if TYPE_CHECKING:
    from smfs.service.admin.auth_codes import Code

ACTIONS: Final = ("openSecretSpace", "getNodeId")
"""What a code can be for."""

_MOST: Final = 10_000
_SHORT: Final = 12  # digits of a digest, of which 4 are enough to name it where no other has them


@command(
    "create",
    examples=(
        "smfs service authcode create --note 'for Alice'",
        "smfs service authcode create --count 50 > codes",
    ),
)
@database_options
@click.option(
    "--action",
    type=click.Choice(ACTIONS),
    default=ACTIONS[0],
    show_default=True,
    help="What a code lets its holder do.",
)
@click.option(
    "--count",
    metavar="N",
    type=click.IntRange(1, _MOST),
    default=1,
    show_default=True,
    help="How many codes.",
)
@click.option("--note", metavar="TEXT", default="", help="What `authcode list` shows beside them.")
@json_option
def create_command(*, action: str, count: int, note: str, as_json: bool) -> None:
    """Make auth codes, each of which works once.

    Prints one on each line, 64 hex digits, and only this time: what is stored does not tell them.
    A space that is opened with one has no owner.
    """
    from smfs.service.admin.auth_codes import create

    check_output()
    codes = create(existing_place(), action, count, note, int(time.time() * 1000))
    if as_json:
        print_json(codes)
        return
    for code in codes:
        click.echo(code)


@command(
    "list",
    examples=("smfs service authcode list",),
)
@database_options
@json_option
def list_command(*, as_json: bool) -> None:
    """List the auth codes that were not used yet.

    Each by what its SHA-256 begins with, what it is for, who has made it and when, and the note.
    The codes themselves are nowhere.
    """
    from smfs.service.admin.auth_codes import listed

    if as_json:
        print_json([_object(code) for code in listed(existing_place())])
        return
    for code in listed(existing_place()):
        by = code.creator or "operator"
        line = f"{code.digest[:_SHORT]}  {_date(code.made)}  {code.action}  {by}  {code.note}"
        click.echo(plain(line.rstrip()))


def _object(code: Code) -> dict[str, Any]:
    return {
        "digest": code.digest,
        "action": code.action,
        "creator": code.creator or None,
        "made": _date(code.made) if code.made else None,
        "note": code.note,
    }


def _date(made: int) -> str:
    if not made:
        return "-"
    return datetime.fromtimestamp(made / 1000, UTC).isoformat(timespec="seconds")


@command(
    "revoke",
    examples=(
        "smfs service authcode revoke 3f9a01c2",
        "smfs service authcode revoke --all",
    ),
)
@click.argument("digests", metavar="DIGEST...", nargs=-1)
@database_options
@click.option("--all", "is_all", is_flag=True, help="All there are, those of nodes too.")
def revoke_command(digests: tuple[str, ...], *, is_all: bool) -> None:
    """Take auth codes back.

    DIGEST is what the line of `authcode list` begins with, or at least four digits of that. If one
    of them names no code, or more than one, none is taken back.
    """
    from smfs.service.admin.auth_codes import revoke, revoke_all

    if bool(digests) == is_all:
        raise click.UsageError("name either digests or --all")
    check_output()
    place = existing_place()
    count = revoke_all(place) if is_all else revoke(place, digests)
    click.echo(f"{count} taken back")


authcode_command: Final = click.Group(
    "authcode",
    help="Let somebody in by codes that work once each.",
    commands=[create_command, list_command, revoke_command],
)
