#!/usr/bin/env python3
"""Measures the service alone: rates, latencies, processor time and memory, under load."""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench_load import Generator
from bench_plans import Spaces
from bench_process import Memory, memory
from bench_rates import Rates
from bench_servers import ROOT, Echo, Server, Smfs
from bench_service_report import print_memory, print_rates
from bench_world import BrokenError

BEGUN = time.monotonic()
BROKEN = (OSError, BrokenError, subprocess.SubprocessError)
OPERATIONS = ("set", "get", "share", "delete", "getSecretFrom", "feed")
CONNECTIONS = (1, 16, 256)
FLOOR = "floor"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: float
    spaces: int
    secrets: int


FULL = Scale(rounds=5, seconds=1.0, spaces=32, secrets=10)
QUICK = Scale(rounds=2, seconds=0.3, spaces=32, secrets=10)


def say(text: str) -> None:
    """Tells how far it is, and since when."""
    print(f"bench {time.monotonic() - BEGUN:5.1f} s: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench-service", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of all, in under a minute")
    return parser.parse_args()


def measure(given: argparse.Namespace, scale: Scale, directory: Path) -> None:
    """Measures what is wanted, and tells."""
    servers: list[Server] = [Smfs("SQLite", ROOT, directory / "service.db", [])]
    echo = Echo()
    spaces = Spaces(secrets.token_hex(8), 0, scale.spaces, scale.secrets, scale.secrets)
    with ExitStack() as ending:
        generator = Generator()
        ending.callback(generator.close)
        rates = Rates(generator, scale.seconds)
        begin: dict[str, Memory] = {}
        for server in [*servers, echo]:
            ending.callback(server.stop)
            server.start()
        for server in servers:
            begin[server.name] = memory(server.process)
            say(f"{server.name}: storing")
            rates.populate(server, spaces)
        for number in range(scale.rounds + 1):
            say(f"round {number} of {scale.rounds}" if number else "warming up")
            for operation in OPERATIONS:
                for connections in CONNECTIONS:
                    for server in servers if number % 2 else servers[::-1]:
                        rates.turn(server, spaces, operation, connections)
            for connections in CONNECTIONS:
                rates.turn(echo, spaces, "get", connections)
        print_rates(rates.samples)
        print_memory({each.name: (begin[each.name], memory(each.process)) for each in servers})


def main() -> int:
    """Measures, and tells.

    Returns:
        0; 1 when something broke.
    """
    given = arguments()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    directory = Path(tempfile.mkdtemp(prefix="smfs-bench-", dir="/var/tmp"))
    try:
        measure(given, QUICK if given.quick else FULL, directory)
    except BROKEN as error:
        print(f"BROKEN: {error}")
        return 1
    finally:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
