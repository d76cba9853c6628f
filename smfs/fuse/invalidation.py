"""What the kernel keeps is dropped where it changed elsewhere, and file watchers hear of it.

All of it runs on one thread of its own, for which no upcall waits: called on the thread of the
event loop while a read of the same file waits, the kernel's functions hang the mount for good.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import pyfuse3
import trio

from smfs.fuse.apart import ThreadApart
from smfs.fuse.echoes import EchoAnswers
from smfs.fuse.echoing import EchoCalls
from smfs.fuse.pending import MOST, Pending
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import ROOT_INODE
from smfs.tree.tree import Tree

_log: Final = logging.getLogger(__name__)

_BATCH: Final = 128
"""So many names at a time, for an unmount finds the mount in use while they are echoed."""

# Somebody was quicker, the name has changed again, or the mount is gone.
_HARMLESS: Final = frozenset(
    {
        errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.ECANCELED, errno.EBUSY,
        errno.ENOTCONN, errno.ECONNABORTED, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY,
    }
)  # fmt: skip
# ENOSYS is what libfuse says before the kernel has asked for anything at all.
_UNKNOWN: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENOTCONN, errno.EINVAL, errno.ENOSYS}
)


class Invalidator:
    """The thread that tells the kernel what happened elsewhere.

    Args:
        tree: what the mount shows.
        answers: what answers the upcalls of the thread.
        calls: the system calls for file watchers.
        keeps_entries: whether the kernel was ever allowed to keep names or attributes.
    """

    def __init__(
        self,
        tree: Tree,
        answers: EchoAnswers,
        calls: EchoCalls,
        keeps_entries: Callable[[], bool],
    ) -> None:
        self._tree = tree
        self._answers = answers
        self._calls = calls
        self._keeps_entries = keeps_entries
        self._loop = trio.lowlevel.current_trio_token()
        self._changed = threading.Condition()
        self._pending = Pending()
        self._orders: deque[Callable[[], None]] = deque()
        self._quiet_until = 0.0
        self._closed = False
        self._ended = trio.Event()
        self._apart = ThreadApart()
        # Nobody ever joins it: it may wait in the kernel for who reads.
        self._thread = threading.Thread(target=self._run, name="smfs-invalidator", daemon=True)

    # --- on the event loop --------------------------------------------------------------------

    def start(self) -> None:
        """Begins to follow the tree."""
        self._thread.start()
        self._tree.listen(self.tell)
        self._tree.when_in_doubt(self.drop_all)

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Has the kernel told of changes made elsewhere; never blocks."""
        heard = [each for each in happenings if self._may_be_heard(each)]
        with self._changed:
            for happening in heard:
                self._pending.add(happening)
            if len(self._pending) <= MOST:
                self._changed.notify()
                return
            self._pending.clear()
        self.drop_all()

    def _may_be_heard(self, happening: Happening) -> bool:
        """Whether the kernel can keep anything of it: a watched inode is one that it remembers."""
        remembered = self._tree.inodes.is_remembered
        return remembered(happening.parent) or remembered(happening.inode)

    def drop(self, inode: int) -> None:
        """Has the pages of one file dropped; never blocks."""
        self._order(lambda: _forgiving(pyfuse3.invalidate_inode, inode))

    def drop_all(self, done: Callable[[], None] | None = None) -> None:
        """Has everything dropped that the kernel keeps: pages, attributes, names; never blocks.

        Args:
            done: called on the thread afterwards.
        """
        inodes = [node.inode for node in self._tree.inodes.all() if node.lookups > 0]
        names = self._tree.top_names()

        def drop() -> None:
            for inode in inodes:
                _forgiving(pyfuse3.invalidate_inode, inode)
            for name in names:
                _forgiving(pyfuse3.invalidate_entry, ROOT_INODE, name)
            self._apart.run(lambda: self._calls.look_up(names))
            if done is not None:
                done()

        self._order(drop)

    async def lock(self) -> None:
        """Drops everything that the kernel keeps, and returns when that is done."""
        finished = trio.Event()
        self.drop_all(lambda: self._loop.run_sync_soon(finished.set))
        await finished.wait()

    async def keep_off(self, seconds: float) -> None:
        """Makes no system call on the mount for a while, so that an unmount does not find it
        busy; returns when none is being made.
        """
        idle = trio.Event()
        with self._changed:
            self._quiet_until = time.monotonic() + seconds
        self._order(lambda: self._loop.run_sync_soon(idle.set))
        await idle.wait()

    def close(self) -> None:
        """Has the thread end after the call that it is in; what waits is not told any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    async def ended(self) -> None:
        """Waits for the end of the thread."""
        await self._ended.wait()

    def _order(self, order: Callable[[], None]) -> None:
        with self._changed:
            self._orders.append(order)
            self._changed.notify()

    # --- on the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        self._answers.thread = self._apart.id
        try:
            while (work := self._next()) is not None:
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - what comes after it is to be told
                    _log.error("the kernel was not told of a change: %s", type(error).__name__)
        finally:
            self._answers.thread = None
            self._apart.end()
            self._tell_end()

    def _tell_end(self) -> None:
        try:
            self._loop.run_sync_soon(self._ended.set)
        except trio.RunFinishedError:
            return

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if self._orders:
                    return self._orders.popleft()
                rest = self._quiet_until - time.monotonic()
                if len(self._pending) and rest <= 0:
                    batch = self._pending.take(_BATCH)
                    return lambda: self._tell_kernel(batch)
                self._changed.wait(rest if len(self._pending) else None)
        return None

    def _tell_kernel(self, batch: Sequence[Happening]) -> None:
        """Pages and attributes first; then the echoes, which make names right, too.

        Names are not invalidated where that can be avoided: the kernel then waits for programs
        that wait for us, with `/dev/fuse` in its hands.
        """
        for happening in batch:
            if happening.inode is not None and happening.kind in (Kind.CHANGED, Kind.GONE):
                _forgiving(pyfuse3.invalidate_inode, happening.inode)
        if self._keeps_entries():
            for parent in {happening.parent for happening in batch}:
                _forgiving(pyfuse3.invalidate_inode, parent, attr_only=True)
        outcome = self._apart.run(lambda: self._calls.echo(batch, self._may_go_on))
        for happening, error in outcome.failed:
            self._make_good(happening, error)
        with self._changed:
            self._pending.put_back(outcome.left)

    def _make_good(self, happening: Happening, error: OSError) -> None:
        if error.errno not in _HARMLESS:
            _log.warning("file watchers did not hear of a change: %s", type(error).__name__)
        if self._keeps_entries() and happening.kind is not Kind.CHANGED:
            _forgiving(pyfuse3.invalidate_entry, happening.parent, happening.path[-1])

    def _may_go_on(self) -> bool:
        return not self._closed and time.monotonic() >= self._quiet_until


def _forgiving(function: Callable[..., None], *arguments: object, **options: object) -> None:
    """Calls one of the kernel's functions; that it does not know what it is to drop is no error."""
    try:
        function(*arguments, **options)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            _log.warning("the kernel did not drop what had changed: %s", type(error).__name__)
