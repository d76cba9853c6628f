"""Connections that would keep memory or a place for nothing, and lose it."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_BYTES: Final = 16 * 1024
_AROUND: Final = len(b": \r\n")  # in a field's line, besides its name and its value
_HELD_BYTES: Final = 16 * 1024
_UNREAD_S: Final = 30.0  # for each piece of an answer, of 64 KiB at the most
_REST_S: Final = 15.0
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class _Transport:
    """A transport to which one may write at any time, as asyncio's own lets one.

    uvloop's raises an error when the other side was found to be gone, of which the protocol has not
    heard yet; uvicorn would log that, and so could anybody have as much logged as he likes.

    What is written in one turn of the loop goes together, at once where it ends an answer: uvicorn
    writes the head apart from the body, which would be two packets, and the other side woken twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = bytearray()
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Writes, unless it is too late."""
        if not self._held:
            self._loop.call_soon(self.release)
        self._held += data
        if len(self._held) >= _HELD_BYTES:
            self.release()

    def close(self) -> None:
        """Closes, once everything is written."""
        self.release()
        self._transport.close()

    def release(self) -> None:
        """What is held goes now."""
        if self._held and not self.is_closing():
            self._transport.write(bytes(self._held))
        self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits for ever and keeps what it is sent.

    A header, or whatever else is neither a header's end nor a body, may have 16 KiB, else it is
    answered by 431. An answer of which nothing is read for 30 s, and a body that has not ended 15 s
    after its answer, lose their connection.
    """

    _is_too_large = False
    _pending_bytes = 0
    _has_progress = False
    _is_in_message = False
    _is_answered = True
    _unread: asyncio.TimerHandle | None = None
    _rest: asyncio.TimerHandle | None = None
    _writer: _Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        self._writer = _Transport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._writer))
        # Nothing at all may stay unread unnoticed, not even by who was told goodbye. (With 0 uvloop
        # never goes on over TLS.)
        transport.set_write_buffer_limits(high=1)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        self._forget_unread()
        self._forget_rest()
        # uvicorn leaves it be after a reset, and with it all that belonged to the connection.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # What points at each other in a circle stays until the collector comes by, which is seldom.
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self._has_progress = False
        super().data_received(data)
        self._pending_bytes = 0 if self._has_progress else self._pending_bytes + len(data)
        if self._pending_bytes > _HEADER_BYTES and not self.transport.is_closing():
            self._is_too_large = True
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """As uvicorn calls it when the parser has raised an error."""
        if not self._is_answered:
            self.transport.abort()
        elif self._is_too_large:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """As asyncio calls it."""
        super().pause_writing()
        self._unread = self.loop.call_later(_UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """As asyncio calls it."""
        self._forget_unread()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """As the parser calls it."""
        super().on_message_begin()
        self._has_progress = self._is_in_message = True

    def on_headers_complete(self) -> None:
        """As the parser calls it; an error that is raised here ends the connection."""
        fields = chain.from_iterable(self.headers)
        size = len(self.url) + sum(map(len, fields)) + len(self.headers) * _AROUND
        if size > _HEADER_BYTES:
            self._is_too_large = True
            raise ValueError("too large a header")
        self._has_progress = True
        self._is_answered = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """As the parser calls it."""
        self._has_progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """As the parser calls it."""
        self._is_in_message = False
        self._forget_rest()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As a finished answer calls it."""
        self._writer.release()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self._is_answered = self.cycle.response_complete
        if self._is_in_message and self._is_answered and self._rest is None:
            self._rest = self.loop.call_later(_REST_S, self.transport.abort)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _forget_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
