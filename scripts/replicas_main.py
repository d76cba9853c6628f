#!/usr/bin/env python3
"""Services over one database behind a round-robin proxy, of which one after the other is killed.

Without `--suites`: many clients work there for so many minutes, and in the end nothing is lost and
nothing doubled. With it: the tests of the client and of the mount pass there.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio
from long_runs import reported, run_to_end, shortened, signals

from tests.replicas import suites
from tests.replicas.databases import made_database
from tests.replicas.replicas import COUNT, Killer, Replicas
from tests.replicas.run import Run

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = ("--allow-private-hooks", "--trusted-proxy=127.0.0.1")
MINUTES = 10.0
EVERY_S = 3.0
PRINTS_S = 10.0


async def work(replicas: Replicas, seconds: float, every: float) -> Run:
    """Clients work for so many seconds, and a line is printed now and then."""
    run = Run(replicas.url, seconds)
    began = time.monotonic()

    async def tell() -> None:
        while True:
            await trio.sleep(PRINTS_S)
            ledger = run.ledger
            print(
                f"{time.monotonic() - began:6.0f} s  done {ledger.done.total():8}"
                f"  deaths {len(replicas.deaths):4}  errors {len(ledger.errors)}"
                f"  complaints {len(ledger.complaints)}",
                flush=True,
            )

    async with trio.open_nursery() as tasks:
        tasks.start_soon(tell)
        await run.at(replicas, every)
        tasks.cancel_scope.cancel()
    return run


def described(replicas: Replicas, run: Run) -> dict[str, Any]:
    """What came of it, as JSON."""
    killed = collections.Counter(death.replica for death in replicas.deaths)
    return {
        "done": dict(run.ledger.done),
        "deaths": {str(number): count for number, count in sorted(killed.items())},
        "proxy": dict(replicas.proxy.counts()),
        "errors": shortened(run.ledger.errors),
        "complaints": shortened(run.ledger.complaints),
        "passed": not run.ledger.errors and not run.ledger.complaints and len(killed) > 1,
    }


def run_suites(replicas: Replicas, given: argparse.Namespace) -> dict[str, Any]:
    """Runs the suites; returns what came of them, as JSON."""
    command = [sys.executable, "-m", "pytest", "-q", *given.more]
    engine = "sqlite" if given.sqlite else "postgres"
    mount = [*command, "tests/mount", "--service", replicas.url]
    client = [*command, "tests/client", "--replicas", engine]
    with Killer(replicas, given.every):
        found = {"tests/mount": subprocess.run(mount, cwd=ROOT, check=False).returncode}
    found["tests/client"] = subprocess.run(client, cwd=ROOT, check=False).returncode
    print(suites.explained())
    return {"exit codes": found, "deaths": len(replicas.deaths), "passed": not any(found.values())}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="replicas", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help="how long")
    parser.add_argument(
        "--every", type=float, default=EVERY_S, metavar="S", help="until the next death"
    )
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help="so many replicas")
    parser.add_argument("--suites", action="store_true", help="the tests of client and mount")
    parser.add_argument("--sqlite", action="store_true", help="over one file, not PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the report goes, too")
    parser.add_argument("more", nargs="*", help="with --suites: further arguments of pytest")
    return parser.parse_args()


def main() -> int:
    """The program; its exit code."""
    given = arguments()
    with (
        signals(),
        tempfile.TemporaryDirectory(prefix="smfs-replicas-") as directory,
        made_database(Path(directory), postgres=not given.sqlite) as database,
        Replicas(database, Path(directory), count=given.count, options=OPTIONS) as replicas,
    ):
        if given.suites:
            found = run_suites(replicas, given)
        else:
            run = trio.run(work, replicas, given.minutes * 60, given.every)
            found = described(replicas, run)
    return reported(found, given.json)


if __name__ == "__main__":
    run_to_end(main)
