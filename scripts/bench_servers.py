#!/usr/bin/env python3
"""The services that `bench-service` measures side by side."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from urllib.parse import urlsplit

from bench_world import PATIENCE, SCRIPTS, BrokenError

ROOT = SCRIPTS.parent
RUN = "import sys; from smfs.cli.main import main; sys.argv[0] = 'smfs'; main()"
LISTENING = re.compile(r"https?://\S+:(\d+)")


class Server(ABC):
    """A service.

    Attributes:
        name: for people.
        address: host and port, once it is started.
        process: its process id, if it is known.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ("127.0.0.1", 0)
        self.process: int | None = None

    @abstractmethod
    def start(self) -> None:
        """Starts it; returns once it listens."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it; does nothing where it does not run."""


class Smfs(Server):
    """`smfs serve` of a tree, on a database of its own.

    Args:
        name: for people.
        tree: where the program lies.
        database: a new file, or the URL of an empty database.
        options: further ones of `smfs serve`.
        runner: runs `smfs` with the arguments that follow.
    """

    def __init__(
        self,
        name: str,
        tree: Path,
        database: Path | str,
        options: list[str],
        runner: tuple[str, ...] = ("-P", "-c", RUN),
    ) -> None:
        super().__init__(name)
        self._runner = runner
        self._tree = tree
        self._database = database
        self._options = options
        self._popen: subprocess.Popen[str] | None = None

    def tell(self, text: str) -> None:
        """Says something to what runs it."""
        self._popen.stdin.write(text)
        self._popen.stdin.flush()

    def start(self) -> None:
        if isinstance(self._database, str):
            self._migrate()
        self._popen = subprocess.Popen(
            self._command("serve", "--listen", "127.0.0.1:0", *self._options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment(),
            start_new_session=True,  # an interrupt is for the benchmark alone
        )
        found = LISTENING.search(self._popen.stdout.readline())
        if found is None:
            self.stop()
            raise BrokenError(f"{self.name}: the service does not start")
        self.address = ("127.0.0.1", int(found[1]))
        self.process = self._popen.pid

    def stop(self) -> None:
        if self._popen is not None:
            self._popen.terminate()
            self._popen.wait(PATIENCE)
            self._popen.stdin.close()
            self._popen.stdout.close()
            self._popen = None

    def _migrate(self) -> None:
        ended = subprocess.run(
            self._command("service", "migrate"),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if ended.returncode:
            said = ended.stderr.strip().splitlines() or ["nothing"]
            raise BrokenError(f"{self.name}: no migration: {said[-1]}")

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, *self._runner, *words, "--db", str(self._database)]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SMFS")}
        # Before what is installed, so that another tree runs with the packages of this one.
        return {**kept, "PYTHONPATH": str(self._tree), "LC_ALL": "C.UTF-8"}


class Elsewhere(Server):
    """A service that runs already.

    Args:
        url: where.
        process: its process id, if it runs on this machine.
    """

    def __init__(self, url: str, process: int | None) -> None:
        super().__init__("other")
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise BrokenError("the other service's URL is not of the form http://HOST:PORT")
        self.address = (parts.hostname, parts.port or 80)
        self.process = process

    def start(self) -> None:
        """Nothing: whoever started it ends it."""

    def stop(self) -> None:
        """Nothing."""


class Echo(Server):
    """What answers fixed bytes: the floor, which is the cost of the generator and of sockets."""

    def __init__(self) -> None:
        super().__init__("fixed answers")
        self._popen: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, SCRIPTS / "bench_echo.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.address = ("127.0.0.1", int(self._popen.stdout.readline()))
        self.process = self._popen.pid

    def stop(self) -> None:
        if self._popen is not None:
            self._popen.stdin.close()
            self._popen.wait(PATIENCE)
            self._popen.stdout.close()
            self._popen = None


class Worktree:
    """A commit of this repository in a directory of its own, as long as it is used.

    Args:
        revision: of git.
        directory: a new one.
    """

    def __init__(self, revision: str, directory: Path) -> None:
        self.directory = directory
        self._git("worktree", "add", "--quiet", "--detach", str(directory), revision)

    def remove(self) -> None:
        """Takes the directory away."""
        self._git("worktree", "remove", "--force", str(self.directory))

    def _git(self, *words: str) -> None:
        ended = subprocess.run(
            ["git", "-C", ROOT, *words], capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise BrokenError(f"git {words[0]}: {ended.stderr.strip()}")
