#!/usr/bin/env python3
"""How much memory a service takes, minute by minute, and how much of the processors."""

from __future__ import annotations

import collections
import contextlib
import os
import statistics
from pathlib import Path


def family(process: int) -> list[int]:
    """A process and all that it has started, and so on."""
    found = [process]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def memory(processes: list[int]) -> tuple[int, int]:
    """The resident and the proportional memory of processes, in bytes."""
    sums = {"Rss": 0, "Pss": 0}
    for each in processes:
        with contextlib.suppress(OSError):  # it may have ended
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in sums:
                    sums[name] += int(rest.split()[0]) * 1024
    return sums["Rss"], sums["Pss"]


def processor_seconds(processes: list[int]) -> float:
    """For how long processes have run on a processor."""
    ticks = 0
    for each in processes:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # proc(5): utime, stime
    return ticks / os.sysconf("SC_CLK_TCK")


class Minutes:
    """Samples, by the minute in which they were taken.

    Args:
        length: of a minute, in seconds.
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._samples: dict[int, list[int]] = collections.defaultdict(list)

    def note(self, seconds: float, size: int) -> None:
        """One sample, taken so long after the beginning."""
        self._samples[int(seconds // self._length) + 1].append(size)

    def median(self, minute: int) -> float:
        """Of one minute, the first being 1."""
        return float(statistics.median(self._samples[minute]))
