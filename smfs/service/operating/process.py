"""What this process takes of its machine, as Prometheus names it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

_STATM: Final = Path("/proc/self/statm")


class ProcessMeters:
    """CPU and memory, added up over the processes of a service.

    prometheus-client has the like for a single process only. A process tells of itself: it may not
    look at the others, which are made unreadable because of their keys.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._cpu = Counter(
            "process_cpu_seconds", "Total user and system CPU time, s.", registry=registry
        )
        self._memory = Gauge(
            "process_resident_memory_bytes",
            "Resident memory size, bytes.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._counted = 0.0
        self.refresh()

    def refresh(self) -> None:
        """Looks again."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        self._cpu.inc(max(0.0, used - self._counted))
        self._counted = used
        self._memory.set(int(_STATM.read_text().split()[1]) * resource.getpagesize())
