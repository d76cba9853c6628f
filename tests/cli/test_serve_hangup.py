"""SIGHUP, at any time: with TLS and without, with a terminal and without."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import pty
import signal
import sqlite3
import subprocess
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import PATIENCE
from tests.cli.serving import make_certificate
from tests.cli.test_serve_tls import options, spoken, trusting
from tests.cli.test_serve_workers import answers, children, ended, line_of_log

if TYPE_CHECKING:
    from tests.cli.conftest import Program

both = pytest.mark.parametrize("workers", ["1", "2"])


def hang_up(process: subprocess.Popen[bytes], workers: int) -> list[int]:
    """Sends SIGHUP to all processes of a service; returns them, once all workers are there."""
    while True:
        found = [process.pid, *children(process.pid)]
        for pid in found:
            os.kill(pid, signal.SIGHUP)
        if workers == 1 or len(found) > workers:
            return found
        assert process.poll() is None


def unread(descriptor: int) -> int:
    """How many bytes wait in a pipe."""
    found = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, found)
    return found[0]


def holds(pid: int, field: str) -> bool:
    """Whether SIGHUP is in one of the sets of signals in a process's `status`."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{field}:")]
    return bool(int(line.split()[1], 16) & 1)


def test_it_waits_until_it_can_be_heard(program: Program) -> None:
    """While the certificate is read for the first time; then it is read once more."""
    directory = program.home / "tls"
    make_certificate(directory, "first")
    path, copy = directory / "cert.pem", directory / "copy.pem"
    path.rename(copy)
    os.mkfifo(path)
    with program.running(*options(directory)) as process:
        with path.open("wb"), path.open("rb+", 0) as both_ways:
            process.send_signal(signal.SIGHUP)
            assert holds(process.pid, "ShdPnd")
            both_ways.write(copy.read_bytes())
            while unread(both_ways.fileno()):
                assert process.poll() is None
            copy.rename(path)
        assert line_of_log(process) == "smfs: the TLS certificate was read again\n"
        assert spoken(program.address_of(process), trusting(directory))[1] == "first"


@both
def test_it_ends_no_start(program: Program, workers: str) -> None:
    """Whichever of the processes is told, and how often."""
    directory = program.home / "tls"
    make_certificate(directory, "first")
    arguments = (*options(directory), "--workers", workers)
    with program.running(*arguments) as process:
        program.address_of(process)
    with closing(sqlite3.connect(directory / "service.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with program.running(*arguments) as process:
            while not (holds(process.pid, "SigCgt") or holds(process.pid, "SigBlk")):
                assert process.poll() is None
            while not all(holds(pid, "SigCgt") for pid in hang_up(process, int(workers))):
                assert process.poll() is None
            other.execute("ROLLBACK")

            assert spoken(program.address_of(process), trusting(directory))[1] == "first"
            process.send_signal(signal.SIGTERM)
            assert b"ended by" not in process.communicate(timeout=PATIENCE)[1]
            assert process.returncode == 0


@both
def test_there_is_nothing_to_read_without_tls(program: Program, workers: str) -> None:
    """So that nothing happens."""
    arguments = ("serve", "--listen=127.0.0.1:0", "--db=service.db", "--workers", workers)
    with program.running(*arguments) as process:
        address = program.address_of(process)
        for _ in range(3):
            hang_up(process, int(workers))
        assert answers(address)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE)[1] == b""
        assert process.returncode == 0


@contextlib.contextmanager
def on_a_terminal(
    program: Program, *command: str | Path
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Runs a command that has a terminal; yields its process, and the terminal's other end."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=its,
        env=program.environment,
    ) as process:
        os.close(its)
        yield process, ours


@both
def test_it_ends_with_its_terminal(program: Program, workers: str) -> None:
    """As by SIGTERM, where somebody runs it on one; a signal of another's alone does nothing."""
    arguments = ("serve", "--listen=127.0.0.1:0", "--workers", workers)
    with on_a_terminal(program, program.path, *arguments) as (process, ours):
        address = program.address_of(process)
        found = hang_up(process, int(workers))
        assert answers(address)

        os.close(ours)

        assert process.wait(PATIENCE) == 0
    for each in found:
        ended(each)


def test_what_is_to_outlive_its_terminal_does(program: Program) -> None:
    """As nohup starts it, although it writes to one."""
    command = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh", program.path, "serve")
    with on_a_terminal(program, *command, "--listen=127.0.0.1:0") as (process, ours):
        address = program.address_of(process)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert answers(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
