#!/usr/bin/env python3
"""What `bench-service` says in the end."""

from __future__ import annotations

from bench_process import Memory
from bench_rates import Cell, Sample, middle
from bench_report import shown


def print_rates(samples: dict[Cell, list[Sample]]) -> None:
    """The rates, one block for each operation."""
    last = None
    for cell in sorted(samples, key=lambda cell: list(samples).index(cell)):
        if cell.operation != last:
            last = cell.operation
            print(f"\n{last}")
            print(
                f"  {'connections':>11} {'':16}{'req/s':>9}{'median':>10}{'p99':>10}"
                f"{'CPU s/1000':>12}{'generator':>11}"
            )
        taken = samples[cell]
        cpu = middle(taken, "cpu")
        print(
            f"  {cell.connections:>11} {cell.server:16}{middle(taken, 'rate'):>9,.0f}"
            f"{shown(middle(taken, 'median'), 's'):>10}{shown(middle(taken, 'p99'), 's'):>10}"
            f"{'' if cpu is None else f'{cpu:.2f}':>12}{middle(taken, 'generator'):>11.0%}"
        )


def print_memory(memories: dict[str, tuple[Memory, Memory]]) -> None:
    """The memory of each service."""
    print(f"\nmemory\n  {'':28}{'start RSS':>11}{'PSS':>11}{'end RSS':>11}{'PSS':>11}{'peak':>11}")
    for name, (begin, end) in memories.items():
        figures = (begin.rss, begin.pss, end.rss, end.pss, end.peak)
        print(f"  {name:28}" + "".join(f"{shown(each, 'bytes'):>11}" for each in figures))
