#!/usr/bin/env python3
"""Good and bad load at full speed at one service, or at several over one database.

In the end every good request was answered, no bad one got what it should not get, and the service
takes hardly more memory than at the beginning.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import trio
from long_runs import reported, run_to_end, shortened, signals
from soak_memory import Minutes, family, memory, processor_seconds

from tests.replicas.databases import made_database
from tests.replicas.replicas import Replicas
from tests.replicas.run import Run

SCRIPTS = Path(__file__).resolve().parent
OPTIONS = (
    "--allow-private-hooks",
    "--trusted-proxy=127.0.0.1",
    # Low enough for the floods of a small machine to be above them.
    "--node-rate=50:100",
    "--address-rate=50:100",
)
MINUTES = 10
FIRST, GROWTH = 2, 1.1
PRINTS_S = 10.0
SAMPLES_S = 1.0
PATIENCE_S = 60.0
MIB = 1024 * 1024


class Bad:
    """The bad load, in a process of its own; a context manager.

    Args:
        address: of the service, `HOST:PORT`.
    """

    def __init__(self, address: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SCRIPTS / "soak_bad.py", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=PATIENCE_S)
        self._process.kill()
        self._process.wait()

    def counts(self) -> dict[str, Any]:
        """What it met so far."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass(frozen=True)
class Sight:
    """How far a run was at one moment.

    Attributes:
        at: when.
        good: what good clients had done.
        bad: what bad ones had.
        processor: for how many seconds the service had run.
    """

    at: float
    good: int
    bad: int
    processor: float

    def since(self, before: Sight) -> str:
        """What happened in between, for people."""
        seconds = self.at - before.at
        return (
            f"good {self.good:8} ({(self.good - before.good) / seconds:5.0f}/s)"
            f"  bad {self.bad:9} ({(self.bad - before.bad) / seconds:6.0f}/s)"
            f"  cpu {(self.processor - before.processor) / seconds:5.0%}"
        )


class Soak:
    """One run.

    Args:
        replicas: the services.
        bad: the load that they are to bear.
        run: the good load.
        minutes: how long, in minutes of so many seconds.
        minute: the length of one.
    """

    def __init__(self, replicas: Replicas, bad: Bad, run: Run, minute: float) -> None:
        self._processes = [replica.process.pid for replica in replicas.replicas]
        self._bad = bad
        self._run = run
        self._began = time.monotonic()
        self.minutes = Minutes(minute)
        self.proportional = Minutes(minute)
        self.met: dict[str, Any] = {}

    async def go(self) -> None:
        """Runs until the good load has ended."""
        async with trio.open_nursery() as tasks:
            tasks.start_soon(self._sample)
            tasks.start_soon(self._print)
            await self._run.undisturbed()
            self.met = await trio.to_thread.run_sync(self._bad.counts)
            tasks.cancel_scope.cancel()

    async def _sample(self) -> None:
        while True:
            seconds = time.monotonic() - self._began
            resident, proportional = memory(self._family())
            self.minutes.note(seconds, resident)
            self.proportional.note(seconds, proportional)
            await trio.sleep(SAMPLES_S)

    async def _print(self) -> None:
        before = Sight(time.monotonic(), 0, 0, 0.0)
        while True:
            await trio.sleep(PRINTS_S)
            met = await trio.to_thread.run_sync(self._bad.counts)
            ledger, family_now = self._run.ledger, self._family()
            sight = Sight(
                time.monotonic(),
                ledger.done.total(),
                sum(sum(each.values()) for each in met["statuses"].values()),
                processor_seconds(family_now),
            )
            resident, _ = memory(family_now)
            complaints = len(ledger.complaints) + len(met["wrong"])
            print(
                f"{sight.at - self._began:6.0f} s  {sight.since(before)}  {resident / MIB:6.1f} MiB"
                f"  errors {len(ledger.errors)}  complaints {complaints}",
                flush=True,
            )
            before = sight

    def _family(self) -> list[int]:
        return [each for process in self._processes for each in family(process)]


def report(soak: Soak, run: Run, last: int) -> dict[str, Any]:
    """What came of it, as JSON."""
    before, after = soak.minutes.median(FIRST), soak.minutes.median(last)
    wrong = [*run.ledger.complaints, *soak.met["wrong"]]
    return {
        "good": dict(run.ledger.done),
        "bad": soak.met["statuses"],
        "memory": {
            "first": before,
            "last": after,
            "ratio": after / before,
            "proportional ratio": soak.proportional.median(last) / soak.proportional.median(FIRST),
        },
        "errors": shortened(run.ledger.errors),
        "complaints": shortened(wrong),
        "passed": not run.ledger.errors and not wrong and after <= GROWTH * before,
    }


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=MINUTES, metavar="N", help="how long")
    parser.add_argument(
        "--minute", type=float, default=60.0, metavar="SECONDS", help="the length of a minute"
    )
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="so many services behind a proxy"
    )
    parser.add_argument(
        "--postgres", action="store_true", help="over PostgreSQL instead of an SQLite file"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the report goes, too")
    found = parser.parse_args()
    if found.minutes < FIRST + 1:
        parser.error(f"the memory of minute {FIRST} is compared with that of a later one")
    return found


def main() -> int:
    """The program; its exit code."""
    given = arguments()
    with (
        signals(),
        tempfile.TemporaryDirectory(prefix="smfs-soak-") as directory,
        made_database(Path(directory), postgres=given.postgres) as database,
        Replicas(database, Path(directory), count=given.replicas, options=OPTIONS) as replicas,
    ):
        url = replicas.url if given.replicas > 1 else replicas.replicas[0].url
        run = Run(url, given.minutes * given.minute)
        with Bad(url.removeprefix("http://")) as bad:
            soak = Soak(replicas, bad, run, given.minute)
            trio.run(soak.go)
        found = report(soak, run, given.minutes)
    return reported(found, given.json)


if __name__ == "__main__":
    run_to_end(main)
