"""How the program ends, with one process and with several."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Program

PATIENCE = 60.0
BODY = b'{"publicKey": "x"}'
HEAD = (
    b"POST /getSecret HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)

pytestmark = pytest.mark.parametrize("workers", ["1", "2"])


def serve(workers: str, *more: str) -> tuple[str, ...]:
    """A command line."""
    return ("serve", "--listen=127.0.0.1:0", "--db=service.db", f"--workers={workers}", *more)


def connect(address: str) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), PATIENCE)


def closed(address: str) -> None:
    """Waits until nobody listens any more."""
    while True:
        try:
            connect(address).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return


def test_what_has_begun_is_answered(program: Program, workers: str) -> None:
    """Although the rest of it comes when nobody else gets in."""
    with program.running(*serve(workers)) as process:
        address = program.address_of(process)
        with connect(address) as client:
            client.sendall(HEAD + BODY[:5])
            with connect(address) as other:
                other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert other.recv(65536)
            process.send_signal(signal.SIGTERM)
            closed(address)
            client.sendall(BODY[5:])
            assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once(program: Program, workers: str) -> None:
    """Whatever is under way."""
    with program.running(*serve(workers, "--grace=600")) as process:
        address = program.address_of(process)
        with connect(address) as client:
            client.sendall(HEAD)
            process.send_signal(signal.SIGTERM)
            closed(address)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


def test_a_signal_ends_the_start(program: Program, workers: str) -> None:
    """While it waits for its database."""
    with program.running(*serve(workers)) as process:
        program.address_of(process)
    with closing(sqlite3.connect(program.home / "service.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with program.running(*serve(workers)) as process:
            while not _catches(process.pid, signal.SIGTERM):
                os.sched_yield()
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=PATIENCE) == (b"", b"")
            assert process.returncode == 0


def _catches(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_service_manager_is_told_that_it_is_ready(program: Program, workers: str) -> None:
    """As sd_notify does, by the first process alone."""
    path = program.home / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(PATIENCE)
        program.environment["NOTIFY_SOCKET"] = str(path)
        with program.running(*serve(workers)) as process:
            program.address_of(process)
            assert manager.recv(100) == b"READY=1"
        manager.settimeout(0)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
