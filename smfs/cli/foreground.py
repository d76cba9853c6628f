"""Serving a mount in this process, until it is unmounted."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smfs.config import Settings


def serve_mount(
    settings: Settings,
    directory: Path,
    *,
    allow_other: bool,
    on_ready: Callable[[], None] | None,
) -> None:
    """Mounts at a directory and serves the mount until it is unmounted or a signal ends it.

    Args:
        settings: whose identity, at which service.
        directory: where.
        allow_other: let every user of the machine in.
        on_ready: called once the mount answers.

    Raises:
        SmfsError: when the profile, the service or the directory cannot be used.
    """
    import trio

    from smfs.cli.session import open_view
    from smfs.crypto.keyfile import load_key
    from smfs.fuse.mounting import claimed_mountpoint, run_mount
    from smfs.tree.tree import Tree

    identity = load_key(settings.key_file)

    async def serve() -> None:
        async with open_view(settings, identity, for_mount=True) as view, Tree(view) as tree:
            await run_mount(
                mountpoint,
                tree,
                allow_other=allow_other,
                kernel_cache=settings.kernel_cache,
                on_mounted=claim.close,
                on_ready=on_ready,
            )

    with ExitStack() as claim:
        mountpoint = claim.enter_context(claimed_mountpoint(directory))
        # A process that stays would keep the directory it was started in from being unmounted.
        os.chdir("/")
        trio.run(serve)
