"""Directories of files of one line each."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from smfs.errors import NoSuchName, SmfsError
from smfs.tree.context import Context
from smfs.tree.line_file import LineFile
from smfs.tree.node import Directory, Times

F = TypeVar("F", bound=LineFile)


class LineDirectory(Directory, Generic[F]):
    """A directory right under the root, of files of one line each.

    Args:
        context: of the mount.
        folder: its name.
        make: makes the file of a name.
    """

    def __init__(self, context: Context, folder: str, make: Callable[[Context, str], F]) -> None:
        super().__init__(context.inodes, stat.S_IFDIR | 0o700, Times.at(context.now()))
        self.context = context
        self._folder = folder
        self._make = make
        self._files: dict[str, F] = {}

    def file(self, name: str) -> F:
        """The file of a name, whether there is such a name or not."""
        if name not in self._files:
            self._files[name] = self._make(self.context, name)
        return self._files[name]

    def pending(self) -> dict[str, F]:
        """The files that the service was not told of yet, by name."""
        return {name: file for name, file in self._files.items() if file.pending}

    def touched(self) -> None:
        """Its names have changed."""
        self.times = Times.at(self.context.now())

    async def remove(
        self, name: str, delete: Callable[[str], Awaitable[None]], missing: type[SmfsError]
    ) -> None:
        """Withdraws what was not sent yet, else has it deleted.

        Args:
            name: whose name is taken away.
            delete: has the service delete it.
            missing: what that raises when there is none.

        Raises:
            NoSuchName: when there is none.
        """
        file = self._files.get(name)
        if file is None or not await file.withdraw():
            try:
                await delete(name)
            except missing:
                raise NoSuchName(name) from None
        self.context.failures.made_good(f"{self._folder}/{name}")
        self.let_go(name)
        self.touched()

    def let_go(self, name: str) -> None:
        """A name stands for its file no more."""
        file = self._files.pop(name, None)
        if file is not None:
            file.removed = True
            self.context.inodes.drop_if_unused(file)

    def move(self, old: str, new: str) -> None:
        """A file gets another name; the one that had it is gone."""
        self.let_go(new)
        file = self._files.pop(old)
        file.name = new
        self._files[new] = file
