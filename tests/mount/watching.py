"""Programs that watch files, and whose lines are awaited."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.mount.homes import PATIENCE, Home

Watch = Callable[..., "Watcher"]


class Watcher:
    """A program whose lines are awaited.

    Args:
        home: who runs it.
        command: the program and its arguments.
        cwd: where.
    """

    def __init__(self, home: Home, *command: str | Path, cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            home.command(*command, cwd=cwd),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=home.environment,
        )
        self.lines: list[str] = []
        self._rest = b""

    def feed(self, text: str) -> None:
        """Gives it all of its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.close()

    def until(self, *awaited: str) -> list[str]:
        """Waits until lines that hold all these texts were shown; returns what was shown since."""
        missing, shown = list(awaited), []
        end = time.monotonic() + PATIENCE
        while missing:
            line = self._line(end)
            assert line is not None, (missing, self.lines)
            self.lines.append(line)
            shown.append(line)
            missing = [text for text in missing if text not in line]
        return shown

    def _line(self, end: float) -> str | None:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            descriptor = self._process.stdout.fileno()
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            more = os.read(descriptor, 65536) if ready else b""
            if not more:
                return None
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode(errors="replace")

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
