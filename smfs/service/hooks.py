"""Calling a hook's URL: bounded, and never into private networks by default."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import anyio
import anyio.to_thread
import httpx

from smfs.errors import SmfsError
from smfs.protocol import canonical
from smfs.service.addresses import is_public

_log: Final = logging.getLogger(__name__)

_CHECK_S: Final = 5.0
_CALL_S: Final = 10.0
_CHECKS_AT_ONCE: Final = 16
_LATER: Final = (408, 425, 429)
_REDIRECTS: Final = 5
_ANSWER_BYTES: Final = 64 * 1024
_SAME_AGAIN: Final = (307, 308)
_REDIRECTING: Final = (301, 302, 303, *_SAME_AGAIN)
_FETCH_FAILED: Final = "Network Error: fetch failed"


@dataclass(frozen=True)
class Called:
    """How a call went.

    Attributes:
        began: ms since 1970.
        error: what `lastNotification.error` says; None when it went well.
        is_final: whether it is of no use to call again.
    """

    began: int
    error: str | None
    is_final: bool


class _CallFailed(Exception):
    """A call failed; its text is what `lastNotification.error` says."""

    def __init__(self, text: str, *, is_final: bool = False) -> None:
        super().__init__(text)
        self.is_final = is_final


class _Body(httpx.AsyncByteStream):
    """A body in one piece; no generator, which a cancelled call would leave unfinished."""

    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@dataclass(frozen=True)
class _Call:
    method: str
    url: str
    body: bytes

    def parsed(self) -> httpx.URL:
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if not url.scheme or not url.host:
            raise _CallFailed(f"Network Error: Failed to parse URL from {self.url}", is_final=True)
        if url.scheme not in ("http", "https"):
            raise _CallFailed(_FETCH_FAILED, is_final=True)
        return url

    def request(self, url: httpx.URL, address: str) -> httpx.Request:
        """To the address that was checked: a second look-up might give another one."""
        return httpx.Request(
            self.method,
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                "Content-Length": str(len(self.body)),
            },
            stream=_Body(self.body),
            extensions={
                "sni_hostname": url.raw_host.decode("ascii"),
                "timeout": httpx.Timeout(_CALL_S).as_dict(),
            },
        )

    def redirected(self, status: int, location: str) -> _Call:
        """As browsers and the original do it: only 307 and 308 have the same sent again."""
        try:
            url = str(httpx.URL(self.url).join(location))
        except httpx.InvalidURL:
            raise _CallFailed(_FETCH_FAILED) from None
        return replace(self, url=url) if status in _SAME_AGAIN else _Call("GET", url, b"")


class Caller:
    """Calls the URLs of hooks (PROTOCOL.md section 14).

    Args:
        allow_private: whether targets in private networks and on this machine may be called.
        now: ms since 1970.
    """

    def __init__(self, *, allow_private: bool, now: Callable[[], int]) -> None:
        self._allow_private = allow_private
        self._now = now
        self._opening = anyio.Lock()
        self._checking = anyio.CapacityLimiter(_CHECKS_AT_ONCE)
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def aclose(self) -> None:
        """Closes what is open."""
        if self._transport is not None:
            with anyio.CancelScope(shield=True):
                await self._transport.aclose()

    async def check(self, url: str) -> Called:
        """Calls the URL of a new hook."""
        began, what = self._now(), "Notification Check"
        with anyio.move_on_after(_CHECK_S):
            async with self._checking:
                return await self._call(url, b'{"check":true}', what, _CHECK_S)
        return Called(began, _failure(what, url, _FETCH_FAILED), is_final=True)

    async def call(self, url: str, body: bytes) -> Called:
        """Tells a hook something."""
        return await self._call(url, body, "Notification", _CALL_S)

    async def _call(self, url: str, body: bytes, what: str, seconds: float) -> Called:
        began = self._now()
        failed = _CallFailed(_FETCH_FAILED)
        with anyio.move_on_after(seconds) as scope:
            try:
                await self._post(url, body)
            except _CallFailed as failure:
                failed = failure
            except Exception as failure:  # noqa: BLE001 - whatever a stranger's URL and answer do
                _log.warning("a notification failed: %s", type(failure).__name__)
            else:
                return Called(began, None, is_final=True)
        if scope.cancelled_caught:
            failed = _CallFailed(_FETCH_FAILED)
        return Called(began, _failure(what, url, str(failed)), is_final=failed.is_final)

    async def _post(self, url: str, body: bytes) -> None:
        call = _Call("POST", url, body)
        for _ in range(_REDIRECTS + 1):
            status, location, text = await self._send_to_any(call)
            if status in _REDIRECTING and location:
                call = call.redirected(status, location)
                continue
            if not 200 <= status < 300:
                shown = text.decode("utf-8", "replace")[:200]
                raise _CallFailed(
                    f"Network Error: Response not ok - status: {status}! body: {shown}",
                    is_final=status < 500 and status not in _LATER,
                )
            self._require_json(text)
            return
        raise _CallFailed(_FETCH_FAILED)

    @staticmethod
    def _require_json(text: bytes) -> None:
        try:
            canonical.decode(text)
        except SmfsError:
            reason = "Unexpected token" if text else "Unexpected end of JSON input"
            raise _CallFailed(reason, is_final=True) from None

    async def _send_to_any(self, call: _Call) -> tuple[int, str | None, bytes]:
        try:
            url = call.parsed()
            for address in await self._addresses(url):
                with suppress(httpx.ConnectError):
                    return await self._send_to(call.request(url, address))
        except (httpx.HTTPError, OSError, ValueError):
            raise _CallFailed(_FETCH_FAILED) from None
        raise _CallFailed(_FETCH_FAILED)

    async def _send_to(self, request: httpx.Request) -> tuple[int, str | None, bytes]:
        transport = await self._opened()
        response = await transport.handle_async_request(request)
        try:
            text = await _first_bytes(response)
        finally:
            await response.aclose()
        return response.status_code, response.headers.get("location"), text

    async def _opened(self) -> httpx.AsyncHTTPTransport:
        # Reading the certificates of the world takes time that a service without hooks can save.
        async with self._opening:
            if self._transport is None:
                self._transport = await anyio.to_thread.run_sync(_new_transport)
            return self._transport

    async def _addresses(self, url: httpx.URL) -> list[str]:
        port = url.port or (443 if url.scheme == "https" else 80)
        found = [
            ipaddress.ip_address(str(place[0]).partition("%")[0])
            for *_, place in await anyio.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        ]
        return [str(each) for each in found if self._allow_private or is_public(each)]


def _failure(what: str, url: str, reason: str) -> str:
    return f"{what} on {url} - caught Error: {reason}"


def _new_transport() -> httpx.AsyncHTTPTransport:
    # No connection is used twice: two names may share an address, but not a certificate.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(trust_env=False, limits=limits)


async def _first_bytes(response: httpx.Response) -> bytes:
    # As it was sent: a few bytes could inflate to any size.
    text = b""
    async for part in response.aiter_raw():
        text += part
        if len(text) > _ANSWER_BYTES:
            break
    return text[:_ANSWER_BYTES]
