"""A service in this process as a transport: no socket, but the same timeouts and errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio
import httpx

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_log: Final = logging.getLogger(__name__)


def embedded_transport(asgi_app: AsgiApp) -> EmbeddedTransport:
    """A transport whose requests are answered by an ASGI 3 application of this process.

    Starting and stopping the application is the caller's part; every request runs under a cancel
    scope, for httpx's own ASGI transport knows no timeout.

    Args:
        asgi_app: the application.
    """
    return EmbeddedTransport(asgi_app)


class EmbeddedTransport(httpx.AsyncBaseTransport):
    """As `embedded_transport` makes it."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The application's answer; an httpx error when it fails or takes too long."""
        exchange = _Exchange(await request.aread())
        timeout = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(timeout) as scope:
            await self._run(request, exchange)
        if scope.cancelled_caught:
            raise httpx.ReadTimeout("the embedded service did not answer", request=request)
        return exchange.response(request)

    async def _run(self, request: httpx.Request, exchange: _Exchange) -> None:
        try:
            await self._app(_scope(request), exchange.receive, exchange.send)
        except Exception as error:
            # The application's faults are a broken service to the client, as over a socket.
            _log.error("the embedded service failed: %s", type(error).__name__)
            raise httpx.RemoteProtocolError(
                f"the embedded service failed: {type(error).__name__}", request=request
            ) from error


class _Exchange:
    """One request and its answer, as ASGI messages."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status: int | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._complete = anyio.Event()

    async def receive(self) -> Message:
        if self._body is None:
            await self._complete.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._complete.set()

    def response(self, request: httpx.Request) -> httpx.Response:
        if self._status is None or not self._complete.is_set():
            raise httpx.RemoteProtocolError("the embedded service gave half an answer")
        return httpx.Response(
            self._status, headers=self._headers, content=b"".join(self._parts), request=request
        )


def _scope(request: httpx.Request) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
    }
