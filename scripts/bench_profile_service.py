#!/usr/bin/env python3
"""Where the service's time goes under load: what runs while somebody waits for an answer."""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench_load import Generator
from bench_plans import OPERATIONS, Spaces
from bench_rates import FIRST_COUNT, Load, Rates, Sample
from bench_servers import ROOT, Smfs
from bench_where import Where, most
from bench_world import PATIENCE, SCRIPTS, BrokenError

LEAST_GROUP, LEAST_LINE, LEAST_FUNCTION = 0.002, 0.01, 0.02
DEFAULT = ["set", "get"]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="profile-service",
        description=__doc__,
        epilog="A share of the time belongs to what some thread does, in equal parts where "
        "several do something at once. Looking takes some of the time itself.",
    )
    known = ", ".join(OPERATIONS)
    add = parser.add_argument
    add("operations", nargs="*", default=DEFAULT, metavar="OPERATION", help=f"of {known}")
    add("--connections", type=int, default=1, metavar="N", help="as many at once; 1")
    add("--seconds", type=float, default=5.0, help="of load for each operation; 5")
    add("--postgres", metavar="URL", help="an empty database, instead of a new SQLite file")
    add("--serve-options", type=shlex.split, default=[], metavar="TEXT", help="of `smfs serve`")
    add("--tree", type=Path, default=ROOT, metavar="DIRECTORY", help="of another version of smfs")
    add("--lines", action="store_true", help="show single lines, too")
    given = parser.parse_args()
    for operation in given.operations:
        if operation not in OPERATIONS:
            parser.error(f"{operation!r} is none of {known}")
    return given


def sampled(server: Smfs, rates: Rates, load: Load, file: Path) -> tuple[Sample, Sample]:
    """A turn, and another one in which the service is looked at."""
    found = rates.sample(server, load, FIRST_COUNT)
    count = found.rate * rates.seconds
    found = rates.sample(server, load, count)
    watched = rates.sample(server, load, count, around=lambda: server.tell("\n"))
    end = time.monotonic() + PATIENCE
    while not file.exists():
        if time.monotonic() > end:
            raise BrokenError("the sampler does not tell what it saw")
        time.sleep(0.05)
    return found, watched


def where_of(file: Path) -> Where:
    """What was seen; the file goes."""
    where = Where()
    for stacks, count in json.loads(file.read_text()):
        where.add([tuple(map(tuple, stack)) for stack in stacks], count)
    file.unlink()
    return where


def show(operation: str, samples: tuple[Sample, Sample], where: Where, *, lines: bool) -> None:
    """Tells where the time of an operation went."""
    each, watched = (1e6 / sample.rate for sample in samples)
    print(
        f"\n{operation}: {each:,.0f} µs for each request; looked at {where.total:,.0f} times, "
        f"{watched:,.0f} µs\n"
    )
    for group, share in most(where.groups, where.total, LEAST_GROUP):
        print(f"  {share:6.1%}{share * each:9,.0f} µs  {group}")
    print("\n  with all that they call:")
    for function, share in most(where.functions, where.total, LEAST_FUNCTION):
        print(f"  {share:6.1%}{share * each:9,.0f} µs  {function}")
    if lines:
        print("\n  lines:")
        for (group, line), share in most(where.lines, where.total, LEAST_LINE):
            print(f"  {share:6.1%}{share * each:9,.0f} µs  [{group}] {line}")


def main() -> int:
    """Profiles, and tells."""
    given = arguments()
    spaces = Spaces(secrets.token_hex(8), 0, 32, 10, 10)
    with ExitStack() as ending:
        directory = Path(
            ending.enter_context(tempfile.TemporaryDirectory(prefix="smfs-", dir="/var/tmp"))
        )
        file = directory / "seen.json"
        database = given.postgres or directory / "service.db"
        runner = (str(SCRIPTS / "bench_sampler.py"), str(file))
        server = Smfs("service", given.tree, database, given.serve_options, runner)
        generator = Generator()
        ending.callback(generator.close)
        ending.callback(server.stop)
        server.start()
        rates = Rates([generator], given.seconds)
        rates.populate(server, spaces)
        for operation in given.operations:
            samples = sampled(server, rates, Load(spaces, operation, given.connections), file)
            show(operation, samples, where_of(file), lines=given.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
