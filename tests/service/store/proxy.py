"""A relay before PostgreSQL that cuts a connection exactly at its COMMIT."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Final, Literal, Self

_COMMIT: Final = b"COMMIT\0"
_PIECE: Final = 65_536

Cut = Literal["before", "after"]


class Proxy:
    """Listens on a free port of 127.0.0.1 for as long as it is entered.

    Args:
        port: of the server.

    Attributes:
        port: its own.
        cuts: how often it has cut a connection.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._marker = b""
        self._cut: Cut | None = None
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.cuts = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._sockets:
            _shut(each)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        for each in self._sockets:
            each.close()

    def cut_once(self, cut: Cut, marker: bytes) -> None:
        """Cuts the next transaction in which the marker was said.

        Args:
            cut: before the server hears COMMIT, or after it has answered.
            marker: a part of a statement.
        """
        self._marker, self._cut = marker, cut

    def _start(self, run: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._sockets += client, server
            self._start(self._relay, client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            self._pass_on(selector, client, server)
        _shut(client)
        _shut(server)

    def _pass_on(
        self, selector: selectors.BaseSelector, client: socket.socket, server: socket.socket
    ) -> None:
        is_marked = False
        while True:
            for key, _ in selector.select():
                try:
                    piece = key.fileobj.recv(_PIECE)  # type: ignore[union-attr]
                    if not piece:
                        return
                    if key.fileobj is client:
                        is_marked = is_marked or (bool(self._marker) and self._marker in piece)
                        if is_marked and _COMMIT in piece and self._cuts_now(server, piece):
                            return
                        server.sendall(piece)
                    else:
                        client.sendall(piece)
                except OSError:
                    return

    def _cuts_now(self, server: socket.socket, piece: bytes) -> bool:
        cut, self._cut = self._cut, None
        if cut == "after":
            server.sendall(piece)
            assert server.recv(_PIECE), "the server has not answered"
        self.cuts += cut is not None
        return cut is not None


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is already
