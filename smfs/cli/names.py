"""`smfs name` and `smfs names`: short names for nodes, and whom they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from smfs.cli.commands import command
from smfs.cli.options import as_node, as_petname, connection_options, current_settings, json_option
from smfs.cli.output import print_json
from smfs.cli.session import run_with_view

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from smfs.client.view import View

_COMPLETION_S: Final = 2.0


async def node_of(view: View, node: str) -> str:
    """The node id of what `as_node` let through; PetnameNotFound when it stands for nobody."""
    from smfs.crypto.identity import is_node_id
    from smfs.errors import PetnameNotFound

    if is_node_id(node):
        return node
    found = await view.petnames.node_of(node)
    if found is None:
        raise PetnameNotFound(node)
    return found


def complete_petname(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The petnames that begin so; none where they cannot be had soon."""
    import trio
    from click.shell_completion import CompletionItem

    from smfs.cli.hardening import harden_process
    from smfs.cli.options import flags_of
    from smfs.config import load_settings

    harden_process()

    async def list_them(view: View) -> list[str]:
        with trio.move_on_after(_COMPLETION_S):
            await view.petnames.refresh()
        return sorted(view.petnames.names())

    try:
        found = run_with_view(load_settings(flags_of(context)), list_them)
    except Exception:  # noqa: BLE001 - whatever it is, the line that is typed stays as it is
        return []
    return [CompletionItem(petname) for petname in found if petname.startswith(incomplete)]


@command(
    "name",
    examples=("smfs name bob NODE", "smfs name --delete bob"),
)
@click.argument("petname", metavar="PETNAME", type=as_petname, shell_complete=complete_petname)
@click.argument("node", metavar="[NODE]", type=as_node, required=False)
@click.option("--delete", "is_gone", is_flag=True, help="Take the name away.")
@connection_options
def name_command(petname: str, node: str | None, *, is_gone: bool) -> None:
    """Give a node a short name.

    It can stand wherever NODE can, and all machines of this identity know it. Nobody else does,
    but the service sees the name, though not whose it is.
    """
    if is_gone is (node is not None):
        raise click.UsageError("give a NODE or --delete, one of them")

    async def change(view: View) -> None:
        if node is None:
            await view.petnames.drop(petname)
        else:
            await view.petnames.set(petname, await node_of(view, node))

    run_with_view(current_settings(), change)


@command("names", examples=("smfs names", "smfs names --json"))
@json_option
@connection_options
def names_command(*, as_json: bool) -> None:
    """List the short names of nodes.

    One on each line: the name, and the node id that it stands for.
    """

    async def collect(view: View) -> list[dict[str, str]]:
        await view.petnames.refresh(0)
        found = sorted(view.petnames.names().items())
        return [{"petname": petname, "node": node_id} for petname, node_id in found]

    rows = run_with_view(current_settings(), collect)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['petname']} {row['node']}")
