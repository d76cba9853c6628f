"""`smfs mount`, `smfs umount` and `smfs lock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from smfs.cli.commands import command
from smfs.cli.options import (
    allow_unsigned_option,
    connection_options,
    current_settings,
    deadline_option,
    flags_of,
    kernel_cache_option,
    staleness_options,
)
from smfs.errors import ConfigError

if TYPE_CHECKING:
    from smfs.config import Settings

_DIRECTORY = click.Path(path_type=Path)


@command(
    "mount",
    examples=(
        "smfs mount ~/secrets",
        "smfs mount --profile work --service https://secrets.example.org ~/work-secrets",
        "smfs mount --foreground ~/secrets",
        "smfs mount --no-cache --max-stale 1h ~/secrets",
    ),
)
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.option("-f", "--foreground", is_flag=True, help="Stay until it is unmounted.")
@click.option("--allow-other", is_flag=True, help="Let other users of this machine in, too.")
@click.option("--ready-fd", type=int, hidden=True)
@connection_options
@deadline_option
@allow_unsigned_option
@staleness_options
@kernel_cache_option
def mount_command(
    directory: Path, *, foreground: bool, allow_other: bool, ready_fd: int | None
) -> None:
    """Mount the secrets at a directory.

    DIR must be empty; it is made if it is missing. Returns once the mount can be used, and leaves
    it in the background; `smfs umount DIR` ends it. A profile that does not exist yet is made.
    What a crashed mount left at DIR is cleared away.
    """
    settings = current_settings()
    if ready_fd is not None:
        from smfs.cli.background import serve_for_parent

        serve_for_parent(settings, directory, allow_other=allow_other, ready_fd=ready_fd)
        return
    _make_missing_profile(settings)
    if foreground:
        from smfs.cli.foreground import serve_mount
        from smfs.cli.logs import log_to

        log_to(None)
        serve_mount(settings, directory, allow_other=allow_other, on_ready=None)
        return
    from smfs.cli.background import start_in_background

    start_in_background(
        settings,
        flags_of(click.get_current_context()),
        directory,
        allow_other=allow_other,
    )


def _make_missing_profile(settings: Settings) -> None:
    from smfs.cli.profiles import make_profile

    if settings.key_file.exists():
        return
    service = flags_of(click.get_current_context()).service
    try:
        identity = make_profile(settings, service=service)
    except ConfigError:
        if settings.key_file.exists():
            return  # another mount was quicker
        raise
    where = f", which uses {service} from now on" if service else ""
    click.echo(f"made the profile {settings.profile}{where}", err=True)
    click.echo(f"your node id is {identity.node_id}", err=True)


@command(
    "umount",
    examples=("smfs umount ~/secrets", "smfs umount --lazy ~/secrets"),
)
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.option("--lazy", is_flag=True, help="Although programs still use it.")
def umount_command(directory: Path, *, lazy: bool) -> None:
    """Unmount a directory.

    Waits until what was unsent is on the service, and the process of the mount has ended. When the
    service does not take it, the mount stays, so that nothing is lost. With --lazy the mount goes
    in any case, and its process with the last open file.
    """
    from smfs.cli.mounted import (
        clear_the_way,
        process_of,
        wait_for_end,
        wait_for_uploads,
    )
    from smfs.fuse.mountpoints import unmount

    process = None
    if not lazy:
        wait_for_uploads(directory)
        clear_the_way(directory)
        process = process_of(directory)
    unmount(directory, lazy=lazy)
    if process is not None and not wait_for_end(process):
        click.echo("smfs: unmounted; its process still serves files that are open", err=True)


@command("lock", examples=("smfs lock ~/secrets",))
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
def lock_command(directory: Path) -> None:
    """Have the kernel drop what it keeps of a mount.

    Contents and names that were read leave the memory of the kernel; the command returns when
    they have. The mount goes on, and whoever may use it can read them again.
    """
    from smfs.cli.mounted import lock

    lock(directory)
