"""`smfs ls`: what there is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from smfs.cli.commands import command
from smfs.cli.names import complete_petname, node_of
from smfs.cli.options import (
    allow_unsigned_option,
    as_node,
    connection_options,
    current_settings,
    json_option,
)
from smfs.cli.output import print_json, shown_id
from smfs.cli.session import run_with_view
from smfs.errors import NotAccepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smfs.client.versions import Version
    from smfs.client.view import View


@command(
    "ls",
    examples=(
        "smfs ls",
        "smfs ls -l --from NODE",
        "smfs ls --senders",
        "smfs ls --shared --json",
    ),
)
@click.option(
    "--from",
    "sender",
    metavar="NODE",
    type=as_node,
    shell_complete=complete_petname,
    help="What NODE shared with me.",
)
@click.option("--shared", is_flag=True, help="What I shared, and with whom.")
@click.option("--senders", is_flag=True, help="The nodes that I accept, and until when.")
@click.option("-l", "--long", "is_long", is_flag=True, help="With size, date and problems.")
@json_option
@connection_options
@allow_unsigned_option
def ls_command(
    *, sender: str | None, shared: bool, senders: bool, is_long: bool, as_json: bool
) -> None:
    """List secrets by their ids.

    One on each line; without options, the own ones. An id that could upset a terminal is shown
    as a JSON string.
    """
    if (sender is not None) + shared + senders > 1:
        raise click.UsageError("--from, --shared and --senders exclude each other")

    async def collect(view: View) -> list[dict[str, Any]]:
        await view.refresh(0)
        if senders or shared:
            await view.petnames.refresh()
            return _senders(view) if senders else _shared(view)
        if sender is not None:
            return _secrets(_from(view, await node_of(view, sender)))
        return _secrets(view.own())

    rows = run_with_view(current_settings(), collect)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(_sender_line(row) if senders else _secret_line(row, is_long=is_long))


def _from(view: View, sender: str) -> Mapping[str, Version]:
    found = view.senders().get(sender)
    if found is None:
        raise NotAccepted(sender)
    return found.secrets


def _senders(view: View) -> list[dict[str, Any]]:
    from smfs.tree.expiry import format_expiry

    return [
        {
            **_node(view, node_id),
            "until": format_expiry(sender.closure_date) or None,
            "secrets": len(sender.secrets),
        }
        for node_id, sender in sorted(view.senders().items())
    ]


def _shared(view: View) -> list[dict[str, Any]]:
    return [
        {**_node(view, node_id), **row}
        for node_id, versions in sorted(view.sent().items())
        for row in _secrets(versions)
    ]


def _node(view: View, node_id: str) -> dict[str, Any]:
    names = view.petnames.names()
    return {"node": node_id, "petnames": sorted(key for key in names if names[key] == node_id)}


def _secrets(versions: Mapping[str, Version]) -> list[dict[str, Any]]:
    return [
        {
            "id": secret_id,
            "size": version.size,
            "changed": _date(version.changed_at),
            "signedBy": version.sender,
            "oneTime": version.one_time,
            "problem": type(version.problem).__name__ if version.problem else None,
        }
        for secret_id, version in sorted(versions.items())
    ]


def _date(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "-"


def _secret_line(row: dict[str, Any], *, is_long: bool) -> str:
    node = f"{_shown_node(row)} " if "node" in row else ""
    name = f"{node}{shown_id(row['id'])}"
    if not is_long:
        return name
    size = "-" if row["size"] is None else row["size"]
    notes = [row["problem"] or "", "one-time" if row["oneTime"] else ""]
    remark = ", ".join(note for note in notes if note)
    return f"{size:>8}  {row['changed']}  {name}" + (f"  ({remark})" if remark else "")


def _sender_line(row: dict[str, Any]) -> str:
    return f"{_shown_node(row)}  {'until ' + row['until'] if row['until'] else 'without end'}"


def _shown_node(row: dict[str, Any]) -> str:
    petnames = ", ".join(row["petnames"])
    return f"{row['node']} ({petnames})" if petnames else str(row["node"])
