#!/usr/bin/env python3
"""Where the services that `bench-service` measures keep what they store."""

from __future__ import annotations

import itertools
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path

from bench_servers import ROOT, Server, Smfs, Worktree
from bench_world import BrokenError

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


class Engine(ABC):
    """A kind of service, of which there can be several.

    Attributes:
        name: for people.
        is_ours: whether the budgets are for it.
    """

    def __init__(self, name: str, *, is_ours: bool = True) -> None:
        self.name = name
        self.is_ours = is_ours

    @abstractmethod
    def make(self, name: str) -> Server:
        """A new service, empty and not yet started."""


class Sqlite(Engine):
    """Services on SQLite files.

    Args:
        name: for people.
        directory: of the files.
        options: of `smfs serve`.
        tree: of the program.
    """

    def __init__(self, name: str, directory: Path, options: list[str], tree: Path = ROOT) -> None:
        super().__init__(name, is_ours=name == SQLITE)
        self._directory = directory
        self._options = options
        self._tree = tree
        self._numbers = itertools.count()

    def make(self, name: str) -> Server:
        # Each in a directory of its own, as the service makes the file for its user alone.
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        return Smfs(name, self._tree, directory / "service.db", self._options)


class Postgresql(Engine):
    """Services on a PostgreSQL server that is made for the run.

    Args:
        ending: of the server.
        directory: of the server's own.
        options: of `smfs serve`.
    """

    def __init__(self, ending: ExitStack, directory: Path, options: list[str]) -> None:
        super().__init__(POSTGRESQL)
        from tests.postgres import Cluster

        self._options = options
        usual = tempfile.tempdir
        tempfile.tempdir = str(directory)
        try:
            self._cluster = ending.enter_context(Cluster())
        finally:
            tempfile.tempdir = usual

    def make(self, name: str) -> Server:
        return Smfs(name, ROOT, self._cluster.create_database(), self._options)


class Given(Engine):
    """A service on the one empty database that somebody named.

    Args:
        url: of the database.
        options: of `smfs serve`.
    """

    def __init__(self, url: str, options: list[str]) -> None:
        super().__init__(POSTGRESQL)
        self._url: str | None = url
        self._options = options

    def make(self, name: str) -> Server:
        if self._url is None:
            raise BrokenError("there is only one PostgreSQL database")
        url, self._url = self._url, None
        return Smfs(name, ROOT, url, self._options)


class Only(Engine):
    """A service that is there already.

    Args:
        server: the service.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(server.name, is_ours=False)
        self._server = server

    def make(self, name: str) -> Server:
        self._server.name = name
        return self._server


def other(against: str, directory: Path, ending: ExitStack) -> Engine:
    """What `--against` names: a tree of smfs, or a commit that is checked out for the run."""
    path = Path(against).resolve()
    if not (path / "smfs").is_dir():
        tree = Worktree(against, directory / "tree")
        ending.callback(tree.remove)
        return Sqlite(against, directory, [], tree.directory)
    # A tree may well be this one, which is then measured against itself.
    return Sqlite(f"{path.name}/", directory, [], path)
