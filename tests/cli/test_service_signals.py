"""Signals to `smfs service …`: all is undone, or all is done, and that is what is told."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Outcome, Program

# The program; before its first row it says so, and waits for a signal.
WAITING = """
import select
from smfs.cli.main import main
from smfs.cli.progress import Bar

def begin(self, total):
    print("begun", flush=True)
    while True:
        # Not without an end: a signal that comes right before would not be seen.
        select.select([], [], [], 0.05)

Bar.begin = begin
main()
"""

# The program, which a signal reaches (argv[1]) so often (argv[2]) right after the commit or the end
# of a connection (argv[3]), of the source or of the target, whichever is first or second (argv[4]).
LATE = """
import signal
import sqlite3
import sys
import psycopg

number, count, where, turn = sys.argv[1:5]
sys.argv[1:5] = []
left = [None] * int(turn)

def arrive(place):
    if place == where and left and left.pop() is None and not left:
        for _ in range(int(count)):
            signal.raise_signal(int(number))

class Connection(sqlite3.Connection):
    is_committed = False

    def execute(self, statement, *parameters):
        done = super().execute(statement, *parameters)
        if statement == "COMMIT":
            self.is_committed = True
            arrive("commit")
        return done

    def close(self):
        super().close()
        if self.is_committed:
            arrive("close")

def connect(*arguments, original=sqlite3.connect, **options):
    return original(*arguments, factory=Connection, **options)

def commit(self, original=psycopg.Connection.commit):
    original(self)
    arrive("commit")

sqlite3.connect = connect
psycopg.Connection.commit = commit
from smfs.cli.main import main
main()
"""

ENDING = {signal.SIGINT: 130, signal.SIGTERM: -signal.SIGTERM, signal.SIGHUP: -signal.SIGHUP}


@pytest.fixture
def source(program: Program) -> Path:
    """A database in which there is something."""
    file = program.home / "source" / "service.db"
    program.must("service", "authcode", "create", "--db", made(program, file))
    return file


def made(program: Program, file: Path) -> str:
    """A database that is made, and empty."""
    program.must("service", "migrate", "--db", file)
    return str(file)


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, program: Program) -> str:
    """An empty database of either engine."""
    if request.param == "sqlite":
        return made(program, program.home / "target" / "service.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


def late(program: Program, where: str, turn: int, *arguments: str, count: int = 1) -> Outcome:
    """Has Ctrl-C come late."""
    program.path = program.path.with_name("python")
    try:
        head = ("-c", LATE, str(int(signal.SIGINT)), str(count), where, str(turn))
        return program(*head, *arguments)
    finally:
        program.path = program.path.with_name("smfs")


def stopped(program: Program, signals: list[int], *arguments: str, within: str = "env") -> int:
    """Ends the program, run by another one, before the first row; returns how it ended."""
    with subprocess.Popen(
        [within, sys.executable, "-c", WAITING, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=program.environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        for number in signals:
            process.send_signal(number)
        return process.wait(PATIENCE)


@pytest.mark.parametrize("number", ENDING)
def test_a_backup_that_is_ended_leaves_nothing(
    program: Program, source: Path, number: signal.Signals
) -> None:
    """Not even a hidden draft, which holds the service's key; who has started it sees why."""
    directory = program.home / "backups"
    directory.mkdir()
    arguments = ("service", "backup", "--db", str(source), str(directory / "backup"))
    assert stopped(program, [number], *arguments) == ENDING[number]
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("number", ENDING)
def test_a_copy_that_is_ended_leaves_the_target_empty(
    program: Program, source: Path, target: str, number: signal.Signals
) -> None:
    """So that the next one is made."""
    assert stopped(program, [number], "service", "copy", str(source), target) == ENDING[number]
    program.must("service", "copy", str(source), target)


def test_a_signal_that_is_ignored_stays_so(program: Program, source: Path) -> None:
    """As `nohup` wants it."""
    arguments = ("service", "backup", "--db", str(source), str(program.home / "backup"))
    ended = stopped(program, [signal.SIGHUP, signal.SIGTERM], *arguments, within="nohup")
    assert ended == -signal.SIGTERM


@pytest.mark.parametrize(("where", "turn"), [("commit", 1), ("close", 1), ("commit", 2)])
def test_what_is_committed_is_not_denied(
    program: Program, source: Path, target: str, where: str, turn: int
) -> None:
    """Ctrl-C comes too late, and what is told is that all was copied."""
    outcome = late(program, where, turn, "service", "copy", str(source), target)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.text.startswith("0 spaces, 2 rows, ")
    again = program("service", "restore", str(source), "--db", target)
    assert again.code == 2
    assert "is not empty" in again.err


def test_a_backup_that_is_there_is_not_denied(program: Program, source: Path) -> None:
    """Ctrl-C comes while the source is closed."""
    file = program.home / "backup"
    outcome = late(program, "close", 2, "service", "backup", "--db", str(source), str(file))
    assert (outcome.code, outcome.err) == (0, "")
    program.must("service", "check", "--db", file)


def test_who_insists_is_not_kept(program: Program, source: Path, target: str) -> None:
    """A commit may wait for ever; then nobody knows what becomes of it, and that is said."""
    outcome = late(program, "commit", 1, "service", "copy", str(source), target, count=2)
    assert outcome.code == 5
    assert outcome.err == (
        "smfs: interrupted at the very end: all of it may be there, or nothing\n"
    )
