#!/usr/bin/env python3
"""What `bench` says in the end: a table, the machine, and where the time went."""

from __future__ import annotations

import datetime as dt
import io
import os
import platform
import pstats
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("smfs", "pyfuse3", "trio", "httpx", "PyNaCl", "uvicorn")
PROFILE_LINES = 25
KINDS = {
    "median": "median",
    "p95": "p95",
    "beyond": "beyond the round trip",
    "bytes": "memory",
}


def shown(value: float, unit: str) -> str:
    """A figure for people."""
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    if value >= 1:
        return f"{value:.2f} s"
    if value >= 1e-3:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} µs"


def limit_of(budget: dict[str, Any]) -> str:
    """A budget and whether it is met."""
    kind, limit = budget["kind"], budget["limit"]
    if kind == "ratio":
        text = f"≤ {limit:g} x floor"
    elif kind == "flat":
        text = f"≤ {limit:g} x the smallest"
    elif kind == "requests":
        text = f"≤ {limit:g} requests"
    else:
        text = f"≤ {shown(limit, 'bytes' if kind == 'bytes' else 's')} {KINDS[kind]}"
    return f"{text}: {'met' if budget['met'] else 'NOT MET'}"


def print_table(rows: list[dict[str, Any]], skipped: dict[str, str], broken: list[str]) -> None:
    """The figures, one block for each measure."""
    last = None
    for row in rows:
        if row["measure"] != last:
            last = row["measure"]
            print(f"\n{row['title']}")
            print(f"  {'':14}{'median':>10}{'p95':>10}{'ratio':>9}{'requests':>10}   budget")
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        requests = f"{row['requests']:.2f}" if "requests" in row else ""
        median, p95 = (shown(row[key], row["unit"]) for key in ("median", "p95"))
        budgets = "; ".join(limit_of(budget) for budget in row["budgets"])
        line = f"  {row['subject']:14}{median:>10}{p95:>10}{ratio:>9}{requests:>10}   {budgets}"
        print(line.rstrip())
    for name, reason in skipped.items():
        print(f"\nleft out: {name} ({reason})", end="")
    for each in broken:
        print(f"\nBROKEN: {each}", end="")
    met = [budget["met"] for row in rows for budget in row["budgets"]]
    print(f"\n\n{sum(met)} of {len(met)} budgets met")


def machine(load: float) -> dict[str, Any]:
    """What it ran on, without a name or a path.

    Args:
        load: the load average before it began.
    """
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": {
            "cpu": model[0] if model else platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
            "loadBefore": round(load, 2),
        },
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **{name: version(name) for name in PACKAGES},
        },
    }


def print_profiles(directory: Path) -> None:
    """Where the time of the profiled mounts went, those of one subject together."""
    files: dict[str, list[str]] = {}
    for path in sorted(directory.glob("*.prof")):
        files.setdefault(path.name.rsplit("-", 1)[0], []).append(str(path))
    for name, found in files.items():
        text = io.StringIO()
        stats = pstats.Stats(*found, stream=text)
        stats.strip_dirs().sort_stats("tottime").print_stats(PROFILE_LINES)
        print(f"\nprofile of {name}\n{text.getvalue().strip()}")
