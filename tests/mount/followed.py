"""A mount that hears of changes made elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.mount.homes import PATIENCE, Home, wait_for


class Followed:
    """A mount that hears of changes made elsewhere.

    The mount is told of them by the test; once mounts follow the service by themselves, `tell`
    has nothing to do.

    Args:
        home: whose it is.
        profile: of which identity.
    """

    def __init__(self, home: Home, profile: str = "default") -> None:
        self.directory = home.make("mount")
        program = Path(__file__).with_name("teller.py")
        prefix = home.account.prefix(may_reach_all=True)
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-P", str(program), profile, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=home.path,
            env=home.environment,
        )
        home.adopt(self.directory)
        assert self._answer() == b"ready\n"

    def tell(self, *changes: tuple[str, str]) -> None:
        """Tells of changes: what happened (a `Kind`), and the path from the mount point."""
        self.order(changes)

    def order(self, order: object) -> None:
        """Has the mount do one of the things that `teller.py` knows."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        assert self._answer() == b"told\n"

    def end(self) -> None:
        """Waits for its end; it is unmounted already."""
        assert self.process.wait(PATIENCE) == 0
        self.close()

    def close(self) -> None:
        """Ends it, if it has not ended."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _answer(self) -> bytes:
        assert self.process.stdout is not None
        wait_for(self.process.stdout.fileno(), "the mount to do what it was told")
        return self.process.stdout.readline()
