"""`smfs service …`: what an operator does to the database of a service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from smfs.cli.commands import command
from smfs.cli.databases import (
    SHOWN_TO_ALL,
    NamedDatabase,
    as_named,
    current_place,
    database_options,
    existing_place,
    shown_database,
)
from smfs.cli.exits import FAILED
from smfs.cli.options import json_option
from smfs.cli.output import check_output, plain, print_json
from smfs.cli.progress import progress_bar
from smfs.cli.service_authcode import authcode_command

if TYPE_CHECKING:
    from pathlib import Path

    from smfs.service.admin.copying import Copied
    from smfs.service.admin.stats import Stats

_FILE: Final = click.Path(dir_okay=False)


def _now() -> int:
    return int(time.time() * 1000)


@command(
    "migrate",
    examples=(
        "smfs service migrate --db /var/lib/smfs/service.db",
        "SMFS_DB=postgresql://smfs@db/smfs smfs service migrate --dry-run",
    ),
)
@database_options
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
def migrate_command(*, dry_run: bool, as_json: bool) -> None:
    """Make the tables of a database, or bring them up to date.

    All of it or nothing; a database that is up to date stays as it is. Programs of an earlier
    version refuse it afterwards. A file is also brought up to date when a service opens it, a
    database of PostgreSQL only by this.
    """
    from smfs.service.admin.migrating import migrate

    check_output()
    place = current_place()
    done = migrate(place, is_trial=dry_run)
    if as_json:
        print_json({"before": done.before, "after": done.after, "dryRun": dry_run})
        return
    name = shown_database(place)
    if done.before == done.after:
        click.echo(f"{name} is of version {done.after}, which is the latest")
        return
    before = "no tables" if done.before is None else f"version {done.before}"
    verb = "would go" if dry_run else "went"
    click.echo(f"{name} {verb} from {before} to version {done.after}")


@command(
    "copy",
    examples=(
        "smfs service copy /var/lib/smfs/service.db postgresql://smfs@db/smfs",
        "smfs service copy postgresql://smfs@db/smfs ./service.db",
    ),
)
@click.argument("source", metavar="SOURCE", type=as_named)
@click.argument("target", metavar="TARGET", type=as_named)
@json_option
def copy_command(source: NamedDatabase, target: NamedDatabase, *, as_json: bool) -> None:
    """Copy a database into an empty one, of SQLite or PostgreSQL.

    SOURCE and TARGET are files or URLs (postgresql://…). TARGET is made where there is nothing,
    and refused where there is something. It gets all of SOURCE as it is at one moment, the
    service's key included, or nothing.

    SOURCE may be in use. What is written to it afterwards is not in TARGET: to move, stop the
    service, copy, and start it with TARGET.
    """
    from smfs.service.admin.copying import copy
    from smfs.service.admin.interrupts import interruptible

    check_output()
    if source.shows_password or target.shows_password:
        click.echo(f"smfs: {SHOWN_TO_ALL}, or PGPASSFILE", err=True)
    with interruptible() as interrupts:
        with progress_bar("copying") as bar:
            copied = copy(source.where, target.where, bar, _now(), interrupts)
        _tell(copied, source.where, target.where, as_json=as_json)


@command(
    "backup",
    examples=(
        "smfs service backup --db /var/lib/smfs/service.db /backup/smfs.db",
        "SMFS_DB=postgresql://smfs@db/smfs smfs service backup --force /backup/smfs.db",
    ),
)
@click.argument("file", metavar="FILE", type=_FILE)
@database_options
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def backup_command(file: str, *, force: bool, as_json: bool) -> None:
    """Copy a database into a new file, while the service runs.

    FILE is a database of SQLite, mode 0600, whatever the service uses. It appears once it is
    complete and on disk. The service's key is in it: whoever can read it can be the service.
    """
    from pathlib import Path

    from smfs.service.admin.backups import backup
    from smfs.service.admin.interrupts import interruptible

    check_output()
    source, target = existing_place(), Path(file)
    with interruptible() as interrupts:
        with progress_bar("backup") as bar:
            copied = backup(source, target, bar, _now(), interrupts, may_replace=force)
        _tell(copied, source, target, as_json=as_json)


@command(
    "restore",
    examples=("smfs service restore --db postgresql://smfs@db/smfs /backup/smfs.db",),
)
@click.argument("file", metavar="FILE", type=_FILE)
@database_options
@json_option
def restore_command(file: str, *, as_json: bool) -> None:
    """Copy a backup into an empty database.

    Everything is as it was when the backup was made: one-time secrets and auth codes that were
    used since then can be used once more. What is in the database already is never overwritten.
    """
    from pathlib import Path

    from smfs.service.admin.copying import copy
    from smfs.service.admin.interrupts import interruptible

    check_output()
    source, target = Path(file), current_place()
    with interruptible() as interrupts:
        with progress_bar("restoring") as bar:
            copied = copy(source, target, bar, _now(), interrupts)
        _tell(copied, source, target, as_json=as_json)


def _tell(copied: Copied, source: Path | str, target: Path | str, *, as_json: bool) -> None:
    """What came of it, and of which databases: nobody need have named the embedded one."""
    figures = {"spaces": copied.spaces, "rows": copied.rows, "bytes": copied.content_bytes}
    names = {"source": shown_database(source), "target": shown_database(target)}
    if as_json:
        print_json(figures | names)
        return
    counted = ", ".join(f"{count} {what}" for what, count in figures.items())
    click.echo(plain(f"{counted} from {names['source']} to {names['target']}"))


@command(
    "check",
    examples=("smfs service check --db /var/lib/smfs/service.db",),
)
@database_options
@json_option
def check_command(*, as_json: bool) -> int:
    """Check every row of a database, while the service runs.

    Prints whatever is wrong, one thing on each line: the table, the row's key, shortened, and
    what does not hold of it. Exits with 1 if there is anything. It changes nothing.
    """
    from smfs.service.admin.checking import check

    found: list[dict[str, str]] = []
    count = 0
    with progress_bar("checking") as bar:
        for violation in check(existing_place(), bar):
            count += 1
            if as_json:
                found.append(vars(violation))
                continue
            bar.clear()
            click.echo(plain(str(violation)))
    if as_json:
        print_json(found)
    return FAILED if count else 0


@command(
    "stats",
    examples=(
        "smfs service stats --db /var/lib/smfs/service.db",
        "smfs service stats --nodes --json",
    ),
)
@database_options
@click.option("--nodes", is_flag=True, help="Name the nodes that have the biggest spaces.")
@json_option
def stats_command(*, nodes: bool, as_json: bool) -> None:
    """Show how much there is in a database, while the service runs.

    It reads a row for each space, and counts the rows of all else in an index; only the number
    of shares takes longer with the number of secrets.
    """
    from smfs.service.admin.stats import stats

    found = stats(existing_place(), _now())
    figures = _figures(found)
    biggest = [
        {
            **({"node": space.node_id} if nodes else {}),
            "secrets": space.secrets,
            "bytes": space.content_bytes,
        }
        for space in found.biggest
    ]
    if as_json:
        print_json({**figures, "biggest": biggest})
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        click.echo(f"{name:<{width}}  {'-' if value is None else value}")
    for number, space in enumerate(biggest, 1):
        click.echo(f"{f'biggest {number}':<{width}}  {_space_line(space)}")


def _figures(found: Stats) -> dict[str, Any]:
    return {
        "schema": found.version,
        "diskBytes": found.disk_bytes,
        "spaces": found.spaces,
        "secrets": found.secrets,
        "bytes": found.content_bytes,
        "subSpaces": found.sub_spaces,
        "shares": found.shares,
        "hooks": found.hooks,
        "deliveries": found.deliveries,
        "oldestDeliverySeconds": found.oldest_delivery_s,
        "authCodes": found.auth_codes,
        "usedSignatures": found.used_signatures,
    }


def _space_line(space: dict[str, Any]) -> str:
    node = f"{space['node']}  " if "node" in space else ""
    return f"{node}{space['secrets']} secrets, {space['bytes']} bytes"


service_command: Final = click.Group(
    "service",
    help=(
        "Look after the database of a service.\n\n"
        "It is the one of the embedded service, unless --db, --db-file, SMFS_DB or SMFS_DB_FILE"
        " names another."
    ),
    commands=[
        migrate_command,
        copy_command,
        backup_command,
        restore_command,
        check_command,
        authcode_command,
        stats_command,
    ],
)
