#!/usr/bin/env python3
"""What `soak` and `replicas` have in common: how they are interrupted, and how they report."""

from __future__ import annotations

import collections
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

SHOWN = 30


def shortened(texts: list[str]) -> dict[str, int]:
    """The most frequent texts, with how often each came."""
    return dict(collections.Counter(texts).most_common(SHOWN))


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """SIGTERM is an interrupt too, and both work where a shell runs this behind it."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def reported(found: dict[str, Any], file: Path | None) -> int:
    """Prints what came of a run, and writes it into a file where one is given; the exit code."""
    text = json.dumps(found, indent=2)
    print(text)
    if file is not None:
        file.write_text(text + "\n")
    return 0 if found["passed"] else 1


def run_to_end(main: Callable[[], int]) -> NoReturn:
    """Runs a program, which may be interrupted, and exits with its code."""
    try:
        code = main()
    except* KeyboardInterrupt:
        code = 130
    sys.exit(code)
