"""The layer itself: every request passes it before the service, and every answer after."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from smfs.protocol import discovery, requests
from smfs.service.http import Message, Receive, Response, Send, json_response
from smfs.service.meters import Limit
from smfs.service.operating import cors, pages
from smfs.service.operating.access import Access, is_logged, log_access
from smfs.service.operating.by_address import AddressLimits
from smfs.service.operating.clients import host_of
from smfs.service.operating.exchange import Exchange
from smfs.service.operating.metrics import OTHER, PrometheusMeters
from smfs.service.operating.options import OperatingOptions
from smfs.service.operating.readiness import Readiness
from smfs.service.operating.request_ids import HEADER, REQUEST_ID, id_of

_ROUTES: Final = {request.path().encode(): name for name, request in requests.ROUTES.items()}
_ASKED: Final = frozenset((*_ROUTES, discovery.PATH.encode()))
_READING: Final = ("GET", "HEAD")
_GONE: Final = 499
"""The status, after nginx's, of a request whose client went away before there was an answer."""
_REFRESH_S: Final = 1.0


class Operated(Protocol):
    """The application within, as this layer needs it."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One ASGI connection."""

    async def check_ready(self) -> None:
        """Raises an `SmfsError` when the store cannot be used now."""

    async def queued_hooks(self) -> int:
        """How many deliveries to hooks wait; raises an `SmfsError` when nobody can tell."""


class Operating:
    """An ASGI 3 application around the service, for one event loop.

    Of its own it answers GET and HEAD of these:

    * `/healthz`: 200 as long as the process lives;
    * `/readyz`: 200, or 503 and a reason when requests are better sent elsewhere;
    * `/metrics`: the figures, to this machine only unless the options say otherwise.

    The first two are not limited, counted or logged. All else passes the limits by address, and
    is then the service's.

    Args:
        service: what it is put around; it is started and stopped by others.
        options: what the operator chose.
        meters: what counts, given to the service as well; None: one of its own.
        now: a clock that nobody can move, s.

    Attributes:
        open_requests: how many are under way.

    Raises:
        InvalidInput: for limits that let nothing through.
    """

    def __init__(
        self,
        service: Operated,
        options: OperatingOptions,
        meters: PrometheusMeters | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._meters = meters or PrometheusMeters()
        self._now = now
        self._level = logging.INFO if options.access_log else logging.WARNING
        self._limits = AddressLimits(options, self._meters, now)
        self._cors = cors.Cors(options.cors_origins)
        self._readiness = Readiness(service.check_ready, options.ready_s, now)
        self._metrics = pages.MetricsPage(options, self._meters, service.queued_hooks)
        self._is_draining = False
        self._is_refusing = False
        self._refresh_at = float("-inf")
        self.open_requests = 0

    def drain(self) -> None:
        """From now on `/readyz` says that requests are better sent elsewhere; all are answered."""
        self._is_draining = True

    def refuse(self) -> None:
        """As `drain`, and new requests are turned away; those under way are finished."""
        self._is_draining = self._is_refusing = True

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] != "http":
            await self._service(scope, receive, send)
            return
        path = _path(scope)
        if path in (pages.HEALTH, pages.READY) and scope["method"] in _READING:
            await (await self._probed(path)).send(send)
        else:
            await self._serve(path, scope, receive, send)

    async def _probed(self, path: bytes) -> Response:
        if path == pages.HEALTH:
            return pages.healthy()
        if self._is_draining:
            return pages.readiness("draining")
        return pages.readiness(await self._readiness.reason())

    async def _serve(self, path: bytes, scope: Message, receive: Receive, send: Send) -> None:
        began = self._now()
        headers = _headers(scope)
        request_id = id_of(headers.get(HEADER))
        added = ((HEADER, request_id.encode()), *self._cors.headers(headers.get(b"origin")))
        exchange = Exchange(receive, send, added, self._meters, self._now)
        token = REQUEST_ID.set(request_id)
        self.open_requests += 1
        self._meters.opened(1)
        try:
            await self._let_in(path, scope, headers, exchange)
        except Exception:
            exchange.status = exchange.status or 500
            raise
        finally:
            self.open_requests -= 1
            self._meters.opened(-1)
            self._note(path, scope, exchange, began)
            REQUEST_ID.reset(token)

    async def _let_in(
        self, path: bytes, scope: Message, headers: Mapping[bytes, bytes], exchange: Exchange
    ) -> None:
        host = host_of(scope)
        is_metrics = path == pages.METRICS and scope["method"] in _READING
        if self._is_refusing and not is_metrics:
            self._meters.limited(Limit.DRAINING)
            await _stopping().send(exchange.send)
            return
        refusal = self._limits.enter(host)
        if refusal is not None:
            await refusal.send(exchange.send)
            return
        try:
            if is_metrics:
                await (await self._metrics.show(host, headers)).send(exchange.send)
            elif path in _ASKED and self._cors.is_preflight(scope["method"], headers):
                await cors.allow(exchange.send)
            else:
                exchange.is_served = True
                await self._service(scope, exchange.receive, exchange.send)
        finally:
            self._limits.leave(host)

    def _note(self, path: bytes, scope: Message, exchange: Exchange, began: float) -> None:
        now = self._now()
        route, status = _ROUTES.get(path, OTHER), exchange.status or _GONE
        seconds = now - began - exchange.waited
        self._meters.answered(route, status)
        if exchange.is_served:
            self._meters.worked(route, seconds, exchange.waited)
        if now >= self._refresh_at:
            self._refresh_at = now + _REFRESH_S
            self._meters.refresh()
        level = logging.WARNING if exchange.is_served and status >= 500 else logging.INFO
        if level >= self._level and is_logged(level):
            size = exchange.bytes_in, exchange.bytes_out
            access = Access(REQUEST_ID.get(), route, status, seconds * 1000, *size, host_of(scope))
            log_access(access, level)


def _path(scope: Message) -> bytes:
    # As it was sent, which is what the service goes by.
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    return raw.partition(b"?")[0]


def _headers(scope: Message) -> dict[bytes, bytes]:
    # Of doubled ones the first one counts, as for the service.
    return dict(reversed(scope["headers"]))


def _stopping() -> Response:
    headers = {"retry_after": "1", "connection": "close"}
    return json_response({"error": "The service is stopping!"}, 503, **headers)
