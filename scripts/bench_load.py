#!/usr/bin/env python3
"""The load generator: a process of its own that signs requests first and sends them when told.

Each line of its input is a job in JSON, and so is each line of its output what came of it.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from bench_drive import FOREVER, Drive
from bench_plans import Plans, Spaces
from bench_world import BrokenError

HERE = Path(__file__).resolve()
GO = "go\n"


class Generator:
    """A generator, for who tells it what to do."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt is for the benchmark alone
        )

    def begin(self, job: dict[str, Any]) -> dict[str, Any]:
        """Has a job done, or what comes before the clock starts.

        Raises:
            BrokenError: when it went wrong.
        """
        return self._say(json.dumps(job) + "\n")

    def go(self) -> dict[str, Any]:
        """Has requests sent that are ready; raises as `begin`."""
        return self._say(GO)

    def close(self) -> None:
        """Ends it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _say(self, line: str) -> dict[str, Any]:
        self._process.stdin.write(line)
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline() or '{"broken":"the generator died"}')
        if "broken" in said:
            raise BrokenError(said["broken"])
        return said


def tell(value: dict[str, Any]) -> None:
    """Says something to who gives the jobs."""
    print(json.dumps(value), flush=True)


def plans_of(job: dict[str, Any], known: dict[str, Plans]) -> Plans:
    """The requests of a job; they go on where the last job on the same spaces ended."""
    key = json.dumps([job["address"], job["spaces"]])
    if key not in known:
        known[key] = Plans(tuple(job["address"]), Spaces(**job["spaces"]))
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


def main() -> None:
    """Does jobs until there are no more."""
    gc.disable()
    known: dict[str, Plans] = {}
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        try:
            plans = plans_of(job, known)
            if job["do"] == "populate":
                tell({"requests": plans.populate()})
            else:
                turn(job, plans)
        except (OSError, BrokenError) as error:
            tell({"broken": str(error)})
        gc.collect()


if __name__ == "__main__":
    main()
