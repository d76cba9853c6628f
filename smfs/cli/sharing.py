"""`smfs share`, `unshare`, `accept` and `deny`: secrets between nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from smfs.cli.commands import command
from smfs.cli.names import complete_petname, node_of
from smfs.cli.options import as_node, as_secret_id, connection_options, current_settings
from smfs.cli.session import content_to_store, run_with_view

if TYPE_CHECKING:
    from smfs.client.view import View


@command(
    "share",
    examples=(
        "smfs get db-password | smfs share NODE db-password",
        "smfs share --once bob pin",
    ),
)
@click.argument("node", metavar="NODE", type=as_node, shell_complete=complete_petname)
@click.argument("secret_id", metavar="ID", type=as_secret_id)
@click.option("--once", is_flag=True, help="NODE can read it one time; then it is gone.")
@connection_options
def share_command(node: str, secret_id: str, *, once: bool) -> None:
    """Share a secret with a node.

    It is what comes on standard input, byte for byte; on a terminal it is asked for.
    NODE must have accepted you before. Sharing under an ID again replaces what was there.
    """
    settings = current_settings()
    content = content_to_store(settings)

    async def share(view: View) -> None:
        await view.share(await node_of(view, node), secret_id, content, one_time=once)

    run_with_view(settings, share)


@command(
    "unshare",
    examples=("smfs unshare NODE db-password",),
)
@click.argument("node", metavar="NODE", type=as_node, shell_complete=complete_petname)
@click.argument("secret_id", metavar="ID", type=as_secret_id)
@connection_options
def unshare_command(node: str, secret_id: str) -> None:
    """Take back what was shared.

    What NODE has read already, it may have kept.
    """

    async def unshare(view: View) -> None:
        await view.unshare(await node_of(view, node), secret_id)

    run_with_view(current_settings(), unshare)


@command(
    "accept",
    examples=(
        "smfs accept NODE",
        "smfs accept NODE --until +4days",
        "smfs accept NODE --until 2027-01-31T18:00",
    ),
)
@click.argument("node", metavar="NODE", type=as_node, shell_complete=complete_petname)
@click.option(
    "--until",
    metavar="TIME",
    help="An ISO 8601 date or date-time, or +4hours, +4days, +4months, +4years.",
)
@connection_options
def accept_command(node: str, until: str | None) -> None:
    """Let a node share with me.

    Without end, or until some time. When that time comes, what NODE shared is deleted. It cannot
    be changed afterwards, except by `smfs deny` and accepting anew.
    """
    from datetime import datetime

    from smfs.tree.expiry import parse_expiry

    closure_date = parse_expiry(until or "", now=datetime.now().astimezone())

    async def accept(view: View) -> None:
        await view.accept(await node_of(view, node), closure_date)

    run_with_view(current_settings(), accept)


@command(
    "deny",
    examples=("smfs deny NODE",),
)
@click.argument("node", metavar="NODE", type=as_node, shell_complete=complete_petname)
@connection_options
def deny_command(node: str) -> None:
    """Accept a node no longer.

    What it shared with you is deleted.
    """

    async def deny(view: View) -> None:
        await view.deny(await node_of(view, node))

    run_with_view(current_settings(), deny)
