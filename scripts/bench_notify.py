#!/usr/bin/env python3
"""Commits of many connections at once: with no NOTIFY, with one in each, with some afterwards."""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.postgres import Cluster

GATHER_S = 0.003
KINDS = ("none", "within", "afterwards")


def write(url: str, kind: str, number: int, said: deque[int], end: threading.Event) -> int:
    """Commits until the end; returns how often."""
    count = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while not end.is_set():
            with connection.transaction():
                connection.execute(
                    "UPDATE spaces SET revision = revision + 1 WHERE id = %s", (number,)
                )
                if kind == "within":
                    connection.execute("SELECT pg_notify('bench', %s)", (f"{number:064x}",))
            if kind == "afterwards":
                said.append(number)
            count += 1
    return count


def say(url: str, said: deque[int], end: threading.Event) -> None:
    """Tells what has come together, as a replica does it."""
    with psycopg.connect(url, autocommit=True) as connection:
        while not end.wait(GATHER_S):
            numbers = {said.popleft() for _ in range(len(said))}
            if numbers:
                text = "".join(f"{each:064x}" for each in sorted(numbers))
                connection.execute("SELECT pg_notify('bench', %s)", (text,))


def rate(url: str, kind: str, connections: int, seconds: float) -> float:
    """Commits a second of all connections together."""
    end, said, counts = threading.Event(), deque[int](), [0] * connections

    def run(number: int) -> None:
        counts[number] = write(url, kind, number, said, end)

    calls: list[Callable[[], None]] = [
        lambda number=each: run(number) for each in range(connections)
    ]
    calls.append(lambda: say(url, said, end))
    with psycopg.connect(url, autocommit=True) as listening:
        listening.execute("LISTEN bench")
        threads = [threading.Thread(target=call) for call in calls]
        for each in threads:
            each.start()
        began = time.perf_counter()
        deque(listening.notifies(timeout=seconds), maxlen=0)
        took = time.perf_counter() - began
        end.set()
        for each in threads:
            each.join()
    return sum(counts) / took


def main() -> None:
    """Takes turns, and prints medians and ratios."""
    parser = argparse.ArgumentParser(prog="bench-notify", description=__doc__)
    parser.add_argument("--connections", type=int, default=16, help="that write at once; 16")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn; 2")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind; 5")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    given = parser.parse_args()
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with Cluster() as cluster:
        url = cluster.create_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE spaces (id int PRIMARY KEY, revision bigint NOT NULL)")
            connection.execute(
                "INSERT INTO spaces SELECT generate_series(0, %s), 0", (given.connections,)
            )
        for turn in range(given.rounds):
            for kind in KINDS if turn % 2 else reversed(KINDS):
                found[kind].append(rate(url, kind, given.connections, given.seconds))
    medians = {kind: statistics.median(rates) for kind, rates in found.items()}
    for kind in KINDS:
        print(f"{kind:12}{medians[kind]:10,.0f} commits/s{medians[kind] / medians['none']:8.2f} x")
    if given.json:
        given.json.write_text(json.dumps({"connections": given.connections, "rates": found}))


if __name__ == "__main__":
    main()
