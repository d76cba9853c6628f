#!/usr/bin/env python3
"""What a process and its children take: processor time and memory, as Linux counts them."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
GONE = (FileNotFoundError, ProcessLookupError)
KIB = 1024


@dataclass(frozen=True)
class Memory:
    """Of a process and its children, in bytes.

    Attributes:
        rss: what is resident, pages that several share counted for each.
        pss: the same with those pages divided.
        peak: the most that was resident, the sum of each one's own peak.
    """

    rss: int
    pss: int
    peak: int


def family(process: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    found = [process]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(*GONE):
                found += map(int, children.read_text().split())
    return found


def cpu_seconds(process: int) -> float:
    """User and system time so far, that of children that have ended included."""
    ticks = 0
    for each in family(process):
        with suppress(*GONE):
            # The name in parentheses may have spaces; behind it come the fields from the third.
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks * TICK


def memory(process: int) -> Memory:
    """How much memory is taken now."""
    rss = pss = peak = 0
    for each in family(process):
        with suppress(*GONE):
            rollup = _numbers(Path(f"/proc/{each}/smaps_rollup"))
            rss += rollup["Rss"]
            pss += rollup["Pss"]
            peak += _numbers(Path(f"/proc/{each}/status"))["VmHWM"]
    return Memory(rss * KIB, pss * KIB, peak * KIB)


def _numbers(file: Path) -> dict[str, int]:
    lines = (line.partition(":") for line in file.read_text().splitlines())
    return {key: int(value.split()[0]) for key, _, value in lines if value.endswith(" kB")}
