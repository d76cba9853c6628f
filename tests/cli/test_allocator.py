"""Memory goes back to the system, in a process of its own that begins without any history."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path

from smfs.cli.allocator import bound_allocator


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if "bound" in sys.argv:
    bound_allocator()
bytearray(b"x") * 20_000_000  # as glibc sees it, so large a block comes and goes
before = resident()
large, small = [], []
for _ in range(60):
    large.append(bytearray(b"x") * 1_000_000)
    small.append(bytearray(b"x") * 1000)
large.clear()
print(resident() - before)
"""


def kept(*arguments: str) -> int:
    """How much a process keeps of 60 MB that it has let go, with something small in between."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_what_is_free_goes_back() -> None:
    """Whatever else was allocated in the meantime, and however large a block was before."""
    assert kept("bound") < 5_000_000


def test_by_itself_it_does_not() -> None:
    """Else there is nothing to bound, and the module can go."""
    assert kept() > 30_000_000
