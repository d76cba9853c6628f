"""What operators and their machines ask: `/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio
import anyio.to_thread

from smfs.errors import SmfsError
from smfs.service.http import Response, json_response
from smfs.service.operating.clients import is_this_machine
from smfs.service.operating.metrics import CONTENT_TYPE, PrometheusMeters
from smfs.service.operating.options import OperatingOptions

HEALTH: Final = b"/healthz"
READY: Final = b"/readyz"
METRICS: Final = b"/metrics"

_QUEUE_S: Final = 1.0


def healthy() -> Response:
    """The answer to `/healthz`: that there is one says it all."""
    return json_response({"ok": True}, cache_control="no-store")


def readiness(reason: str | None) -> Response:
    """The answer to `/readyz`.

    Args:
        reason: why it is not ready; None: it is.
    """
    if reason is None:
        return json_response({"ready": True}, cache_control="no-store")
    value = {"ready": False, "reason": reason}
    return json_response(value, 503, cache_control="no-store", retry_after="1")


class MetricsPage:
    """Shows the figures to whom the options let see them.

    Args:
        options: say who that is.
        meters: whose figures.
        queued_hooks: asks the store how many deliveries wait.
    """

    def __init__(
        self,
        options: OperatingOptions,
        meters: PrometheusMeters,
        queued_hooks: Callable[[], Awaitable[int]],
    ) -> None:
        self._token = options.metrics_token
        self._is_public = options.public_metrics
        self._meters = meters
        self._queued_hooks = queued_hooks
        # It takes milliseconds, in which others must be answered; and never more than one core.
        self._rendering = anyio.CapacityLimiter(1)

    async def show(self, host: str, headers: Mapping[bytes, bytes]) -> Response:
        """The answer to `/metrics`.

        Args:
            host: the address of who asks.
            headers: of the request.
        """
        if self._token is not None:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                value = {"error": "Metrics need the bearer token!"}
                return json_response(value, 401, www_authenticate="Bearer")
        elif not self._is_public and not is_this_machine(host, headers):
            return json_response({"error": "Metrics are for this machine only!"}, 403)
        self._meters.queued(await self._queued())
        self._meters.refresh()
        text = await anyio.to_thread.run_sync(self._meters.render, limiter=self._rendering)
        return Response(200, text, CONTENT_TYPE, {"cache-control": "no-store"})

    async def _queued(self) -> float:
        with anyio.move_on_after(_QUEUE_S):
            try:
                return await self._queued_hooks()
            except SmfsError:
                return float("nan")
        return float("nan")
