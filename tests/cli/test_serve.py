"""`smfs serve` as a program."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import sqlite3
import stat
import urllib.request
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from smfs.cli import connections, serve_process
from smfs.cli.serve_listener import listening
from smfs.cli.serve_options import Address, ServeSettings
from smfs.cli.serve_process import server_of
from smfs.service import create_service
from smfs.service.operating import PrometheusMeters
from tests.cli.serving import run_on_uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.cli.conftest import Program

PATIENCE = 60.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(program: Program, number: signal.Signals) -> None:
    """Quietly, and what it stored is there when it runs again."""
    database = program.home / "new" / "service.db"
    program.must("init")
    arguments = ("serve", "--listen", "127.0.0.1:0", "--db", database)
    with program.running(*arguments) as process:
        program.must("set", "a", "--service", program.address_of(process), stdin=b"kept")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, b"", b"")

    with program.running(*arguments) as process:
        assert program.must("get", "a", "--service", program.address_of(process)) == "kept"


def test_the_database_is_closed_to_others(program: Program) -> None:
    """A directory of mode 0700, and a file of mode 0600."""
    database = program.home / "new" / "service.db"
    with program.running("serve", "--listen", "127.0.0.1:0", "--db", database) as process:
        program.address_of(process)
        assert stat.S_IMODE(database.stat().st_mode) == 0o600
        assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700


def test_an_address_that_is_taken_is_told(program: Program, served: str) -> None:
    """In one line."""
    outcome = program("serve", "--listen", served.removeprefix("http://"))

    assert outcome.code == 2
    assert "Address already in use" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_database_that_is_none_is_told(program: Program) -> None:
    """A file of something else is refused and stays as it is."""
    database = program.home / "letter.txt"
    database.write_text("Dear Sir, " * 1000)

    outcome = program("serve", "--listen", "127.0.0.1:0", "--db", database)

    assert outcome.code == 2
    assert str(database) in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert database.read_text() == "Dear Sir, " * 1000


def test_a_database_that_is_locked_is_unreachable(program: Program) -> None:
    """No wrong usage: later it works."""
    database = program.home / "new" / "service.db"
    with program.running("serve", "--listen", "127.0.0.1:0", "--db", database) as process:
        program.address_of(process)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcome = program("serve", "--listen", "127.0.0.1:0", "--db", database)

    assert outcome.code == 5
    assert "locked" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("address", ["6999", ":6999", "localhost", "x:70000", "x:-1"])
def test_what_is_no_address_is_wrong_usage(program: Program, address: str) -> None:
    """HOST:PORT it must be."""
    assert program("serve", "--listen", address).code == 2


def test_the_largest_content_can_be_set(program: Program) -> None:
    """What is much larger than it is refused; the service cannot see the size to the byte."""
    program.must("init")
    database = program.home / "service.db"
    options = ("--db", database, "--max-content", "100")
    with program.running("serve", "--listen", "127.0.0.1:0", *options) as process:
        address = program.address_of(process)
        program.must("set", "a", "--service", address, stdin=bytes(100))
        outcome = program("set", "a", "--service", address, stdin=bytes(100_000))

    assert outcome.code == 1


def test_it_does_not_name_its_software(served: str) -> None:
    """No version is told to strangers."""
    with urllib.request.urlopen(f"{served}/.well-known/smfs") as answer:
        assert answer.status == 200
        assert "server" not in {name.lower() for name in answer.headers}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_an_acknowledgement(host: str) -> None:
    """A connection that the server's loop accepts has TCP_NODELAY: else each answer takes 40 ms."""

    async def accepted_option() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listening(Address(host, 0))
        async with await asyncio.start_server(accept, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            option = await found
            writer.close()
            await writer.wait_closed()
        return option

    assert run_on_uvloop(accepted_option()) != 0


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REQUEST = b"GET /.well-known/smfs HTTP/1.1\r\nHost: x\r\n\r\n"


def serve_to(database: Path, clients: Callable[[Callable[[], Awaitable[Client]]], Any]) -> None:
    """Runs clients against the server of `smfs serve`; they are given a way to connect."""

    async def run() -> None:
        async with create_service(database) as service:
            server = server_of(service, ServeSettings(), PrometheusMeters())
            listener = listening(Address("127.0.0.1", 0))
            running = asyncio.create_task(server.serve([listener]))
            address = listener.getsockname()
            opened: list[Client] = []

            async def connect() -> Client:
                opened.append(await asyncio.open_connection(*address))
                return opened[-1]

            try:
                await asyncio.wait_for(clients(connect), PATIENCE)
            finally:
                for _, writer in opened:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
                server.should_exit = True
                await running

    run_on_uvloop(run())


async def _is_closed(client: Client) -> bool:
    with suppress(ConnectionResetError):
        return await client[0].read() == b""
    return True


@pytest.mark.parametrize("sent", [b"", b"GET / HT", REQUEST + b"GET /"])
def test_who_asks_for_nothing_loses_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Whether nothing came, or half of a first or second header."""
    assert connections._SILENT_S <= 15
    monkeypatch.setattr(connections, "_SILENT_S", 0.2)

    async def clients(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(sent)
        with suppress(ConnectionResetError):
            answer = await reader.read()
            assert answer.count(b"HTTP/1.1 200") == sent.count(REQUEST)

    serve_to(tmp_path / "service.db", clients)


def test_who_begins_another_header_and_does_not_end_it_loses_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an answer, however slowly it comes; one that ends in time is answered."""
    monkeypatch.setattr(connections, "_SILENT_S", 0.5)

    async def clients(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        for end in range(1, 4):
            writer.write(REQUEST[:end])
            await asyncio.sleep(0.05)
            writer.write(REQUEST[end:])
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            await reader.readuntil(b"\r\n\r\n")
            assert b"features" in await reader.read(4096)
        ended = asyncio.ensure_future(reader.read())
        writer.write(b"GET /")
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait([ended], timeout=0.05)
        with suppress(ConnectionError):
            assert await ended == b""

    serve_to(tmp_path / "service.db", clients)


def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed at once; when another ends, there is a place again."""
    monkeypatch.setattr(serve_process, "most_connections", lambda: 2)

    async def answer(client: Client) -> bytes:
        client[1].write(REQUEST)
        return await client[0].readline()

    async def clients(connect: Callable[[], Awaitable[Client]]) -> None:
        first, second = await connect(), await connect()
        assert await answer(first) == await answer(second) == b"HTTP/1.1 200 OK\r\n"
        assert await _is_closed(await connect())
        first[1].write(b"nonsense\r\n\r\n")
        await _is_closed(first)
        assert await answer(await connect()) == b"HTTP/1.1 200 OK\r\n"

    serve_to(tmp_path / "service.db", clients)


def test_there_are_descriptors_for_every_connection() -> None:
    """All that the system grants are taken, and some are kept back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = connections.most_connections()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard == before[1]
    assert hard // 2 <= most < hard or most == connections._MOST
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
