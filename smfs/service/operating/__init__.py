"""What an operator needs around the service: probes, metrics, logs, limits, draining, CORS."""

from __future__ import annotations

from smfs.service.operating.metrics import PrometheusMeters, forget_process
from smfs.service.operating.options import OperatingOptions
from smfs.service.operating.request_ids import RequestIdFilter
from smfs.service.operating.wrapper import Operated, Operating

__all__ = [
    "Operated",
    "Operating",
    "OperatingOptions",
    "PrometheusMeters",
    "RequestIdFilter",
    "forget_process",
]
