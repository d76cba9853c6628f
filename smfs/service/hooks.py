"""Telling the hooks: bounded, in the background, and never into private networks by default."""

from __future__ import annotations

import ipaddress
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import anyio.abc
import anyio.to_thread
import httpx

from smfs.errors import SmfsError
from smfs.protocol import canonical
from smfs.service.addresses import is_public
from smfs.service.hook_rows import Hook

_log: Final = logging.getLogger(__name__)

_CHECK_S: Final = 5.0
_CALL_S: Final = 10.0
_AT_ONCE: Final = 16
_WAITING: Final = 1000
_WAITING_BYTES: Final = 16 * 1024 * 1024
_REDIRECTS: Final = 5
_ANSWER_BYTES: Final = 64 * 1024

Note = Callable[[Hook, int, str | None], Awaitable[None]]
"""Stores how a call went: the hook, when it began (ms since 1970), the error's text."""


class _CallFailed(Exception):
    """A call failed; its text is what `lastNotification.error` says."""


class Notifier:
    """Calls the URLs of hooks (PROTOCOL.md section 14).

    Args:
        allow_private: whether targets in private networks and on this machine may be called.
        now: ms since 1970.
        note: stores how each call went.
    """

    def __init__(self, *, allow_private: bool, now: Callable[[], int], note: Note) -> None:
        self._allow_private = allow_private
        self._now = now
        self._note = note
        self._send, self._receive = anyio.create_memory_object_stream[tuple[Hook, bytes]](_WAITING)
        self._waiting_bytes = 0
        self._opening = anyio.Lock()
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Calls what is told, until it is cancelled."""
        try:
            async with self._receive, self._send, anyio.create_task_group() as tasks:
                for _ in range(_AT_ONCE):
                    tasks.start_soon(self._work)
                task_status.started()
        finally:
            if self._transport is not None:
                with anyio.CancelScope(shield=True):
                    await self._transport.aclose()

    def tell(self, hook: Hook, message: dict[str, Any]) -> None:
        """Has a hook called; when too much waits already, it is dropped."""
        body = canonical.encode(message).encode()
        if not self._enqueue(hook, body):
            _log.warning("a notification was dropped: too many are waiting")

    def _enqueue(self, hook: Hook, body: bytes) -> bool:
        if self._waiting_bytes + len(body) > _WAITING_BYTES:
            return False
        try:
            self._send.send_nowait((hook, body))
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        self._waiting_bytes += len(body)
        return True

    async def check(self, hook: Hook) -> tuple[int, str | None]:
        """Calls a new hook; returns when that began (ms since 1970) and what went wrong."""
        return await self._call(hook, b'{"check":true}', "Notification Check", _CHECK_S)

    async def _work(self) -> None:
        async for hook, body in self._receive:
            self._waiting_bytes -= len(body)
            time, error = await self._call(hook, body, "Notification", _CALL_S)
            try:
                await self._note(hook, time, error)
            except sqlite3.Error as failure:
                _log.warning("the outcome of a notification was lost: %s", type(failure).__name__)

    async def _call(
        self, hook: Hook, body: bytes, what: str, seconds: float
    ) -> tuple[int, str | None]:
        began = self._now()
        reason = "Network Error: fetch failed"
        with anyio.move_on_after(seconds) as scope:
            try:
                await self._post(hook.url, body)
            except _CallFailed as failure:
                reason = str(failure)
            except Exception as failure:  # noqa: BLE001 - whatever a stranger's URL and answer do
                _log.warning("a notification failed: %s", type(failure).__name__)
            else:
                return began, None
        if scope.cancelled_caught:
            reason = "Network Error: fetch failed"
        return began, f"{what} on {hook.url} - caught Error: {reason}"

    async def _post(self, url: str, body: bytes) -> None:
        for _ in range(_REDIRECTS + 1):
            status, location, text = await self._post_once(url, body)
            if status in (301, 302, 303, 307, 308) and location:
                url = _joined(url, location)
                continue
            if not 200 <= status < 300:
                shown = text.decode("utf-8", "replace")[:200]
                raise _CallFailed(
                    f"Network Error: Response not ok - status: {status}! body: {shown}"
                )
            self._require_json(text)
            return
        raise _CallFailed("Network Error: fetch failed")

    @staticmethod
    def _require_json(text: bytes) -> None:
        try:
            canonical.decode(text)
        except SmfsError:
            reason = "Unexpected token" if text else "Unexpected end of JSON input"
            raise _CallFailed(reason) from None

    async def _post_once(self, url: str, body: bytes) -> tuple[int, str | None, bytes]:
        try:
            request = await self._request(httpx.URL(url), body)
            transport = await self._opened()
            response = await transport.handle_async_request(request)
            try:
                text = await _first_bytes(response)
            finally:
                await response.aclose()
        except httpx.InvalidURL:
            raise _CallFailed(f"Network Error: Failed to parse URL from {url}") from None
        except (httpx.HTTPError, OSError, ValueError):
            raise _CallFailed("Network Error: fetch failed") from None
        return response.status_code, response.headers.get("location"), text

    async def _opened(self) -> httpx.AsyncHTTPTransport:
        # Reading the certificates of the world takes time that a service without hooks can save.
        async with self._opening:
            if self._transport is None:
                self._transport = await anyio.to_thread.run_sync(_new_transport)
            return self._transport

    async def _request(self, url: httpx.URL, body: bytes) -> httpx.Request:
        if not url.scheme or not url.host:
            raise httpx.InvalidURL("neither scheme nor host")
        if url.scheme not in ("http", "https"):
            raise _CallFailed("Network Error: fetch failed")
        address = await self._address(url)
        # To the address that was checked: a second look-up might give another one.
        return httpx.Request(
            "POST",
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
            content=body,
            extensions={
                "sni_hostname": url.raw_host.decode("ascii"),
                "timeout": httpx.Timeout(_CALL_S).as_dict(),
            },
        )

    async def _address(self, url: httpx.URL) -> str:
        port = url.port or (443 if url.scheme == "https" else 80)
        for _, _, _, _, place in await anyio.getaddrinfo(url.host, port):
            address = ipaddress.ip_address(str(place[0]).partition("%")[0])
            if self._allow_private or is_public(address):
                return str(address)
        raise _CallFailed("Network Error: fetch failed")


def _new_transport() -> httpx.AsyncHTTPTransport:
    # No connection is used twice: two names may share an address, but not a certificate.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(trust_env=False, limits=limits)


def _joined(url: str, location: str) -> str:
    try:
        return str(httpx.URL(url).join(location))
    except httpx.InvalidURL:
        raise _CallFailed("Network Error: fetch failed") from None


async def _first_bytes(response: httpx.Response) -> bytes:
    # As it was sent: a few bytes could inflate to any size.
    text = b""
    async for part in response.aiter_raw():
        text += part
        if len(text) > _ANSWER_BYTES:
            break
    return text[:_ANSWER_BYTES]
