"""The service's figures in the form of Prometheus, for one process or several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from smfs.protocol import requests
from smfs.service.meters import HookOutcome, Limit, StoreFault
from smfs.service.operating.process import ProcessMeters

OTHER: Final = "other"
"""The label of whatever is no route of the route table."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

# prometheus-client looks at this when it is imported, and so do we.
_IS_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR" in os.environ
_LATENCIES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WAITS: Final = (0.1, 1, 5, 10, 15, 20, 25, 30)


def forget_process(pid: int, directory: Path) -> None:
    """A worker has ended: what it measured of itself is over, what it counted stays.

    Args:
        pid: its process.
        directory: what PROMETHEUS_MULTIPROC_DIR was for it.
    """
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]


class PrometheusMeters:
    """Implements `smfs.service.meters.Meters`, and what the layer around the service counts.

    With PROMETHEUS_MULTIPROC_DIR set before the first import of this module, the figures lie in
    files there and are added up over all processes; then a process must have one of these only, and
    the directory must be empty at the start and in memory (/run): a full disk would end whoever
    counts.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = None if _IS_SHARED else CollectorRegistry()
        self._add_requests()
        self._add_rest()
        self._process = ProcessMeters(self._registry)

    def _add_requests(self) -> None:
        self._requests = self._counter("requests", "Answered requests.", "route", "status")
        # The library's own look-up of a label costs more than to count.
        self._by_route: dict[tuple[str, int], Counter] = {}
        latency = Histogram(
            "smfs_request_seconds",
            "From a request's head to its answer, without what a feed waited for a change.",
            ["route"],
            buckets=_LATENCIES,
            registry=self._registry,
        )
        self._latency = {route: latency.labels(route) for route in (*requests.ROUTES, OTHER)}
        self._waits = Histogram(
            "smfs_feed_wait_seconds",
            "How long feeds waited for a change.",
            buckets=_WAITS,
            registry=self._registry,
        )
        self._open = self._gauge("open_requests", "Requests under way.")
        self._waiting = self._gauge("waiting_feeds", "Requests that wait for a change.")

    def _add_rest(self) -> None:
        limited = self._counter("limited", "Requests and connections turned away.", "reason")
        self._limited = _children(limited, Limit)
        hooks = self._counter("hooks", "Deliveries to hooks that ended.", "outcome")
        self._hooks = _children(hooks, HookOutcome)
        errors = self._counter("store_errors", "Failures of the store.", "kind")
        self._errors = _children(errors, StoreFault)
        # It is the same whichever process asks the store.
        self._queued = self._gauge("hooks_queued", "Deliveries that wait.", "mostrecent")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"smfs_{name}", text, labels, registry=self._registry)

    def _gauge(
        self, name: str, text: str, mode: Literal["livesum", "mostrecent"] = "livesum"
    ) -> Gauge:
        gauge = Gauge(f"smfs_{name}", text, registry=self._registry, multiprocess_mode=mode)
        gauge.set(0)
        return gauge

    # --- Meters -------------------------------------------------------------------------------

    def store_error(self, kind: StoreFault) -> None:
        """The store failed once."""
        self._errors[kind].inc()

    def hook(self, outcome: HookOutcome) -> None:
        """A delivery to a hook ended."""
        self._hooks[outcome].inc()

    def limited(self, reason: Limit) -> None:
        """A request or a connection was turned away."""
        self._limited[reason].inc()

    # --- of the layer around the service ------------------------------------------------------

    def opened(self, by: int) -> None:
        """So many more requests are under way, or fewer."""
        self._open.inc(by)

    def waiting(self, by: int) -> None:
        """So many more requests wait, or fewer."""
        self._waiting.inc(by)

    def answered(self, route: str, status: int) -> None:
        """A request was answered."""
        child = self._by_route.get((route, status))
        if child is None:
            child = self._by_route[route, status] = self._requests.labels(route, str(status))
        child.inc()

    def worked(self, route: str, seconds: float, waited: float) -> None:
        """The service was asked, worked and waited so long."""
        self._latency[route].observe(seconds)
        if waited:
            self._waits.observe(waited)

    def queued(self, count: float) -> None:
        """So many deliveries to hooks wait; NaN: nobody knows."""
        self._queued.set(count)

    def refresh(self) -> None:
        """Looks at the process again."""
        self._process.refresh()

    def render(self) -> bytes:
        """All figures as text; for any thread."""
        registry = self._registry
        if registry is None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _children(counter: Counter, labels: Iterable[StrEnum]) -> dict[str, Counter]:
    # They are all there from the start: what appears with its first event has no rate before it.
    return {label: counter.labels(label.value) for label in labels}
