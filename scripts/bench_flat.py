#!/usr/bin/env python3
"""Whether a request costs the same however much there is: in its space, and in the service."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from bench_engines import Engine
from bench_plans import Spaces
from bench_rates import ALTERNATING, Cell, Load, Rates, cpu_ratio, ratio
from bench_servers import Server

OPERATIONS = ("set", "get", "share", ALTERNATING, "getSecretFrom", "feed")
FEW = 10
LIMIT = 1.2


@dataclass(frozen=True)
class Place:
    """A space that is measured, and what is around it."""

    name: str
    server: Server
    spaces: Spaces


@dataclass(frozen=True)
class Flatness:
    """How much more an operation costs where there is much.

    Attributes:
        engine: where.
        operation: what.
        what: there is much of: `secrets` in its space, or `spaces` in the service.
        many: so many, in place of ten.
        median: of the latencies where there are few, in seconds.
        ratio: of the medians of the latencies.
        cpu: ratio of the processor time, which others on the machine touch less; None: not known.
    """

    engine: str
    operation: str
    what: str
    many: int
    median: float
    ratio: float
    cpu: float | None

    @property
    def is_met(self) -> bool:
        """Whether the budget is met."""
        return self.ratio <= LIMIT


def places(engine: Engine, rates: Rates, many: int, ending: ExitStack) -> list[Place]:
    """One small space and one large one in a small service, and a small one in a large service.

    They are filled through the service, over many connections.
    """
    small = engine.make(f"{engine.name}, {FEW} spaces")
    large = engine.make(f"{engine.name}, {many:,} spaces")
    for server in (small, large):
        ending.callback(server.stop)
        server.start()
    tag = secrets.token_hex(8)
    # Each measured space has a guest in a space of his own.
    ten, full = Spaces(tag, 0, 1, FEW, FEW), Spaces(tag, 2, 1, many, FEW)
    rates.populate(small, ten)
    rates.populate(small, full)
    rates.populate(small, Spaces(tag, 4, FEW - 4, 1, 0))
    rates.populate(large, ten)
    rates.populate(large, Spaces(tag, 4, many - 2, 1, 0))
    return [Place("few", small, ten), Place("secrets", small, full), Place("spaces", large, ten)]


def flatness(
    engine: Engine, rates: Rates, many: int, rounds: int, say: Callable[[str], None]
) -> list[Flatness]:
    """Measures on one connection, the places in turn."""
    with ExitStack() as ending:
        say(f"{engine.name}: storing {many:,} secrets in a space, and making {many:,} spaces")
        found = places(engine, rates, many, ending)
        for number in range(rounds + 1):
            say(f"{engine.name}, flatness: " + (f"round {number}" if number else "warming up"))
            for operation in OPERATIONS:
                for place in found if number % 2 else found[::-1]:
                    rates.turn(place.server, Load(place.spaces, operation, 1), place.name)
    return [
        _compared(engine.name, rates, operation, what, many)
        for what in ("secrets", "spaces")
        for operation in OPERATIONS
    ]


def _compared(engine: str, rates: Rates, operation: str, what: str, many: int) -> Flatness:
    few, much = (rates.samples[Cell(operation, 1, name)] for name in ("few", what))
    shown = "delete" if operation == ALTERNATING else operation
    median = statistics.median(sample.median for sample in few)
    return Flatness(
        engine, shown, what, many, median, ratio(much, few, "median"), cpu_ratio(much, few)
    )
