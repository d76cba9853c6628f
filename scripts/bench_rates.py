#!/usr/bin/env python3
"""Turns of services under load, interleaved, and what they come to."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from bench_load import Generator
from bench_plans import Spaces
from bench_process import cpu_seconds
from bench_servers import Server

FIRST_COUNT = 100
"""So many requests are signed for a first turn, from which the rate is known."""

SPARE = 1.4
"""So many times more requests are signed than will probably be sent."""

WHOLE = ("delete",)
"""The operations whose requests are all sent, for they leave something behind otherwise."""


class Cell(NamedTuple):
    """What is measured of whom."""

    operation: str
    connections: int
    server: str


@dataclass(frozen=True)
class Sample:
    """One turn.

    Attributes:
        rate: requests per second.
        median: of the latencies, in seconds.
        p99: of the latencies, in seconds.
        cpu: seconds of processor time of the service for 1,000 requests; None if not known.
        generator: the share of a processor that the generator took.
        count: how many requests there were.
    """

    rate: float
    median: float
    p99: float
    cpu: float | None
    generator: float
    count: int


class Rates:
    """Takes turns and keeps their samples.

    Args:
        generator: sends.
        seconds: how long a turn is.
    """

    def __init__(self, generator: Generator, seconds: float) -> None:
        self.samples: dict[Cell, list[Sample]] = defaultdict(list)
        self.seconds = seconds
        self._generator = generator
        self._rates: dict[Cell, float] = {}

    def populate(self, server: Server, spaces: Spaces) -> int:
        """Makes spaces; returns how many requests that took."""
        job = {"do": "populate", "address": server.address, "spaces": asdict(spaces)}
        return int(self._generator.begin(job)["requests"])

    def turn(self, server: Server, spaces: Spaces, operation: str, connections: int) -> None:
        """Measures once; the first time only the rate is found out."""
        cell = Cell(operation, connections, server.name)
        rate = self._rates.get(cell)
        sample = self.sample(
            server,
            spaces,
            operation,
            connections,
            FIRST_COUNT if rate is None else math.ceil(rate * self.seconds),
        )
        if rate is not None:
            self.samples[cell].append(sample)
        self._rates[cell] = sample.rate

    def sample(
        self,
        server: Server,
        spaces: Spaces,
        operation: str,
        connections: int,
        count: int,
        *,
        around: Callable[[], object] = lambda: None,
    ) -> Sample:
        """One turn of about so many requests, which is over after the time of one.

        Args:
            server: who is asked.
            spaces: that it has.
            operation: what is asked.
            connections: how many at once.
            count: of requests.
            around: called right before and right after.
        """
        is_whole = operation in WHOLE
        self._generator.begin(
            {
                "do": "turn",
                "address": server.address,
                "spaces": asdict(spaces),
                "operation": operation,
                "connections": connections,
                "count": max(connections, math.ceil(count * (1 if is_whole else SPARE))),
                "seconds": 0 if is_whole else self.seconds,
            }
        )
        around()
        before = cpu_seconds(server.process) if server.process else 0.0
        outcome = self._generator.go()
        around()
        spent = cpu_seconds(server.process) - before if server.process else None
        return sample_of(outcome, spent)


def sample_of(outcome: dict[str, Any], cpu: float | None) -> Sample:
    """What a turn came to."""
    ordered = sorted(outcome["latencies"])
    count, seconds = len(ordered), outcome["seconds"]
    return Sample(
        rate=count / seconds,
        median=statistics.median(ordered) / 1e9,
        p99=ordered[math.ceil(0.99 * count) - 1] / 1e9,
        cpu=None if cpu is None else cpu / count * 1000,
        generator=outcome["cpu"] / seconds,
        count=count,
    )


def middle(samples: Iterable[Sample], name: str) -> float | None:
    """The median of a figure over the rounds."""
    values = [value for each in samples if (value := getattr(each, name)) is not None]
    return statistics.median(values) if values else None


def ratio(mine: list[Sample], others: list[Sample]) -> float:
    """How many times the other's rate mine is: the median over the rounds, each with its like."""
    return statistics.median(
        each.rate / other.rate for each, other in zip(mine, others, strict=False)
    )
