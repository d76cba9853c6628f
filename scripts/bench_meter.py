#!/usr/bin/env python3
"""Samples, what they come to, and whether that is within the budget; what `bench` measures with."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

FEED = "/getChanges"
"""The request that waits for changes: it belongs to no operation, and is counted apart."""

ROUNDING = 1e-3


@dataclass(frozen=True)
class Budget:
    """What a figure may be.

    Attributes:
        kind: `ratio` (times the floor), `flat` (times the smallest space), `median` and `p95`
            (seconds), `beyond` (seconds of the median beyond one round trip), `requests` (for each
            operation), `bytes`.
        limit: the most it may be.
        subjects: of whom.
    """

    kind: str
    limit: float
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """One figure of a case.

    Attributes:
        name: for JSON.
        title: for people.
        budgets: what is asked of it.
        unit: `s` or `bytes`.
    """

    name: str
    title: str
    budgets: tuple[Budget, ...] = ()
    unit: str = "s"


@dataclass
class Series:
    """The samples of one measure on one subject."""

    samples: list[float] = field(default_factory=list)
    counted: int = 0
    requests: int = 0
    feed: int = 0

    def row(self, round_trip: float) -> dict[str, Any]:
        """What is kept of them."""
        ordered = sorted(self.samples)
        row: dict[str, Any] = {
            "count": len(ordered),
            "median": statistics.median(ordered),
            "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
            "roundTrip": round_trip,
        }
        if self.counted:
            row["requests"] = self.requests / self.counted
            row["feedRequests"] = self.feed / self.counted
        return row


class Meter:
    """Collects the samples of every measure on every subject."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str], Series] = {}

    def of(self, measure: str, subject: str) -> Series:
        """The series of a measure on a subject."""
        return self.series.setdefault((measure, subject), Series())

    def drop(self, subject: str, measures: Iterable[str]) -> None:
        """Forgets what was measured on a subject that broke."""
        for measure in measures:
            self.series.pop((measure, subject), None)


class Turn:
    """One subject's turn in one round of a case; a warm-up leaves nothing behind.

    Attributes:
        subject: whose turn it is.
        number: of the round; 0 is the warm-up.
        box: how many seconds a batch may take, but it always has one operation.
        most: how many operations a batch has at most.
    """

    def __init__(self, subject: Any, meter: Meter, *, number: int, box: float, most: int) -> None:
        self.subject = subject
        self.number = number
        self.box = box
        self.most = most
        self._meter = Meter() if number == 0 else meter

    def time(self, measure: str, work: Callable[[], object]) -> None:
        """Times one operation."""
        self.batch(measure, [work])

    def note(self, measure: str, value: float) -> None:
        """Keeps a figure that was found in another way."""
        self._meter.of(measure, self.subject.name).samples.append(value)

    def batch(
        self, measure: str, operations: Iterable[Callable[[], object]], *, whole: bool = False
    ) -> int:
        """Times operations one by one until the time is up, and counts their requests together.

        Args:
            measure: what is timed.
            operations: each one is called once.
            whole: all of them, however long it takes.

        Returns:
            how many there were.
        """
        series = self._meter.of(measure, self.subject.name)
        before = self.subject.requests()
        end = time.perf_counter() + self.box
        done = 0
        for operation in operations:
            started = time.perf_counter()
            operation()
            finished = time.perf_counter()
            series.samples.append(finished - started)
            done += 1
            if not whole and (finished > end or done == self.most):
                break
        after = self.subject.requests()
        if before is not None and after is not None:
            new = after - before
            series.counted += done
            series.feed += new.pop(FEED, 0)
            series.requests += new.total()
        return done


def judge(row: dict[str, Any], budgets: Iterable[Budget]) -> list[dict[str, Any]]:
    """The budgets of a row, with what it came to; those of which nothing is known are left out."""
    judged = []
    for budget in budgets:
        if row["subject"] not in budget.subjects:
            continue
        if budget.kind == "beyond":
            value = row["median"] - row["roundTrip"]
        elif budget.kind == "bytes":
            value = row["median"]
        elif budget.kind == "flat":
            value = row.get("ratio")
        else:
            value = row.get(budget.kind)
        if value is None:
            continue
        met = value <= budget.limit + ROUNDING * (budget.kind == "requests")
        judged.append({"kind": budget.kind, "limit": budget.limit, "value": value, "met": met})
    return judged


def rows_of(case: str, measures: Iterable[Measure], subjects: Any, meter: Meter) -> list[dict]:
    """The rows of a case, in the order of its measures and subjects."""
    rows = []
    for measure in measures:
        bases = [
            meter.series.get((measure.name, each.name)) for each in subjects if each.is_baseline
        ]
        for subject in subjects:
            series = meter.series.get((measure.name, subject.name))
            if series is None or not series.samples:
                continue
            row = {
                "case": case,
                "measure": measure.name,
                "title": measure.title,
                "unit": measure.unit,
                "subject": subject.name,
                **series.row(subject.round_trip),
            }
            if any(bases) and measure.unit == "s":
                row["ratio"] = row["median"] / statistics.median(bases[0].samples)
            row["budgets"] = judge(row, measure.budgets)
            rows.append(row)
    return rows
