#!/usr/bin/env python3
"""Measures the service alone under load: rates, latencies, processor time and memory."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench_engines import POSTGRESQL, SQLITE, Engine, Given, Only, Postgresql, Sqlite, other
from bench_report import machine
from bench_servers import Elsewhere
from bench_service_floors import IN_MEMORY, file_system
from bench_service_report import print_results
from bench_service_run import FULL, OPERATIONS, QUICK, WAITING, Run
from bench_world import BrokenError

BEGUN = time.monotonic()
ENGINES = (SQLITE.lower(), POSTGRESQL.lower())
KNOWN = (*OPERATIONS, WAITING)
BROKEN = (OSError, BrokenError, subprocess.SubprocessError)
EPILOG = """
Each turn, a number of connections send requests that were signed before, each its next one as soon
as the last one is answered. The services take turns within each round, in one order and then in the
other, so that a machine that gets slower is slower for all; figures are medians over the rounds.
CPU is user and system time of the service and its children. "generator" is the share of a
processor that sending took, and the block "fixed answers" what the generator does with a server
that costs nothing: no service can be measured to be faster. At one connection a service has reached
its floor when a set takes as long as an SQLite transaction, one signature and one box in turn.
"""


def say(text: str) -> None:
    """Tells how far it is, and since when."""
    print(f"bench {time.monotonic() - BEGUN:5.1f} s: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench-service", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("--quick", action="store_true", help="less of all, in under a minute")
    add("--engines", type=names, default=[SQLITE.lower()], metavar="E,…",
        help="of sqlite, and postgresql, a server made for the run; sqlite")  # fmt: skip
    add("--postgres", metavar="URL", help="measure on this empty PostgreSQL database, too")
    add("--against", metavar="REV|DIRECTORY",
        help="measure another commit or tree beside it, on SQLite")  # fmt: skip
    add("--against-url", metavar="URL", help="measure a service beside it that runs at http://…")
    add("--against-pid", type=int, metavar="PID", help="its process, for its CPU and memory")
    add("--flat", action="store_true",
        help="measure 10,000 secrets and spaces beside ten, too; takes minutes")  # fmt: skip
    add("--only", type=names, metavar="OPERATION,…",
        help=f"just these of {', '.join(KNOWN)}")  # fmt: skip
    add("--connections", type=lambda text: tuple(map(int, text.split(","))), metavar="N,…",
        help="1,16,256 if nothing is given")  # fmt: skip
    add("--serve-options", type=shlex.split, default=[], metavar="TEXT",
        help="further options of `smfs serve` of this tree, as '--workers 2'")  # fmt: skip
    add("--generators", type=int, default=1, metavar="N", help="processes that send; 1")
    add("--directory", type=Path, default=Path("/var/tmp"), metavar="DIRECTORY",
        help="where the databases are made; /var/tmp")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    add("--require", action="store_true", help="exit with 1 when a budget is missed")
    given = parser.parse_args()
    for given_names, known in ((given.engines, ENGINES), (given.only or (), KNOWN)):
        for unknown in set(given_names) - set(known):
            parser.error(f"{unknown!r} is none of {', '.join(known)}")
    return given


def names(text: str) -> list[str]:
    """What stands between commas."""
    return [name for name in text.split(",") if name]


def engines_of(given: argparse.Namespace, directory: Path, ending: ExitStack) -> list[Engine]:
    """The kinds of services that are wanted; what they are compared with is the last one."""
    engines: list[Engine] = []
    options = given.serve_options
    for name in given.engines:
        if name == SQLITE.lower():
            engines.append(Sqlite(SQLITE, directory, options))
        else:
            engines.append(Postgresql(ending, given.directory, options))
    if given.postgres:
        engines.append(Given(given.postgres, options))
    if given.against:
        engines.append(other(given.against, directory, ending))
    if given.against_url:
        engines.append(Only(Elsewhere(given.against_url, given.against_pid)))
    return engines


def perform(given: argparse.Namespace, run: Run) -> None:
    """Measures what is wanted; what was measured until something broke is kept."""
    kind = file_system(given.directory)
    if kind in IN_MEMORY:
        raise BrokenError(f"{given.directory} is in memory ({kind}): nothing would be durable")
    run.results.file_system = kind
    with ExitStack() as ending:
        directory = Path(
            ending.enter_context(tempfile.TemporaryDirectory(prefix="smfs-", dir=given.directory))
        )
        engines = engines_of(given, directory, ending)
        run.measure(engines, directory)
        if given.flat:
            for engine in engines:
                if engine.is_ours:
                    run.flatten(engine)


def main() -> int:
    """Measures, and tells.

    Returns:
        0; 1 when something broke, or with `--require` when a budget is missed.
    """
    given = arguments()
    load = os.getloadavg()[0]
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    run = Run(
        QUICK if given.quick else FULL,
        tag=secrets.token_hex(8),
        generators=given.generators,
        operations=given.only,
        connections=given.connections,
        say=say,
    )
    results = run.results
    try:
        perform(given, run)
    except BROKEN as error:
        results.broken.append(str(error))
    except (KeyboardInterrupt, SystemExit):
        results.broken.append("interrupted; this is what was measured until then")
    print_results(results)
    if given.json:
        report = {**machine(load), "quick": given.quick, **results.to_json()}
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    missed = [each for each in results.verdicts() if not each.met]
    return 1 if results.broken or (given.require and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
