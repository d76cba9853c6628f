"""Several processes that serve one port."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Program

PATIENCE = 60.0
SERVE = ("serve", "--listen", "127.0.0.1:0", "--workers", "2")


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are alive."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(pid)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    ).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if line.split()[1][0] != "Z"]


def ended(pid: int) -> None:
    """Waits until a process that is no child is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(descriptor) as gone:
        assert select.select([gone], [], [], PATIENCE)[0]


def answers(address: str, times: int = 20) -> bool:
    """Whether new connections, which any worker may get, are answered."""
    for _ in range(times):
        with urllib.request.urlopen(f"{address}/.well-known/smfs", timeout=PATIENCE) as answer:
            if answer.status != 200:
                return False
    return True


def line_of_log(process: subprocess.Popen[bytes]) -> str:
    """The next line on standard error."""
    assert process.stderr is not None
    return process.stderr.readline().decode()


@pytest.fixture
def database(program: Program) -> Path:
    """Where the service of a test keeps its data."""
    return program.home / "service.db"


@pytest.fixture
def running(program: Program, database: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Two workers."""
    (program.home / "run").mkdir()
    program.environment["RUNTIME_DIRECTORY"] = str(program.home / "run")
    with program.running(*SERVE, "--db", database) as process:
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_they_serve_one_database_and_end_together(
    program: Program, running: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Announced once; quietly, with 0, and nothing of them stays."""
    address = program.address_of(running)
    workers = children(running.pid)
    assert len(workers) == 2
    program.must("init")
    program.must("set", "a", "--service", address, stdin=b"kept")
    assert all(program.must("get", "a", "--service", address) == "kept" for _ in range(4))
    assert len(list((program.home / "run").iterdir())) == 1

    running.send_signal(number)
    out, err = running.communicate(timeout=PATIENCE)

    assert (running.returncode, out, err) == (0, b"", b"")
    assert list((program.home / "run").iterdir()) == []
    for each in workers:
        ended(each)


def test_a_signal_for_all_of_them_is_the_same(
    program: Program, running: subprocess.Popen[bytes]
) -> None:
    """As service managers send it: a worker takes the second one as the first."""
    program.address_of(running)
    for each in (*children(running.pid), running.pid):
        os.kill(each, signal.SIGTERM)
    _, err = running.communicate(timeout=PATIENCE)
    # One may be seen to be gone before the supervisor is told to end.
    assert running.returncode == 0
    assert b"Traceback" not in err


def test_one_that_is_killed_is_started_again(
    program: Program, running: subprocess.Popen[bytes]
) -> None:
    """The other one goes on, and who connects meanwhile is answered."""
    address = program.address_of(running)
    killed = children(running.pid)[0]
    os.kill(killed, signal.SIGKILL)

    assert line_of_log(running) == (
        f"smfs: worker {killed} was ended by SIGKILL; another one is started\n"
    )
    assert answers(address)
    workers = children(running.pid)
    assert len(workers) == 2
    assert killed not in workers


def test_they_do_not_outlive_their_supervisor(
    program: Program, running: subprocess.Popen[bytes]
) -> None:
    """Not even when it is killed."""
    address = program.address_of(running)
    workers = children(running.pid)
    running.kill()
    running.wait(PATIENCE)
    for each in workers:
        ended(each)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), PATIENCE)


def test_a_database_that_is_none_ends_the_start(program: Program, database: Path) -> None:
    """With the words and the exit code that one process has for it, once."""
    database.write_text("Dear Sir, " * 1000)
    outcome = program(*SERVE, "--db", database)
    assert (outcome.code, outcome.out) == (2, b"")
    assert str(database) in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_what_a_killed_one_left_is_removed(
    program: Program, running: subprocess.Popen[bytes]
) -> None:
    """By the next one, once its workers are gone; what is in use stays, and what is no such."""
    program.address_of(running)
    run = program.home / "run"
    [used] = run.iterdir()
    link = run / f"{used.name}-link"
    link.symlink_to(program.home)
    with program.running(*SERVE, "--db", "killed.db") as killed:
        program.address_of(killed)
        [left] = set(run.iterdir()) - {used, link}
        workers = children(killed.pid)
        for each in workers:
            os.kill(each, signal.SIGSTOP)
        killed.kill()
        killed.wait(PATIENCE)
        try:
            with program.running(*SERVE, "--db", "next.db") as process:
                program.address_of(process)
                assert list(left.iterdir())
        finally:
            for each in workers:
                os.kill(each, signal.SIGKILL)
    for each in workers:
        ended(each)

    with program.running(*SERVE, "--db", "next.db") as process:
        program.address_of(process)
        assert not left.exists()
    assert set(run.iterdir()) == {used, link}
    assert list(used.iterdir())


def test_workers_that_cannot_live_are_given_up(
    program: Program, running: subprocess.Popen[bytes], database: Path
) -> None:
    """When none is left that serves; what the last one said is told."""
    program.address_of(running)
    database.chmod(0o644)  # a database that others may read is refused
    for each in children(running.pid):
        os.kill(each, signal.SIGKILL)
    _, err = running.communicate(timeout=PATIENCE)
    *before, last = err.decode().splitlines()
    assert running.returncode == 2
    assert str(database) in last
    assert all(line.endswith("; another one is started") for line in before)
    assert len(before) > 4


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_is_taken_is_told(
    program: Program, running: subprocess.Popen[bytes], database: Path, workers: str
) -> None:
    """Although several may share a port, two services never do."""
    address = program.address_of(running).removeprefix("http://")
    outcome = program("serve", "--listen", address, "--db", database, "--workers", workers)
    assert outcome.code == 2
    assert outcome.err == f"smfs: cannot listen on {address}: Address already in use\n"


def test_nothing_secret_is_on_their_command_lines(program: Program) -> None:
    """A URL reaches them by the environment; what this process was told in its own does not."""
    url = "postgresql://smfs:geheim@127.0.0.1:1/none?connect_timeout=1"
    program.environment["SMFS_DB"] = url
    program.environment["SMFS_SERVE_GRACE"] = "7"
    with program.running(*SERVE, "--drain-delay", "0.5") as process:
        lines: set[bytes] = set()
        while process.poll() is None and len(lines) < 2:
            for each in children(process.pid):
                try:
                    lines.add(Path(f"/proc/{each}/cmdline").read_bytes().replace(b"\0", b" "))
                except FileNotFoundError:
                    continue
        _, err = process.communicate(timeout=PATIENCE)
        assert b"geheim" not in err
    assert lines
    for line in lines:
        assert b"geheim" not in line
        if b"--worker=" in line:
            assert re.search(rb"--drain-delay=0.5 --grace=7.0 .*--worker=\d+,\d+,\d+", line)
