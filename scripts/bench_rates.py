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


ALTERNATING = "set and delete"
"""The operation of which only the second half counts."""


@dataclass(frozen=True)
class Load:
    """What is asked of a service."""

    spaces: Spaces
    operation: str
    connections: int


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
        generator: the share of a processor that the generators took.
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
        generators: send, all at the same time.
        seconds: how long a turn is.
    """

    def __init__(self, generators: list[Generator], seconds: float) -> None:
        self.samples: dict[Cell, list[Sample]] = defaultdict(list)
        self.seconds = seconds
        self._generators = generators
        self._rates: dict[Cell, float] = {}

    def populate(self, server: Server, spaces: Spaces) -> int:
        """Makes spaces; returns how many requests that took."""
        [told] = self._all(
            [{"do": "populate", "address": server.address, "spaces": asdict(spaces)}]
        )
        return int(told["requests"])

    def turn(self, server: Server, load: Load, name: str = "") -> Sample:
        """Measures once; the first time only the rate is found out.

        Args:
            server: who is asked.
            load: what is asked.
            name: under which the sample is kept, if not that of the server.
        """
        cell = Cell(load.operation, load.connections, name or server.name)
        rate = self._rates.get(cell)
        sample = self.sample(server, load, FIRST_COUNT if rate is None else rate * self.seconds)
        if rate is not None:
            self.samples[cell].append(sample)
        self._rates[cell] = sample.rate
        return sample

    def sample(
        self,
        server: Server,
        load: Load,
        count: float,
        *,
        around: Callable[[], object] = lambda: None,
    ) -> Sample:
        """One turn of about so many requests, which is over after the time of one.

        Args:
            server: who is asked.
            load: what is asked.
            count: of requests.
            around: called right before and right after.
        """
        self._all(self._jobs(server, load, count))
        around()
        before = cpu_seconds(server.process) if server.process else 0.0
        for each in self._busy:
            each.go()
        outcomes = [each.told() for each in self._busy]
        around()
        spent = cpu_seconds(server.process) - before if server.process else None
        return sample_of(outcomes, spent, every_second=load.operation == ALTERNATING)

    def _jobs(self, server: Server, load: Load, count: float) -> list[dict[str, Any]]:
        is_whole = load.operation in WHOLE
        senders = min(len(self._generators), load.connections)
        job = {
            "do": "turn",
            "address": server.address,
            "spaces": asdict(load.spaces),
            "operation": load.operation,
            "seconds": 0 if is_whole else self.seconds,
        }
        jobs = []
        for number in range(senders):
            # The first ones take what cannot be shared out evenly.
            mine = (load.connections + senders - 1 - number) // senders
            wanted = math.ceil(count * (1 if is_whole else SPARE) / senders)
            jobs.append({**job, "connections": mine, "count": max(mine, wanted)})
        return jobs

    def _all(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._busy = self._generators[: len(jobs)]
        for each, job in zip(self._busy, jobs, strict=True):
            each.begin(job)
        return [each.told() for each in self._busy]


def sample_of(
    outcomes: list[dict[str, Any]], cpu: float | None, *, every_second: bool = False
) -> Sample:
    """What a turn came to.

    Args:
        outcomes: what each generator tells.
        cpu: seconds that the service took; None if that is not known.
        every_second: only the second, fourth, … request counts.
    """
    found = [latency for each in outcomes for latency in each["latencies"]]
    ordered = sorted(found[1::2] if every_second else found)
    count, seconds = len(ordered), max(each["seconds"] for each in outcomes)
    return Sample(
        rate=count / seconds,
        median=statistics.median(ordered) / 1e9,
        p99=ordered[math.ceil(0.99 * count) - 1] / 1e9,
        cpu=None if cpu is None else cpu / count * 1000,
        generator=sum(each["cpu"] for each in outcomes) / seconds,
        count=count,
    )


def middle(samples: Iterable[Sample], name: str) -> float | None:
    """The median of a figure over the rounds."""
    values = [value for each in samples if (value := getattr(each, name)) is not None]
    return statistics.median(values) if values else None


def ratio(mine: list[Sample], others: list[Sample], name: str) -> float:
    """How many times the other's figure mine is: the median over the rounds, each with its like."""
    pairs = zip(mine, others, strict=False)
    return statistics.median(getattr(each, name) / getattr(other, name) for each, other in pairs)


def cpu_ratio(mine: list[Sample], others: list[Sample]) -> float | None:
    """How many times the other's processor time a request takes, over all rounds together."""
    spent = [
        sum((each.cpu or 0.0) * each.count for each in taken) / sum(each.count for each in taken)
        for taken in (mine, others)
    ]
    return spent[0] / spent[1] if all(spent) else None
