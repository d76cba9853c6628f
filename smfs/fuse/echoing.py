"""The system calls of echoes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from smfs.fuse.echoes import STAND_IN, Echo, EchoAnswers, Step
from smfs.tree.happenings import Happening, Kind

_WALK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass
class Outcome:
    """What came of some happenings.

    Attributes:
        left: those that were not come to.
        failed: those whose system calls failed, and why.
    """

    left: Sequence[Happening] = ()
    failed: list[tuple[Happening, OSError]] = field(default_factory=list)


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

    def enter(self, path: tuple[bytes, ...]) -> int:
        """Opens another directory."""
        self.path = path
        reached = os.dup(self._root)
        try:
            for name in path:
                below = os.open(name, _WALK, dir_fd=reached)
                os.close(reached)
                reached = below
        except OSError:
            os.close(reached)
            raise
        self.directory = reached
        return reached

    def leave(self) -> None:
        """Closes it."""
        if self.directory is not None:
            os.close(self.directory)
        self.directory = None


class EchoCalls:
    """Makes the echoes; to be used on one thread only, which has descriptors of its own.

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

    def echo(self, happenings: Sequence[Happening], may_go_on: Callable[[], bool]) -> Outcome:
        """Makes the system calls that belong to happenings; nothing is open afterwards.

        Args:
            happenings: in their order.
            may_go_on: asked between happenings.
        """
        outcome = Outcome()
        with self._root() as root:
            if root is None:
                return outcome
            place = _Place(root)
            try:
                for index, happening in enumerate(happenings):
                    if not may_go_on():
                        outcome.left = happenings[index:]
                        break
                    try:
                        self._make(self._enter(place, happening), happening)
                    except OSError as error:
                        outcome.failed.append((happening, error))
            finally:
                self._answers.echo = None
                place.leave()
        return outcome

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

    def _enter(self, place: _Place, happening: Happening) -> int:
        """A descriptor of the directory of a happening; it is in this mount."""
        path = happening.path[:-1]
        if place.path != path:
            place.leave()
            self._answers.echo = Echo(Step.WALK, happening)
            directory = place.enter(path)
            if not self._is_ours(directory):
                place.leave()
        if place.directory is None:
            raise NotADirectoryError(errno.ENOTDIR, "no directory of this mount")
        return place.directory

    def _make(self, directory: int, happening: Happening) -> None:
        match happening.kind:
            case Kind.CHANGED if not happening.is_directory:
                self._touch(directory, happening)
            case Kind.APPEARED:
                self._appear(directory, happening)
            case Kind.GONE:
                self._go(directory, happening)
            case Kind.REPLACED:
                self._touch(directory, happening)
                self._move(directory, happening)

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
        try:
            _modify(os.open(name, flags, 0o600, dir_fd=directory), echo)
        except FileExistsError:  # the kernel was asked for it meanwhile, and keeps it
            self._touch(directory, happening)

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
