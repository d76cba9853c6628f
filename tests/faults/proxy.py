"""A proxy in front of a service that does harm to what goes through it, switched while it runs."""

from __future__ import annotations

import collections
import contextlib
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_PART: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_REMEMBERED: Final = 64

Fault = Callable[["Exchange"], None]
"""What becomes of one request; the connection ends with it unless it keeps it."""


class Broken(Exception):
    """The connection is no more."""


@dataclass(eq=False)
class Era:
    """The time from one switch to the next.

    Attributes:
        fault: what it does; None: it passes everything on.
        refuses: nobody listens.
        over: the next one has begun.
    """

    fault: Fault | None = None
    refuses: bool = False
    over: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Passed:
    """A request that went through unharmed, and its answer."""

    path: str
    request: bytes
    answer: bytes


@dataclass(eq=False)
class Exchange:
    """One request on its way.

    Attributes:
        proxy: whose.
        era: in which it came.
        client: the connection to whoever asks.
        request: all its bytes.
        number: how many came before it on this connection.
        keeps: whether the connection can take another one afterwards.
    """

    proxy: Proxy
    era: Era
    client: socket.socket
    request: bytes
    number: int
    keeps: bool = False

    @property
    def path(self) -> str:
        """What is asked for."""
        return self.request.split(b" ", 2)[1].decode()

    def deliver(self) -> bytes:
        """Hands the request to the service; returns all bytes of the answer."""
        with self.proxy.connected() as service:
            service.sendall(self.request)
            return read_message(service)

    def send(self, part: bytes) -> None:
        """Sends bytes to whoever asks."""
        try:
            self.client.sendall(part)
        except OSError:
            raise Broken from None

    def answer(self, answer: bytes) -> None:
        """Sends a whole answer; the connection stays."""
        self.send(answer)
        self.keeps = True

    def hold(self, seconds: float | None = None) -> bool:
        """Waits for so long, at most until the era is over; returns whether it is."""
        return self.era.over.wait(seconds)

    def reset(self) -> None:
        """Breaks the connection the hard way."""
        reset(self.client)


class Proxy:
    """Listens at an address of its own and hands on to a service.

    Args:
        target: host and port of the service.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._era = Era()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._busy = 0
        self._calm = threading.Condition(self._lock)
        self._listener = _listening(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._waker, self._woken = socket.socketpair()
        self._is_closed = False
        self.passed: collections.deque[Passed] = collections.deque(maxlen=_REMEMBERED)
        self.met = 0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def switch(self, fault: Fault | None, *, refuses: bool = False) -> None:
        """Begins an era.

        Args:
            fault: what happens to each request from now on; None: nothing.
            refuses: nobody listens any more, and all connections are broken.
        """
        with self._lock:
            before, self._era = self._era, Era(fault, refuses)
            gone = list(self._open) if refuses else []
        before.over.set()
        self._waker.send(b"x")
        for connection in gone:
            reset(connection)

    def heal(self) -> None:
        """Everything passes again; what was held back arrives late or breaks."""
        self.switch(None)

    def ticks(self, seconds: float) -> int:
        """How many times so many seconds have gone by since the proxy began."""
        return int((time.monotonic() - self._began) / seconds)

    def wait_until_met(self, number: int, seconds: float) -> bool:
        """Waits until so many requests have met a fault; returns whether that came."""
        with self._calm:
            return self._calm.wait_for(lambda: self.met >= number, seconds)

    def wait_until_calm(self, seconds: float) -> bool:
        """Waits until no request is under way that met a fault; returns whether that came."""
        with self._calm:
            return self._calm.wait_for(lambda: not self._busy, seconds)

    def close(self) -> None:
        """Ends."""
        self._is_closed = True
        self.switch(None, refuses=True)
        self._thread.join()
        self._waker.close()
        self._woken.close()

    @contextlib.contextmanager
    def connected(self) -> collections.abc.Iterator[socket.socket]:
        """A connection to the service."""
        try:
            service = socket.create_connection(self._target)
        except OSError:
            raise Broken from None
        with self._registered(service):
            yield service

    @contextlib.contextmanager
    def _registered(self, connection: socket.socket) -> collections.abc.Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _accept(self) -> None:
        listener: socket.socket | None = self._listener
        while not self._is_closed:
            if self._era.refuses:
                if listener is not None:
                    listener.close()
                    listener = None
            elif listener is None:
                listener = _listening(("127.0.0.1", self.port))
            waiting = [self._woken] if listener is None else [self._woken, listener]
            ready, _, _ = select.select(waiting, [], [])
            if self._woken in ready:
                self._woken.recv(_PART)
            elif listener is not None:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        if listener is not None:
            listener.close()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = 0
        with self._registered(client), contextlib.suppress(Broken, OSError):
            while self._pass_on(client, number):
                number += 1

    def _pass_on(self, client: socket.socket, number: int) -> bool:
        exchange = Exchange(self, self._era, client, read_message(client), number)
        if exchange.era.fault is not None:
            self._harm(exchange, exchange.era.fault)
            return exchange.keeps
        answer = exchange.deliver()
        while self._era.fault is not None:
            # It was under way when the fault began: nothing more of it arrives.
            self._era.over.wait()
            exchange.reset()
        self.passed.append(Passed(exchange.path, exchange.request, answer))
        exchange.answer(answer)
        return exchange.keeps

    def _harm(self, exchange: Exchange, fault: Fault) -> None:
        with self._calm:
            self.met += 1
            self._busy += 1
            self._calm.notify_all()
        try:
            fault(exchange)
        finally:
            with self._calm:
                self._busy -= 1
                self._calm.notify_all()


def read_message(connection: socket.socket) -> bytes:
    """A whole HTTP/1.1 request or answer; Broken when it ends before."""
    message = bytearray()
    end = -1
    while end < 0:
        _receive(connection, message)
        end = message.find(b"\r\n\r\n")
    declared = _LENGTH.search(message, 0, end + 2)
    whole = end + 4 + (int(declared[1]) if declared else 0)
    while len(message) < whole:
        _receive(connection, message)
    return bytes(message)


def _receive(connection: socket.socket, message: bytearray) -> None:
    try:
        part = connection.recv(_PART)
    except OSError:
        raise Broken from None
    if not part:
        raise Broken
    message += part


def reset(connection: socket.socket) -> None:
    """Ends a connection by RST, and wakes whoever waits for it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)


def _listening(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(128)
    return listener
