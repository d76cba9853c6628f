"""How a server ends: told in time, and cutting nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from smfs.cli import connections
from smfs.cli.serve_tls import Tls
from tests.cli.serving import PATIENCE, Running, is_closed, make_certificate, run


def test_it_says_so_before_it_stops_listening() -> None:
    """In the delay new connections are taken, and each answer asks to connect anew."""

    async def test() -> None:
        one = Running(delay=PATIENCE)
        one.start()
        old = await one.connect()
        assert await one.ask(old, "/readyz") == (200, True)
        one.server.end()
        await one.application.drained.wait()
        assert await one.ask(old, "/readyz") == (503, False)
        assert await old[0].read() == b""
        assert await one.ask(await one.connect(), "/x") == (200, False)
        assert one.application.events == ["drain"]
        one.server.end_at_once()
        await one.ended()
        assert one.application.events == ["drain", "end waiting"]

    run(test)


def test_what_was_accepted_is_finished() -> None:
    """A request that is worked on, and one that lies unread; nobody else gets in."""

    async def test() -> None:
        one = Running()
        one.start()
        slow = await one.connect()
        asking = asyncio.create_task(one.ask(slow, "/slow"))
        await one.application.asked.wait()
        idle = socket.create_connection(one.address)
        reader, writer = await asyncio.open_connection(sock=idle.dup())
        one.opened.append(writer)
        assert await one.ask((reader, writer), "/x") == (200, True)

        request = b"GET /unread HTTP/1.1\r\nHost: x\r\n\r\n"
        one.application.in_the_end = lambda: idle.sendall(request)
        one.server.end()
        assert await one.answer((reader, writer), "/unread") == (200, False)
        with pytest.raises(ConnectionRefusedError):
            await one.connect()
        one.application.let_go.set()
        assert (await asking)[0] == 200
        await one.ended()
        idle.close()

    run(test)


@pytest.mark.parametrize("hurry", [True, False])
def test_it_waits_no_longer_than_it_is_let(hurry: bool) -> None:  # noqa: FBT001
    """A second signal cuts the connections; the end of the grace is told to who still waits."""

    async def test() -> None:
        one = Running(grace=PATIENCE if hurry else 0.1)
        one.start()
        slow = await one.connect()
        slow[1].write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await one.application.asked.wait()
        one.server.end()
        if hurry:
            one.server.end_at_once()
            assert await is_closed(slow)
        else:
            assert await slow[0].readline() == b"HTTP/1.1 500 Internal Server Error\r\n"
        await one.ended()

    run(test)


def test_handshakes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as connections, one too many is closed, and they have so long and no longer."""
    make_certificate(tmp_path, "x")
    monkeypatch.setattr(connections, "_SILENT_S", 1.0)

    async def test() -> None:
        one = Running(most=2)
        one.tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem").context
        one.start()
        silent = [await one.connect() for _ in range(2)]
        assert await is_closed(await one.connect())
        assert [await is_closed(each) for each in silent] == [True, True]
        one.trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert await one.ask(await one.connect(), "/x") == (200, True)
        one.server.end()
        await one.ended()

    run(test)


def test_a_handshake_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Nothing was asked on it."""
    make_certificate(tmp_path, "x")

    async def test() -> None:
        one = Running()
        one.tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem").context
        one.start()
        silent = await one.connect()
        one.trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert await one.ask(await one.connect(), "/x") == (200, True)
        one.server.end()
        await one.task
        assert await is_closed(silent)
        await one.ended()

    run(test)
