#!/usr/bin/env python3
"""The load generator: a process of its own that signs requests first and sends them when told.

Each line of its input is a job in JSON, and so is each line of its output what came of it.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from bench_drive import FOREVER, Drive
from bench_plans import Plans, Spaces
from bench_waiting import Parked, waiting_feeds
from bench_world import BrokenError

HERE = Path(__file__).resolve()
GO = "go\n"


class Generator:
    """A generator, for who tells it what to do.

    Args:
        number: of those that send at the same time, from 0.
    """

    def __init__(self, number: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt is for the benchmark alone
        )

    def begin(self, job: dict[str, Any]) -> None:
        """Gives it a job; it does what comes before the clock starts."""
        self._say(json.dumps(job) + "\n")

    def go(self) -> None:
        """Has it go on with its job."""
        self._say(GO)

    def told(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            BrokenError: when its job went wrong.
        """
        said = json.loads(self._process.stdout.readline() or '{"broken":"the generator died"}')
        if "broken" in said:
            raise BrokenError(said["broken"])
        return said

    def close(self) -> None:
        """Ends it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _say(self, line: str) -> None:
        self._process.stdin.write(line)
        self._process.stdin.flush()


def tell(value: dict[str, Any]) -> None:
    """Says something to who gives the jobs."""
    print(json.dumps(value), flush=True)


def plans_of(job: dict[str, Any], known: dict[str, Plans]) -> Plans:
    """The requests of a job; they go on where the last job on the same spaces ended."""
    key = json.dumps([job["address"], job["spaces"]])
    if key not in known:
        known[key] = Plans(tuple(job["address"]), Spaces(**job["spaces"]), int(sys.argv[1]))
    return known[key]


def turn(job: dict[str, Any], plans: Plans) -> None:
    """Signs, waits for the word, and sends."""
    messages = plans.messages(job["operation"], job["count"])
    with closing(Drive(tuple(job["address"]), job["connections"])) as drive:
        tell({"ready": len(messages)})
        sys.stdin.readline()
        outcome = drive.run(messages, job["seconds"] or FOREVER)
    tell(
        {
            "seconds": outcome.seconds,
            "cpu": outcome.cpu,
            "latencies": outcome.latencies.tolist(),
        }
    )


def wait(job: dict[str, Any], plans: Plans) -> None:
    """Has feeds wait, lets others look at the service, and wakes some one by one."""
    feeds, sets = waiting_feeds(plans, job["wakes"])
    with closing(Parked(tuple(job["address"]), feeds)) as parked:
        tell({"waiting": len(feeds)})
        sys.stdin.readline()
        tell({"latencies": parked.wake(sets)})


def populate(_job: dict[str, Any], plans: Plans) -> None:
    """Makes spaces and what is in them."""
    tell({"requests": plans.populate()})


JOBS = {"populate": populate, "turn": turn, "wait": wait}


def main() -> None:
    """Does jobs until there are no more."""
    gc.disable()
    allow_files()
    known: dict[str, Plans] = {}
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        try:
            JOBS[job["do"]](job, plans_of(job, known))
        except (OSError, BrokenError) as error:
            tell({"broken": str(error)})
        gc.collect()


def allow_files() -> None:
    """As many connections as the system lets anybody have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
