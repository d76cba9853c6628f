"""A mount from its beginning to its end."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyfuse3
import trio

from smfs.errors import MountError
from smfs.fuse.echoing import EchoCalls
from smfs.fuse.invalidation import Invalidator
from smfs.fuse.mountinfo import mount_at
from smfs.fuse.mountpoints import KIND, claimed_mountpoint, unmount
from smfs.fuse.operations import MountOperations

if TYPE_CHECKING:
    from smfs.tree.tree import Tree

__all__ = ["claimed_mountpoint", "run_mount", "unmount"]

_log: Final = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_OPTIONS: Final = frozenset({"fsname=smfs", "subtype=smfs", "nosuid", "nodev", "noexec"})
_FUSE_CONFIGURATION: Final = Path("/etc/fuse.conf")

# Each upcall that waits for the service holds one task; the root must be answered beside them all.
_MOST_UPCALLS: Final = 256

_THREAD_ENDS_S: Final = 15.0  # longer than any upcall waits
_DROPPED_S: Final = 1.0

GRACE: Final = 5.0
"""How long, in seconds, programs may finish with their open files after a signal."""


async def run_mount(
    mountpoint: Path,
    tree: Tree,
    *,
    allow_other: bool = False,
    kernel_cache: bool = True,
    on_mounted: Callable[[], None] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Mounts a tree and serves it until it is unmounted, or SIGTERM, SIGINT or SIGHUP comes.

    After a signal the mount leaves the namespace at once; the files that are open are served for
    `GRACE` seconds more, so that their closing is answered; a second signal cuts that short.

    Args:
        mountpoint: what `claimed_mountpoint` yielded.
        tree: entered already, and left by the caller afterwards, which uploads what is unsent.
        allow_other: let every user in.
        kernel_cache: let the kernel keep pages, names and attributes.
        on_mounted: called once when the kernel lists the mount, which does not answer yet.
        on_ready: called once when the mount answers.

    Raises:
        MountError: when the kernel refuses to mount.
    """
    operations = MountOperations(
        tree,
        user=os.geteuid(),
        group=os.getegid(),
        allow_other=allow_other,
        kernel_cache=kernel_cache,
    )
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        _mount(operations, mountpoint, allow_other=allow_other)
        if on_mounted is not None:
            on_mounted()
        await _serve(operations, tree, mountpoint, signals, on_ready)


async def _serve(
    operations: MountOperations,
    tree: Tree,
    mountpoint: Path,
    signals: AsyncIterator[int],
    on_ready: Callable[[], None] | None,
) -> None:
    """Answers the kernel until the mount, which is there, has gone."""
    device = _device(mountpoint)
    try:
        async with (
            _invalidator(operations, tree, mountpoint, device) as invalidator,
            trio.open_nursery() as nursery,
        ):
            ending = _Ending(mountpoint, device, invalidator)
            nursery.start_soon(ending.at_signal, signals)
            nursery.start_soon(_tell_ready, mountpoint, device, on_ready)
            await pyfuse3.main(max_tasks=_MOST_UPCALLS)
            nursery.cancel_scope.cancel()
    finally:
        pyfuse3.close(unmount=_is_mounted(mountpoint, device))


@asynccontextmanager
async def _invalidator(
    operations: MountOperations, tree: Tree, mountpoint: Path, device: int | None
) -> AsyncIterator[Invalidator]:
    """What has the kernel told of changes; its thread has ended, or hangs, afterwards."""
    calls = EchoCalls(operations.echoes, mountpoint, device)
    made = Invalidator(tree, operations.echoes, calls, lambda: operations.has_kept)
    operations.invalidator = made
    made.start()
    try:
        yield made
    finally:
        made.close()
        with trio.move_on_after(_THREAD_ENDS_S, shield=True):
            await made.ended()


def _mount(operations: MountOperations, mountpoint: Path, *, allow_other: bool) -> None:
    options = set(_OPTIONS)
    if allow_other:
        _check_allow_other()
        options.add("allow_other")
    try:
        pyfuse3.init(operations, str(mountpoint), options)
    except RuntimeError:
        # libfuse has said why on standard error, and offers it nowhere else.
        raise MountError(f"the kernel refused to mount on {mountpoint}") from None


def _check_allow_other() -> None:
    if os.geteuid() == 0:
        return
    try:
        lines = _FUSE_CONFIGURATION.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    if not any(line.strip() == "user_allow_other" for line in lines):
        raise MountError(
            f"other users cannot be let in: add a line `user_allow_other` to {_FUSE_CONFIGURATION}"
        )


def _device(mountpoint: Path) -> int | None:
    mounted = mount_at(mountpoint)
    return mounted.device if mounted is not None and mounted.kind == KIND else None


def _is_mounted(mountpoint: Path, device: int | None) -> bool:
    """Whether our mount is still the one at its place: another one there is not ours to unmount."""
    return device is not None and _device(mountpoint) == device


async def _tell_ready(
    mountpoint: Path, device: int | None, on_ready: Callable[[], None] | None
) -> None:
    try:
        # The kernel keeps this waiting until the first upcalls were answered.
        found = await trio.to_thread.run_sync(os.stat, mountpoint, abandon_on_cancel=True)
    except OSError as error:
        _log.warning("the mount ended before it answered: %s", type(error).__name__)
        return
    if on_ready is not None and found.st_dev == device:
        on_ready()


class _Ending:
    """How a mount ends after a signal.

    Args:
        mountpoint: where it is.
        device: its device number.
        invalidator: what has the kernel drop what it keeps.
    """

    def __init__(self, mountpoint: Path, device: int | None, invalidator: Invalidator) -> None:
        self._mountpoint = mountpoint
        self._device = device
        self._invalidator = invalidator

    async def at_signal(self, signals: AsyncIterator[int]) -> None:
        """Waits for a signal and ends the mount."""
        await anext(signals)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._detach)
            with trio.move_on_after(GRACE):
                await anext(signals)
            nursery.cancel_scope.cancel()
        # Its thread may wait in the kernel for a program that waits for us: as long as it does,
        # the mount must answer, else neither comes free.
        self._invalidator.close()
        with trio.move_on_after(_THREAD_ENDS_S):
            await self._invalidator.ended()
        pyfuse3.terminate()

    async def _detach(self) -> None:
        """Takes the mount out of the namespace; the loop ends with the last open file."""

        def detach() -> None:
            if _is_mounted(self._mountpoint, self._device):
                unmount(self._mountpoint, lazy=True)

        with trio.move_on_after(_DROPPED_S):
            await self._invalidator.lock()
        self._invalidator.close()
        try:
            await trio.to_thread.run_sync(detach, abandon_on_cancel=True)
        except MountError as error:
            _log.warning("%s", error)
