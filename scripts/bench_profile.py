#!/usr/bin/env python3
"""Runs smfs, with its mount under cProfile while it serves; what `bench --profile` mounts with.

bench_profile.py FILE ARGS    runs `smfs ARGS`, and writes where its time went into FILE
"""

from __future__ import annotations

import cProfile
import sys
from pathlib import Path

import pyfuse3


def main() -> None:
    """Runs smfs to its end."""
    file = Path(sys.argv[1]).resolve()
    sys.argv = ["smfs", *sys.argv[2:]]
    profile = cProfile.Profile()
    serve = pyfuse3.main

    async def serve_profiled(*arguments: int, **named: int) -> None:
        # From here on, so that imports and the start of the service are not in it.
        profile.enable()
        try:
            await serve(*arguments, **named)
        finally:
            profile.disable()

    pyfuse3.main = serve_profiled
    from smfs.cli.main import main as smfs

    try:
        smfs()
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
