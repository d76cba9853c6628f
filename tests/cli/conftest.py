"""The real program in processes of its own, with directories of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("smfs")
PATIENCE = 60.0
"""Seconds after which a program counts as hung."""


@dataclass(frozen=True)
class Outcome:
    """What a program did."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Its standard output without the last line end."""
        return self.out.decode().removesuffix("\n")


@dataclass
class Program:
    """smfs for one user."""

    home: Path
    path: Path = PROGRAM
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
        }

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", **more: str) -> Outcome:
        """Runs smfs to its end; `more` is added to its environment."""
        finished = subprocess.run(
            [self.path, *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            cwd=self.home,
            env=self.environment | more,
            timeout=PATIENCE,
        )
        err = finished.stderr.decode(errors="replace")
        assert "Traceback" not in err
        return Outcome(finished.returncode, finished.stdout, err)

    def must(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        """Runs smfs, which must succeed; its standard output without the last line end."""
        outcome = self(*arguments, stdin=stdin)
        assert outcome.code == 0, (arguments, outcome)
        return outcome.text

    def log(self, profile: str = "default") -> str:
        """What a profile has logged."""
        path = self.home / "state" / "smfs" / f"{profile}.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Smfs as long as the block lasts; SIGTERM ends it, unless it has ended."""
        with subprocess.Popen(
            [self.path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env=self.environment,
        ) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                _join(process)

    @staticmethod
    def address_of(process: subprocess.Popen[bytes]) -> str:
        """The address that a running `smfs serve` says it listens at."""
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        found = re.fullmatch(r"listening on (https?://\S+)\n", line)
        assert found is not None, line
        return found[1]


def _join(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Smfs for a new user."""
    return Program(tmp_path)


@pytest.fixture
def two_profiles(program: Program) -> tuple[str, str]:
    """The node ids of two identities of this user, the profiles alice and bob."""
    return (
        program.must("init", "--profile", "alice"),
        program.must("init", "--profile", "bob"),
    )


@pytest.fixture
def served(program: Program) -> Iterator[str]:
    """The address of a service that `smfs serve` runs."""
    database = program.home / "served" / "service.db"
    with program.running("serve", "--listen", "127.0.0.1:0", "--db", database) as process:
        yield program.address_of(process)


@pytest.fixture
def mount(program: Program) -> Iterator[Callable[..., Path]]:
    """Mounts in the background; returns where. All are taken away at the end."""
    mounted: list[Path] = []

    def make(*arguments: str) -> Path:
        directory = program.home / f"mount-{len(mounted)}"
        program.must("mount", *arguments, directory)
        mounted.append(directory)
        return directory

    yield make
    for directory in mounted:
        command = ["fusermount3", "-u", "-z", "-q", "--", str(directory)]
        subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE)
