#!/usr/bin/env python3
"""What the places that a sampler has seen belong to."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench_sampler import Place, Stack

NOBODY = "nobody runs: the client and the kernel"
WAKING = "a thread wakes: the kernel, and others on the processor"
DISK = "the disk, and what SQLite does to commit"
SQLITE = "SQLite"
OURS = "our own code"
CHECK = "signature check"

SLEEPING, ON_DISK = "S", "D"
"""States of a thread (proc_pid_stat(5))."""

WAITING = {
    ("selectors.py", "EpollSelector.select"),
    ("asyncio/runners.py", "Runner.run"),  # uvloop has no frames of its own
    ("threading.py", "Condition.wait"),
    ("queue.py", "Queue.get"),
    ("concurrent/futures/thread.py", "_worker"),
    ("anyio/_backends/_asyncio.py", "WorkerThread.run"),
}
"""Where a thread waits for something to do."""

HANDING = ("WorkerThread", "CapacityLimiter", "run_sync", "call_soon_threadsafe")
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("HTTP parser, uvicorn", ("/uvicorn/", "/httptools/", "/smfs/cli/")),
    ("JSON", ("/smfs/protocol/canonical.py", "/json/")),
    ("PostgreSQL", ("/psycopg",)),
    ("event loop, anyio", ("/asyncio/", "/uvloop/", "/anyio/", "/selectors.py")),
    ("thread hand-over", ("/concurrent/futures/", "/threading.py", "/queue.py")),
)
FUNCTIONS = (
    ("/smfs/crypto/identity.py", "verify", CHECK),
    ("/smfs/protocol/signing.py", "verify", CHECK),
    ("/smfs/crypto/box.py", "", "sealing"),
)
CALLS = (".execute(", "._run(", ".executemany(", ".fetchone(", ".fetchall(", ".commit(")


@dataclass
class Where:
    """The shares of time, each a number of looks.

    Attributes:
        total: of all.
        groups: by what it belongs to.
        lines: by file and line, with its group.
        functions: by our own innermost function, all that it calls included.
    """

    total: float = 0
    groups: Counter[str] = field(default_factory=Counter)
    lines: Counter[tuple[str, str]] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)

    def add(self, stacks: Iterable[tuple[Place, ...]], count: int) -> None:
        """Adds a look at all threads, which was the same so many times."""
        self.total += count
        idle = [stack for stack in stacks if is_waiting(stack)]
        busy = [stack for stack in stacks if stack not in idle]
        if not busy:
            is_waking = any(stack[0][1] != SLEEPING for stack in idle)
            self.groups[WAKING if is_waking else NOBODY] += count
        for state, *stack in busy:
            group = DISK if state[1] == ON_DISK or is_commit(stack[0]) else group_of(tuple(stack))
            share = count / len(busy)
            self.groups[group] += share
            self.lines[group, f"{state[1]} {shown(stack[0])}"] += share
            for function in {ours for place in stack if (ours := own_function(place))}:
                self.functions[function] += share


def is_waiting(stack: Stack) -> bool:
    """Whether a thread has nothing to do."""
    _, (file, function, _), *_ = stack
    return any(file.endswith(end) and function == name for end, name in WAITING)


def is_commit(place: Place) -> bool:
    """Whether a thread commits; while the kernel writes, it may count as running."""
    file, _, line = place
    return "COMMIT" in linecache.getline(file, line)


def group_of(stack: Stack) -> str:
    """What a place belongs to: that of the innermost known function."""
    file, _, line = stack[0]
    if any(call in linecache.getline(file, line) for call in CALLS) and "psycopg" not in file:
        return SQLITE
    return next(filter(None, map(known, stack)), "Python's library")


def known(place: Place) -> str | None:
    """The group of a function, if it tells one by itself."""
    file, function, _ = place
    for end, name, group in FUNCTIONS:
        if file.endswith(end) and function.rpartition(".")[2].endswith(name):
            return group
    if any(part in function for part in HANDING):
        return "thread hand-over"
    for group, parts in GROUPS:
        if any(part in file for part in parts):
            return group
    # What makes and holds keys serves whoever asked for it.
    return OURS if "/smfs/" in file and not file.endswith("/crypto/identity.py") else None


def own_function(place: Place) -> str | None:
    """The name of a function of the service, or nothing."""
    file, function, _ = place
    _, mark, module = file.partition("/smfs/smfs/" if "/smfs/smfs/" in file else "/smfs/")
    if not mark or module.startswith("cli/") or function.endswith(">"):
        return None
    return f"{module.removesuffix('.py')}: {function}"


def shown(place: Place) -> str:
    """A place for people."""
    file, function, line = place
    text = linecache.getline(file, line).strip()
    return f"{'/'.join(file.split('/')[-2:])}:{line} {function.rpartition('.')[2]}: {text[:60]}"


def most(counter: Counter[str], total: float, least: float) -> Iterator[tuple[str, float]]:
    """The largest shares of a counter."""
    for key, count in counter.most_common():
        if count / total >= least:
            yield key, count / total
