"""`smfs get`, `smfs set` and `smfs rm`: secrets without a mount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from smfs.cli.commands import command
from smfs.cli.names import complete_petname, node_of
from smfs.cli.options import (
    allow_unsigned_option,
    as_node,
    as_secret_id,
    connection_options,
    current_settings,
)
from smfs.cli.output import check_output, write_content
from smfs.cli.session import content_to_store, run_with_view

if TYPE_CHECKING:
    from smfs.client.versions import Reading
    from smfs.client.view import View


@command(
    "get",
    examples=(
        "smfs get db-password",
        "smfs get --from NODE deploy-key > key",
    ),
)
@click.argument("secret_id", metavar="ID", type=as_secret_id)
@click.option(
    "--from",
    "sender",
    metavar="NODE",
    type=as_node,
    shell_complete=complete_petname,
    help="One that NODE shared.",
)
@connection_options
@allow_unsigned_option
def get_command(secret_id: str, sender: str | None) -> None:
    """Print a secret.

    Byte for byte as it was stored, with nothing added. A one-time secret is gone afterwards.
    """
    check_output()

    async def read(view: View) -> bytes:
        if sender is None:
            return (await view.read_own(secret_id)).content
        return (await _read_shared(view, await node_of(view, sender), secret_id)).content

    write_content(run_with_view(current_settings(), read))


async def _read_shared(view: View, sender: str, secret_id: str) -> Reading:
    from smfs.errors import NotAccepted, SecretNotFound

    await view.refresh(0)
    found = view.senders().get(sender)
    if found is None:
        raise NotAccepted(sender)
    version = found.secrets.get(secret_id)
    if version is None:
        raise SecretNotFound(secret_id)
    if version.one_time:
        return await view.consume(sender, secret_id)
    return await view.read_from(sender, secret_id)


@command(
    "set",
    examples=(
        "smfs set db-password",
        'printf %s "$TOKEN" | smfs set token',
        "smfs set tls/key < key.pem",
    ),
)
@click.argument("secret_id", metavar="ID", type=as_secret_id)
@connection_options
def set_command(secret_id: str) -> None:
    """Store a secret.

    It is what comes on standard input, byte for byte; on a terminal it is asked for.

    A secret is never an argument: others could read it there, and shells keep it. Note that
    `echo` adds a line end, which is stored with the rest.
    """
    settings = current_settings()
    content = content_to_store(settings)

    async def write(view: View) -> None:
        await view.write_own(secret_id, content)

    run_with_view(settings, write)


@command(
    "rm",
    examples=("smfs rm db-password",),
)
@click.argument("secret_ids", metavar="ID...", type=as_secret_id, nargs=-1, required=True)
@connection_options
def rm_command(secret_ids: tuple[str, ...]) -> None:
    """Delete own secrets."""

    async def remove(view: View) -> None:
        for secret_id in secret_ids:
            await view.delete_own(secret_id)

    run_with_view(current_settings(), remove)
