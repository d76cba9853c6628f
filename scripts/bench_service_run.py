#!/usr/bin/env python3
"""One run of `bench-service`: which turns are taken, in which order, and what is kept."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_engines import SQLITE, Engine
from bench_flat import flatness
from bench_load import Generator
from bench_plans import Spaces
from bench_process import Memory, cpu_seconds, memory
from bench_rates import Load, Rates
from bench_servers import Echo, Server
from bench_service_floors import Floors
from bench_service_report import Results, Waited
from bench_world import BrokenError

OPERATIONS = ("set", "get", "share", "delete", "getSecretFrom", "feed")
WAITING = "waiting"
CONNECTIONS = (1, 16, 256)
SPACES = 32
SECRETS = 10
IDLE_S = 2.0


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: of all.
        seconds: of each turn.
        waiting: how many feeds wait.
        wakes: how many of them are woken.
        many: how many secrets and spaces are called many.
        flat_rounds: of the flatness.
        flat_seconds: of each turn of the flatness.
        floor: how often each floor is measured in a round.
    """

    rounds: int
    seconds: float
    waiting: tuple[int, ...]
    wakes: int
    many: int
    flat_rounds: int
    flat_seconds: float
    floor: int


# Many short turns rather than a few long ones: what else runs on the machine hits all alike.
FULL = Scale(9, 0.5, (1, 256, 2000), 100, 10_000, 15, 0.25, 100)
QUICK = Scale(2, 0.15, (64,), 20, 1000, 5, 0.15, 50)


class Run:
    """Measures.

    Args:
        scale: how much.
        tag: tells the nodes of this run from others.
        generators: how many processes send.
        operations: which; None: all.
        connections: how many at a time; None: the usual ones.
        say: tells people how far it is.
    """

    def __init__(
        self,
        scale: Scale,
        *,
        tag: str,
        generators: int,
        operations: list[str] | None,
        connections: tuple[int, ...] | None,
        say: Callable[[str], None],
    ) -> None:
        self._scale = scale
        self._tag = tag
        self._senders = generators
        self._wanted = operations or [*OPERATIONS, WAITING]
        self._connections = connections or CONNECTIONS
        self._say = say
        self.results = Results()

    def measure(self, engines: list[Engine], directory: Path) -> None:
        """Measures a service of each kind, in turns; the last one is what the others compare with.

        Args:
            engines: of the services.
            directory: on whose disk they are.
        """
        self._name(engines)
        with ExitStack() as ending:
            rates = ending.enter_context(self._rates())
            self.results.samples = rates.samples
            echo = Echo()
            ending.callback(echo.stop)
            echo.start()
            servers = list(self._started(engines, ending))
            begin = {each.name: memory(each.process) for each in servers if each.process}
            floors = Floors(directory)
            ending.callback(floors.close)
            self._take_turns(rates, servers, echo, floors)
            # Before feeds wait, whose memory is told for each.
            for each in servers:
                if each.process:
                    self.results.memory[each.name] = begin[each.name], memory(each.process)
            if WAITING in self._wanted:
                self._wait(servers)

    def _name(self, engines: list[Engine]) -> None:
        others = [engine.name for engine in engines if not engine.is_ours]
        self.results.ours = [engine.name for engine in engines if engine.is_ours]
        self.results.sqlite = SQLITE if SQLITE in self.results.ours else None
        self.results.baseline = (others or self.results.ours)[0]

    def _started(self, engines: list[Engine], ending: ExitStack) -> Iterator[Server]:
        """A service of each kind that starts."""
        for engine in engines:
            try:
                server = engine.make(engine.name)
                ending.callback(server.stop)
                server.start()
            except BrokenError as error:
                self.results.broken.append(str(error))
            else:
                yield server

    def flatten(self, engine: Engine) -> None:
        """Measures how flat the cost is on new services of a kind."""
        scale = self._scale
        with self._rates() as rates:
            rates.seconds = scale.flat_seconds
            self.results.flat += flatness(engine, rates, scale.many, scale.flat_rounds, self._say)

    @contextmanager
    def _rates(self) -> Iterator[Rates]:
        generators = [Generator(number) for number in range(self._senders)]
        try:
            yield Rates(generators, self._scale.seconds)
        finally:
            for each in generators:
                each.close()

    def _take_turns(self, rates: Rates, servers: list[Server], echo: Echo, floors: Floors) -> None:
        spaces = Spaces(self._tag, 0, SPACES, SECRETS, SECRETS)
        for server in servers:
            self._say(f"{server.name}: making {SPACES} spaces")
            rates.populate(server, spaces)
        for number in range(self._scale.rounds + 1):
            self._say(f"round {number} of {self._scale.rounds}" if number else "warming up")
            order = servers if number % 2 else servers[::-1]
            for operation in OPERATIONS:
                for connections in self._connections if operation in self._wanted else ():
                    load = Load(spaces, operation, connections)
                    for server in order:
                        self._turn(rates, server, load)
            for connections in self._connections:
                rates.turn(echo, Load(spaces, "get", connections))
            floors.measure(self._scale.floor)
            self.results.floors = floors.medians()

    def _turn(self, rates: Rates, server: Server, load: Load) -> None:
        what = f"{load.operation} on {load.connections} connections, {server.name}"
        if any(each.startswith(what) for each in self.results.broken):
            return
        try:
            rates.turn(server, load)
        except BrokenError as error:
            self.results.broken.append(f"{what}: {error}")

    def _wait(self, servers: list[Server]) -> None:
        for count in self._scale.waiting:
            # Spaces of their own, each accepted number once.
            spaces = Spaces(self._tag, 10**6 + count * 10, count, 1, 0)
            for server in servers:
                self._say(f"{server.name}: {count:,} feeds wait")
                try:
                    self.results.waited.append(self._waited(server, spaces))
                except BrokenError as error:
                    self.results.broken.append(f"waiting, {server.name}: {error}")

    def _waited(self, server: Server, spaces: Spaces) -> Waited:
        with self._rates() as rates:
            rates.populate(server, spaces)
        generator = Generator()
        try:
            before = memory(server.process) if server.process else None
            generator.begin(
                {
                    "do": "wait",
                    "address": server.address,
                    "spaces": asdict(spaces),
                    "wakes": self._scale.wakes,
                }
            )
            generator.told()
            each, idle = self._idle(server, before, spaces.count)
            generator.go()
            latencies = sorted(generator.told()["latencies"])
        finally:
            generator.close()
        median, p99 = statistics.median(latencies), latencies[math.ceil(0.99 * len(latencies)) - 1]
        return Waited(server.name, spaces.count, each, idle, median / 1e9, p99 / 1e9)

    def _idle(
        self, server: Server, before: Memory | None, count: int
    ) -> tuple[float | None, float | None]:
        """What waiting costs: bytes for each one, and the share of a processor for all."""
        if before is None or server.process is None:
            return None, None
        each = (memory(server.process).rss - before.rss) / count
        began = cpu_seconds(server.process)
        time.sleep(IDLE_S)
        return each, (cpu_seconds(server.process) - began) / IDLE_S
