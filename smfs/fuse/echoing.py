"""The system calls of echoes, made by the thread that tells the kernel of changes elsewhere."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from smfs.fuse.echoes import STAND_IN, Echo, EchoAnswers, Step
from smfs.tree.happenings import Happening, Kind

_log: Final = logging.getLogger(__name__)

_WALK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# Somebody was quicker, the name has changed again, or the mount is gone.
_HARMLESS: Final = frozenset(
    {
        errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.ECANCELED, errno.EBUSY,
        errno.ENOTCONN, errno.ECONNABORTED, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY,
    }
)  # fmt: skip


class _Place:
    """The directory in which echoes are made; kept from one to the next.

    Args:
        root: a descriptor of the root of the mount.

    Attributes:
        path: its names from the root; None before the first.
        directory: a descriptor of it; None when it cannot be entered.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self.path: tuple[bytes, ...] | None = None
        self.directory: int | None = None

    def enter(self) -> None:
        """Opens what `path` names."""
        self.directory = os.dup(self._root)
        for name in self.path or ():
            below = os.open(name, _WALK, dir_fd=self.directory)
            os.close(self.directory)
            self.directory = below

    def leave(self) -> None:
        """Closes it."""
        if self.directory is not None:
            os.close(self.directory)
        self.directory = None


class EchoCalls:
    """Makes the echoes; to be used on one thread only, which is not that of the event loop.

    Args:
        answers: what answers the upcalls.
        mountpoint: where the mount is.
        device: its device number. What is found at the mount point is touched only if it has
            this one: after an unmount, or under another mount, the path leads to real files.
    """

    def __init__(self, answers: EchoAnswers, mountpoint: Path, device: int | None) -> None:
        self._answers = answers
        self._mountpoint = mountpoint
        self._device = device

    def echo(
        self,
        happenings: Sequence[Happening],
        *,
        before_each: Callable[[Happening], None],
        may_go_on: Callable[[], bool],
    ) -> Sequence[Happening]:
        """Makes the system calls that belong to happenings; nothing is open afterwards.

        Args:
            happenings: in their order.
            before_each: called right before those of one happening.
            may_go_on: asked between happenings.

        Returns:
            those that were not come to.
        """
        with self._root() as root:
            if root is None:
                return ()
            place = _Place(root)
            try:
                for index, happening in enumerate(happenings):
                    if not may_go_on():
                        return happenings[index:]
                    directory = self._enter(place, happening)
                    if directory is not None:
                        before_each(happening)
                        self._make(directory, happening)
            finally:
                self._answers.echo = None
                place.leave()
        return ()

    def look_up(self, names: Iterable[bytes]) -> None:
        """Has the kernel look names right under the root up again.

        A working directory of a process loses its path while its entry is dropped.
        """
        with self._root() as root:
            for name in names:
                if root is not None:
                    with suppress(OSError):
                        os.stat(name, dir_fd=root, follow_symlinks=False)

    @contextmanager
    def _root(self) -> Iterator[int | None]:
        """A descriptor of the root of the mount, if it is there still."""
        try:
            descriptor = os.open(self._mountpoint, _WALK)
        except OSError:
            yield None
            return
        try:
            yield descriptor if self._is_ours(descriptor) else None
        finally:
            os.close(descriptor)

    def _is_ours(self, descriptor: int) -> bool:
        try:
            return os.fstat(descriptor).st_dev == self._device
        except OSError:
            return False

    def _enter(self, place: _Place, happening: Happening) -> int | None:
        """A descriptor of the directory of a happening, if it is there and in this mount."""
        path = happening.path[:-1]
        if place.path == path:
            return place.directory
        place.leave()
        place.path = path
        self._answers.echo = Echo(Step.WALK, happening)
        try:
            place.enter()
        except OSError as error:
            _tell(error)
            place.leave()
        if place.directory is not None and not self._is_ours(place.directory):
            place.leave()
        return place.directory

    def _make(self, directory: int, happening: Happening) -> None:
        match happening.kind:
            case Kind.CHANGED if not happening.is_directory:
                self._try(self._touch, directory, happening)
            case Kind.APPEARED:
                self._try(self._appear, directory, happening)
            case Kind.GONE:
                self._try(self._go, directory, happening)
            case Kind.REPLACED:
                self._try(self._touch, directory, happening)
                self._try(self._move, directory, happening)

    def _try(
        self, call: Callable[[int, Happening], None], directory: int, happening: Happening
    ) -> None:
        try:
            call(directory, happening)
        except OSError as error:
            _tell(error)

    def _begin(self, step: Step, happening: Happening) -> Echo:
        made = self._answers.echo = Echo(step, happening)
        return made

    def _touch(self, directory: int, happening: Happening) -> None:
        """IN_MODIFY and IN_CLOSE_WRITE."""
        echo = self._begin(Step.TOUCH, happening)
        _modify(os.open(happening.path[-1], _OPEN, dir_fd=directory), echo)

    def _appear(self, directory: int, happening: Happening) -> None:
        """IN_CREATE, and for a file IN_MODIFY and IN_CLOSE_WRITE."""
        echo = self._begin(Step.MAKE, happening)
        name = happening.path[-1]
        if happening.is_directory:
            os.mkdir(name, 0o700, dir_fd=directory)
            return
        flags = _OPEN | os.O_CREAT | os.O_EXCL
        _modify(os.open(name, flags, 0o600, dir_fd=directory), echo)

    def _go(self, directory: int, happening: Happening) -> None:
        """IN_DELETE, and IN_DELETE_SELF for who watches the file."""
        self._begin(Step.REMOVE, happening)
        if happening.is_directory:
            os.rmdir(happening.path[-1], dir_fd=directory)
        else:
            os.unlink(happening.path[-1], dir_fd=directory)

    def _move(self, directory: int, happening: Happening) -> None:
        """IN_MOVED_TO, IN_ATTRIB for who watches the old file, and IN_DELETE_SELF once it is
        closed: what an editor does that saves by a rename.
        """
        self._begin(Step.MOVE, happening)
        os.rename(STAND_IN, happening.path[-1], src_dir_fd=directory, dst_dir_fd=directory)


def _modify(descriptor: int, echo: Echo) -> None:
    try:
        if echo.size is not None:
            os.ftruncate(descriptor, echo.size)
    finally:
        os.close(descriptor)


def _tell(error: OSError) -> None:
    if error.errno not in _HARMLESS:
        _log.warning("file watchers were not told of a change: %s", type(error).__name__)
