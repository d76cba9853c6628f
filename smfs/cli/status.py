"""`smfs status`: of a mount, or of the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smfs.cli.commands import command
from smfs.cli.exits import exit_code_of
from smfs.cli.options import connection_options, current_settings, json_option
from smfs.cli.output import plain, print_json
from smfs.cli.session import run_with_view
from smfs.errors import SmfsError

if TYPE_CHECKING:
    from smfs.client.view import View


@command("status", examples=("smfs status", "smfs status ~/secrets", "smfs status --json"))
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@json_option
@connection_options
def status_command(directory: Path | None, *, as_json: bool) -> None:
    """Show how a mount or the service does.

    With DIR, that of the mount at DIR; without, whether the service can be used.
    """
    if directory is not None:
        from smfs.cli.mounted import read_status

        _show(read_status(directory), as_json=as_json)
        return
    settings = current_settings()

    async def ask(view: View) -> tuple[dict[str, Any], SmfsError | None]:
        failure = None
        try:
            await view.refresh(0)
        except SmfsError as error:
            failure = error
        state = {"profile": settings.profile, "nodeId": view.node_id, **view.state()}
        return state, failure

    state, failure = run_with_view(settings, ask)
    _show(state, as_json=as_json)
    if failure is not None:
        click.get_current_context().exit(exit_code_of(failure))


def _show(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    for name, value in _flat(state):
        click.echo(f"{name}: {plain(value)}")


def _flat(state: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in state.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            found += [(f"{prefix}{name}", json.dumps(each)) for each in value]
        else:
            found.append((f"{prefix}{name}", "-" if value is None else str(value)))
    return found
