#!/usr/bin/env python3
"""Runs smfs under cProfile; what `bench --profile` mounts with.

bench_profile.py FILE ARGS    runs `smfs ARGS`, and writes where its time went into FILE
"""

from __future__ import annotations

import cProfile
import sys
from pathlib import Path


def main() -> None:
    """Runs smfs to its end."""
    file = Path(sys.argv[1]).resolve()
    sys.argv = ["smfs", *sys.argv[2:]]
    from smfs.cli.main import main as smfs

    profile = cProfile.Profile()
    try:
        profile.runcall(smfs)
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
