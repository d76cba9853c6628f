#!/usr/bin/env python3
"""Times mounts of smfs beside a filesystem in memory, and beside other tools, in one run."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench_cases import CASES, Case
from bench_meter import Measure, Meter, Turn, rows_of
from bench_report import machine, print_profiles, print_table
from bench_service import Space
from bench_subjects import Floor, Smfs, Subject, stop_all
from bench_tools import TOOLS, missing
from bench_world import SCRIPTS, BrokenError, World

BEGUN = time.monotonic()
BROKEN = (OSError, BrokenError, subprocess.SubprocessError)
NAMES = [case.name for case in CASES]
GROUPS = ("small", "large", "service")


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    few: int
    many: int
    rounds: int
    box: float
    most: int


FULL = Scale(few=1000, many=10_000, rounds=5, box=0.25, most=200)
QUICK = Scale(few=200, many=10_000, rounds=2, box=0.05, most=50)
LEFT_OUT_WHEN_QUICK = ("git", "large", "service")
FEW_AT_SERVICE = 10


@dataclass
class Run:
    """One run of the benchmarks, and what came of it."""

    scale: Scale
    world: World
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def tools(self) -> Iterator[Subject]:
        """Those other tools that are installed and work."""
        for name, tool in TOOLS.items():
            absent = missing(name)
            if absent:
                self.skipped[name] = f"not installed: {', '.join(absent)}"
                continue
            try:
                yield tool(self.world, self.scale.few)
            except BROKEN as error:
                self.skipped[name] = self._told(error)

    def small(self) -> list[Subject]:
        """What has a thousand secrets."""
        return [
            Floor(self.world, self.scale.few),
            Smfs("embedded", self.world, "small", None),
            Smfs("http", self.world, "small", 0.0),
            Smfs("http + 5 ms", self.world, "small", 0.005),
            Smfs("http + 50 ms", self.world, "small", 0.05),
            *self.tools(),
        ]

    def large(self) -> list[Subject]:
        """What has ten thousand."""
        return [
            Floor(self.world, self.scale.many),
            Smfs("embedded", self.world, "large", None),
            Smfs("http", self.world, "large", 0.0),
        ]

    def spaces(self) -> list[Subject]:
        """Spaces of both sizes at a service."""
        return [
            Space(self.world, "ten", FEW_AT_SERVICE, is_baseline=True),
            Space(self.world, "large", self.scale.many, is_baseline=False),
        ]

    def measure(self, cases: list[Case], subjects: list[Subject]) -> None:
        """Runs cases on subjects, and keeps the rows."""
        with ExitStack() as ending:
            for subject in subjects:
                ending.callback(subject.close)
            ending.callback(stop_all, subjects)
            for case in cases:
                fitting = [subject for subject in subjects if case.fits(subject)]
                self._run(case, fitting)

    def _run(self, case: Case, subjects: list[Subject]) -> None:
        meter = Meter()
        rounds = max(1, int(self.scale.rounds * case.rounds))
        going = list(subjects)
        for number in range(0 if case.warms_up else 1, rounds + 1):
            say(f"{case.name}, " + (f"round {number} of {rounds}" if number else "warming up"))
            # Nobody is always the one after the same other one.
            first = number % max(1, len(going))
            for subject in going[first:] + going[:first]:
                if not self._take(case, subject, meter, number):
                    going.remove(subject)
        self.rows += rows_of(case.name, self._measures(case), subjects, meter)

    def _measures(self, case: Case) -> list[Measure]:
        """The measures of a case, which name how many secrets there are."""
        scale = {"few": self.scale.few, "many": self.scale.many}
        return [replace(each, title=each.title.format(**scale)) for each in case.measures]

    def _told(self, error: Exception) -> str:
        """What went wrong, without the paths of this machine."""
        return str(error).replace(str(self.world.home), "").replace(str(SCRIPTS.parent), "")

    def _take(self, case: Case, subject: Subject, meter: Meter, number: int) -> bool:
        """One turn; false when it went wrong."""
        turn = Turn(subject, meter, number=number, box=self.scale.box, most=self.scale.most)
        try:
            if not subject.is_running():
                subject.start()
            case.run(turn)
        except BROKEN as error:
            meter.drop(subject.name, [measure.name for measure in case.measures])
            if subject.name in TOOLS:
                self.skipped[f"{subject.name} in {case.name}"] = self._told(error)
            else:
                self.broken.append(f"{case.name} on {subject.name}: {self._told(error)}")
            return False
        return True


def say(text: str) -> None:
    """Tells how far it is, and since when."""
    print(f"bench {time.monotonic() - BEGUN:5.1f} s: {text}", file=sys.stderr, flush=True)


def names_of(text: str) -> list[str]:
    """The cases of `--only`."""
    names = text.split(",")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(NAMES)}")
    return names


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench",
        description=__doc__,
        epilog=f"Cases: {', '.join(NAMES)}. docs/benchmarks.md says what each one does.",
    )
    parser.add_argument("--quick", action="store_true", help="less of all, in under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--only", type=names_of, metavar="CASE,…", help="just these cases")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="run the mounts of smfs under cProfile and show where their time went; the figures "
        "are worth nothing then",
    )
    return parser.parse_args()


def chosen(given: argparse.Namespace) -> list[Case]:
    """The cases that are wanted."""
    if given.only:
        return [case for case in CASES if case.name in given.only]
    return [case for case in CASES if not (given.quick and case.name in LEFT_OUT_WHEN_QUICK)]


def prepare() -> None:
    """Lets SIGTERM clean up as SIGINT does, and keeps the garbage collector out of the samples."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    gc.disable()


def profiles_of(groups: dict[str, list[Case]], scale: Scale) -> dict[str, int]:
    """The identities that the groups of cases need, and how many secrets each has."""
    needed = {}
    if groups["small"]:
        needed["small"] = scale.few
    if groups["large"] or groups["service"]:
        needed["large"] = scale.many
    if groups["service"]:
        needed["ten"] = FEW_AT_SERVICE
    return needed


def perform(given: argparse.Namespace) -> Run:
    """Measures what is wanted."""
    scale = QUICK if given.quick else FULL
    cases = chosen(given)
    groups = {group: [case for case in cases if case.group == group] for group in GROUPS}
    with World(profiling=given.profile) as world:
        run = Run(scale, world)
        try:
            fill_and_measure(run, groups)
        except (KeyboardInterrupt, SystemExit):
            run.broken.append("interrupted; this is what was measured until then")
        if given.profile:
            print_profiles(world.home)
    return run


def fill_and_measure(run: Run, groups: dict[str, list[Case]]) -> None:
    """Measures each group of cases on its subjects."""
    say("storing secrets")
    run.world.fill(profiles_of(groups, run.scale))
    for group, subjects in (("small", run.small), ("large", run.large), ("service", run.spaces)):
        if groups[group]:
            run.measure(groups[group], subjects())


def main() -> int:
    """Measures, and tells.

    Returns:
        0; 1 when something broke. A budget that is not met is no failure of the benchmark.
    """
    given = arguments()
    load = os.getloadavg()[0]
    prepare()
    run = perform(given)
    print_table(run.rows, run.skipped, run.broken)
    if given.json:
        report = {
            **machine(load),
            "quick": given.quick,
            "profiled": given.profile,
            "skipped": run.skipped,
            "broken": run.broken,
            "rows": run.rows,
        }
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if run.broken else 0


if __name__ == "__main__":
    sys.exit(main())
