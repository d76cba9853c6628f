#!/usr/bin/env python3
"""What `bench-service` says in the end: tables, and whether the budgets are met."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bench_flat import LIMIT, Flatness
from bench_process import Memory
from bench_rates import Cell, Sample, middle, ratio
from bench_report import shown
from bench_service_floors import IN_TURN

RATES = {"set": 1000, "get": 1500}
"""Requests per second that are asked of SQLite on one connection (the design, section 7)."""

MEMORY = 100e6


@dataclass(frozen=True)
class Waited:
    """Feeds that waited at a service.

    Attributes:
        server: whose.
        count: how many.
        bytes_each: of memory that each one took; None if not known.
        idle: the share of a processor that the service took while nothing happened.
        median: from the sending of a set to the answer of its feed, in seconds.
        p99: of the same.
    """

    server: str
    count: int
    bytes_each: float | None
    idle: float | None
    median: float
    p99: float


@dataclass(frozen=True)
class Verdict:
    """A budget, and what it came to."""

    budget: str
    value: float
    met: bool


@dataclass
class Results:
    """All that was found.

    Attributes:
        baseline: the service with which the others are compared.
        ours: the services that the budgets are for.
        sqlite: the one of them that is on SQLite.
        file_system: where the databases are.
        floors: seconds, by name.
        samples: of the turns.
        memory: of each service when it began and in the end.
        waited: feeds that waited.
        flat: how flat the cost is.
        broken: what went wrong.
    """

    baseline: str = ""
    ours: list[str] = field(default_factory=list)
    sqlite: str | None = None
    file_system: str = ""
    floors: dict[str, float] = field(default_factory=dict)
    samples: dict[Cell, list[Sample]] = field(default_factory=dict)
    memory: dict[str, tuple[Memory, Memory]] = field(default_factory=dict)
    waited: list[Waited] = field(default_factory=list)
    flat: list[Flatness] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each operation, number of connections and service: medians over the rounds."""
        operations = list(dict.fromkeys(cell.operation for cell in self.samples))
        cells = sorted(self.samples, key=lambda cell: operations.index(cell.operation))
        return [self._row(cell, taken) for cell in cells if (taken := self.samples[cell])]

    def beyond_floor(self) -> float | None:
        """How many times what a set cannot do without the set on SQLite takes; None: not known."""
        taken = self.samples.get(Cell("set", 1, self.sqlite or ""))
        if not taken or not self.floors:
            return None
        return (middle(taken, "median") or 0.0) / self.floors[IN_TURN]

    def _row(self, cell: Cell, taken: list[Sample]) -> dict[str, Any]:
        row: dict[str, Any] = cell._asdict()
        for name in ("rate", "median", "p99", "cpu", "generator"):
            row[name] = middle(taken, name)
        row["rounds"] = len(taken)
        others = self.samples.get(cell._replace(server=self.baseline))
        row["ratio"] = ratio(taken, others, "rate") if others else None
        return row

    def verdicts(self) -> list[Verdict]:
        """The budgets of which something is known."""
        found = []
        for operation, least in RATES.items():
            taken = self.samples.get(Cell(operation, 1, self.sqlite or ""))
            if taken:
                rate = middle(taken, "rate") or 0.0
                text = f"{operation} on one connection, {self.sqlite}: >= {least:,}/s"
                found.append(Verdict(text, rate, rate >= least))
        for server, (_, end) in self.memory.items():
            if server in self.ours:
                text = f"memory, {server}: < {shown(MEMORY, 'bytes')}"
                found.append(Verdict(text, end.peak, end.peak < MEMORY))
        for each in self.flat:
            text = f"{each.operation} flat in {each.what}, {each.engine}: <= {LIMIT:g}"
            found.append(Verdict(text, each.ratio, each.is_met))
        return found

    def to_json(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {
            "fileSystem": self.file_system,
            "baseline": self.baseline,
            "floors": self.floors,
            "setBeyondFloors": self.beyond_floor(),
            "rows": self.rows(),
            "memory": {
                name: {"start": asdict(start), "end": asdict(end)}
                for name, (start, end) in self.memory.items()
            },
            "waiting": [asdict(each) for each in self.waited],
            "flat": [asdict(each) for each in self.flat],
            "budgets": [asdict(each) for each in self.verdicts()],
            "broken": self.broken,
        }


def print_results(results: Results) -> None:
    """The tables."""
    print(f"databases on {results.file_system}; rates are compared with {results.baseline}")
    _print_rates(results.rows())
    print("\nfloors in the same run")
    for name, seconds in results.floors.items():
        print(f"  {name:28}{shown(seconds, 's'):>10}{1 / seconds:>11,.0f}/s")
    if (times := results.beyond_floor()) is not None:
        print(f"  a set on one connection, {results.sqlite}, takes {times:.1f} x these in turn")
    _print_memory(results.memory)
    _print_waited(results.waited)
    _print_flat(results.flat)
    for each in results.broken:
        print(f"BROKEN: {each}")
    verdicts = results.verdicts()
    print("\nbudgets")
    for verdict in verdicts:
        value = f"{verdict.value:,.2f}" if verdict.value < 100 else f"{verdict.value:,.0f}"
        print(f"  {verdict.budget:56}{value:>14}  {'met' if verdict.met else 'NOT MET'}")
    print(f"{sum(each.met for each in verdicts)} of {len(verdicts)} budgets met")


def _print_rates(rows: list[dict[str, Any]]) -> None:
    last = None
    for row in rows:
        if row["operation"] != last:
            last = row["operation"]
            print(
                f"\n{last}\n  {'connections':>11}  {'':18}{'req/s':>8}{'ratio':>7}{'median':>9}"
                f"{'p99':>9}{'CPU s/1000':>12}{'generator':>11}"
            )
        median, p99 = (shown(row[name], "s") for name in ("median", "p99"))
        compared = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        cpu = "" if row["cpu"] is None else f"{row['cpu']:.2f}"
        print(
            f"  {row['connections']:>11}  {row['server']:18}{row['rate']:>8,.0f}{compared:>7}"
            f"{median:>9}{p99:>9}{cpu:>12}{row['generator']:>11.0%}"
        )


def _print_memory(memories: dict[str, tuple[Memory, Memory]]) -> None:
    if memories:
        heads = ("RSS, start", "PSS, start", "RSS, end", "PSS, end", "RSS, peak")
        print(f"\nmemory\n  {'':18}" + "".join(f"{head:>12}" for head in heads))
    for name, (begin, end) in memories.items():
        figures = (begin.rss, begin.pss, end.rss, end.pss, end.peak)
        print(f"  {name:18}" + "".join(f"{shown(each, 'bytes'):>12}" for each in figures))


def _print_waited(waited: list[Waited]) -> None:
    if waited:
        print("\nfeeds that wait: from the sending of a set to the answer of the feed")
        print(f"  {'waiting':>11}  {'':18}{'median':>9}{'p99':>9}{'KB each':>9}{'idle CPU':>10}")
    for each in waited:
        size = "" if each.bytes_each is None else f"{each.bytes_each / 1e3:.1f}"
        idle = "" if each.idle is None else f"{each.idle:.1%}"
        print(
            f"  {each.count:>11,}  {each.server:18}{shown(each.median, 's'):>9}"
            f"{shown(each.p99, 's'):>9}{size:>9}{idle:>10}"
        )


def _print_flat(flat: list[Flatness]) -> None:
    for what in dict.fromkeys((each.engine, each.what, each.many) for each in flat):
        engine, kind, many = what
        print(f"\nflat? {engine}, {many:,} {kind} in place of ten: median latency, and CPU")
        for each in flat:
            if (each.engine, each.what) == (engine, kind):
                verdict = "" if each.is_met else "  NOT MET"
                before = shown(each.median, "s")
                cpu = "" if each.cpu is None else f"   CPU x {each.cpu:.2f}"
                print(f"  {each.operation:16}{before:>9} x {each.ratio:.2f}{cpu}{verdict}")
