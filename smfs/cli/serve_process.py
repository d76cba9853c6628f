"""One process that serves: its listener, its service, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvicorn
import uvloop

from smfs.cli.allocator import bound_allocator
from smfs.cli.connections import BoundedProtocol, Policy, most_connections
from smfs.cli.serve_draining import DrainingServer
from smfs.cli.serve_hangup import listen_to_hangup
from smfs.cli.serve_options import METRICS_TOKEN
from smfs.cli.serve_proxies import Application, TrustedProxies
from smfs.cli.serve_tls import Tls, loaded_tls
from smfs.service import Service, ServiceOptions, create_service
from smfs.service.operating import Operating, OperatingOptions, PrometheusMeters

if TYPE_CHECKING:
    from smfs.cli.serve_options import ServeSettings

# Longer than clients keep an idle connection (httpx: 5 s), so that no request meets a closing one.
_KEEP_ALIVE: Final = 60  # seconds


def serve(
    settings: ServeSettings,
    database: Path | str,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    supervisor: int | None = None,
) -> None:
    """Serves until a signal ends it.

    Args:
        settings: how.
        database: of the service.
        listener: where.
        on_ready: called once requests are answered.
        supervisor: a descriptor; when its other end is closed, this ends too. SIGTERM is then the
            supervisor's word: it may come twice, and SIGQUIT is what ends at once.

    Raises:
        SmfsError: when it cannot start.
    """
    bound_allocator()
    tls = loaded_tls(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        process = _Process(settings, database, tls, supervisor)
        runner.run(process.run(listener, on_ready))


class _Process:
    def __init__(
        self,
        settings: ServeSettings,
        database: Path | str,
        tls: Tls | None,
        supervisor: int | None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._tls = tls
        self._supervisor = supervisor
        self._server: DrainingServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        self._listen_to_signals(asyncio.get_running_loop())
        # A signal before it serves cancels the start, and that is how it was meant.
        with contextlib.suppress(asyncio.CancelledError):
            meters = PrometheusMeters()
            options = service_options(self._settings)
            async with create_service(self._database, options=options, meters=meters) as service:
                self._server = server_of(service, self._settings, meters, self._tls)
                on_ready()
                await self._server.serve([listener])

    def _listen_to_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = asyncio.current_task()
        one = self._end_or_hurry if self._supervisor is None else self._end
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, one)
        listen_to_hangup(loop, self._tls.reload if self._tls else None, self._end)
        if self._supervisor is not None:
            loop.add_signal_handler(signal.SIGQUIT, self._hurry)
            loop.add_reader(self._supervisor, self._orphaned, self._supervisor)

    def _end(self) -> None:
        if self._server is not None:
            self._server.end()
        elif self._task is not None:
            self._task.cancel()

    def _hurry(self) -> None:
        self._end()
        if self._server is not None:
            self._server.end_at_once()

    def _end_or_hurry(self) -> None:
        if self._server is not None and self._server.should_exit:
            self._server.end_at_once()
        else:
            self._end()

    def _orphaned(self, supervisor: int) -> None:
        asyncio.get_running_loop().remove_reader(supervisor)
        self._end()


def service_options(settings: ServeSettings) -> ServiceOptions:
    """What of the settings is the service's own business."""
    rate = settings.node_rate
    return ServiceOptions(
        allow_private_hooks=settings.allow_private_hooks,
        max_content_bytes=settings.max_content,
        body_bytes=settings.max_body,
        max_secrets=settings.max_secrets,
        max_space_bytes=settings.max_space_bytes,
        node_rate=rate.per_second if rate else None,
        node_burst=rate.burst if rate else None,
        node_open=settings.node_open,
        anonymous=settings.anonymous,
        notify=settings.notify,
    )


def operating_options(settings: ServeSettings) -> OperatingOptions:
    """What of them is that of the layer around it."""
    rate = settings.address_rate
    return OperatingOptions(
        access_log=settings.access_log,
        cors_origins=frozenset(settings.cors_origins),
        metrics_token=os.environ.get(METRICS_TOKEN) or None,
        public_metrics=settings.public_metrics,
        address_rate=rate.per_second if rate else None,
        address_burst=rate.burst if rate else None,
        address_open=settings.address_open,
    )


def server_of(
    service: Service,
    settings: ServeSettings,
    meters: PrometheusMeters,
    tls: Tls | None = None,
) -> DrainingServer:
    """A server that is not started yet.

    Args:
        service: what it serves.
        settings: how.
        meters: of the service.
        tls: of its connections.
    """
    operating = Operating(service, operating_options(settings), meters)
    application: Application = operating
    if settings.trusted_proxies:
        application = TrustedProxies(application, settings.trusted_proxies)
    policy = Policy(most_connections(), meters)
    return DrainingServer(
        _config(application, policy, settings),
        policy,
        end_waiting=service.end_waiting,
        drains=operating,
        delay=settings.drain_delay,
        tls=tls.context if tls else None,
    )


def _config(application: Application, policy: Policy, settings: ServeSettings) -> uvicorn.Config:
    protocol: Any = partial(BoundedProtocol, policy)  # uvicorn only ever calls it
    config = uvicorn.Config(
        application,
        loop="none",
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    # Fractions of a second, too, which its type does not foresee.
    config.timeout_graceful_shutdown = settings.grace  # type: ignore[assignment]
    return config
