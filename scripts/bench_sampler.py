#!/usr/bin/env python3
"""Runs smfs and looks at its threads 250 times a second; what `profile-service` runs.

bench_sampler.py FILE ARGS    runs `smfs ARGS`; looks from one line of input to the next, and
                              writes what it saw into FILE

cProfile would make small functions look expensive, and sees one thread at a time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

PAUSE_S = 0.004
SWITCH_S = 2e-5
"""Whoever computes gives way so soon: later, he would be seen at the end of what he computes."""

Place = tuple[str, str, int]
Stack = tuple[Place, ...]


class Sampler(threading.Thread):
    """Counts where the other threads are.

    Attributes:
        seen: how often each combination of stacks was seen, the innermost place first; a thread
            that waits for the disk has a last place of its own.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: Counter[tuple[Stack, ...]] = Counter()
        self._over = threading.Event()
        self._states: dict[int, int] = {}

    def run(self) -> None:
        """Looks until it is told to end."""
        while not self._over.wait(PAUSE_S):
            native = {each.ident: each.native_id for each in threading.enumerate()}
            frames = sys._current_frames()  # noqa: SLF001 - there is no other way to see them
            self.seen[
                tuple(
                    (self._state(native[number]), *stack_of(frame))
                    for number, frame in frames.items()
                    if native.get(number) not in (None, self.native_id, READER[0])
                )
            ] += 1

    def end(self) -> None:
        """Ends it."""
        self._over.set()
        self.join()

    def _state(self, native: int) -> Place:
        """Whether a thread runs, sleeps or waits for the disk."""
        if native not in self._states:
            self._states[native] = os.open(f"/proc/self/task/{native}/stat", os.O_RDONLY)
        text = os.pread(self._states[native], 64, 0)
        return "state", text.rpartition(b") ")[2][:1].decode(), 0


READER = [0]
"""The thread that reads the input."""


def stack_of(frame: FrameType | None) -> Stack:
    """Where a thread is, the innermost place first."""
    places = []
    while frame is not None:
        places.append((frame.f_code.co_filename, frame.f_code.co_qualname, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(places)


def control(file: Path) -> None:
    """Looks from one line of input to the next."""
    READER[0] = threading.get_native_id()
    while sys.stdin.readline():
        sampler = Sampler()
        usual = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        sampler.start()
        sys.stdin.readline()
        sampler.end()
        sys.setswitchinterval(usual)
        seen = [[list(stacks), count] for stacks, count in sampler.seen.items()]
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(seen))
        unfinished.rename(file)


def main() -> None:
    """Runs smfs to its end."""
    file = Path(sys.argv[1]).resolve()
    sys.argv = ["smfs", *sys.argv[2:]]
    threading.Thread(target=control, args=(file,), daemon=True).start()
    from smfs.cli.main import main as smfs

    smfs()


if __name__ == "__main__":
    main()
