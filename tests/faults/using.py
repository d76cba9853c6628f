"""Using a mount while something happens to it, and looking from the other side afterwards."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.blocks import TornContent, numbers_of
from tests.faults.ledger import LONGEST_S, Content, Ledger
from tests.faults.worker import USERS
from tests.mount.homes import Home

ROOT: Final = Path(__file__).parents[2]
HEALS_S: Final = 20.0
"""After so many seconds without a fault everything works."""

AT_ONCE_S: Final = 2.0
"""A look at the root that takes longer has waited for the network."""

HEALED: Final = "healed"
"""The file that is written when all is over."""

_WARM: Final = 8  # steps that changed something
_PAUSE_S: Final = 0.1


class Working:
    """Workers in a directory for as long as the block lasts; their ledger is kept meanwhile.

    It is entered once the first files are written, and gives an event that nobody sets, to wait on.

    Args:
        directory: where they work.
        ledger: what they are told goes there.
    """

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self._ledger = ledger
        self._taking = threading.Lock()
        first = str(random.randrange(1000, 1_000_000))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker", str(directory), str(user), first],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
            for user in range(USERS)
        ]
        self._threads = [
            threading.Thread(target=self._follow, args=(process,), daemon=True)
            for process in self._processes
        ]

    def __enter__(self) -> threading.Event:
        for thread in self._threads:
            thread.start()
        pause, ends = threading.Event(), time.monotonic() + HEALS_S
        while self._ledger.acknowledged < _WARM and time.monotonic() < ends:
            pause.wait(_PAUSE_S)
        return pause

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        ends = time.monotonic() + LONGEST_S
        for process, thread in zip(self._processes, self._threads, strict=True):
            thread.join(max(0.0, ends - time.monotonic()))
            process.kill()
            process.wait()
            thread.join()
        self._ledger.end()

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                told: dict[str, Any] = json.loads(line)
                with self._taking:
                    self._ledger.take(told)


class Look(NamedTuple):
    """How one look at the root went."""

    program: str
    code: int
    seconds: float


def look(home: Home, mounted: Path) -> list[Look]:
    """Looks at the root of a mount with the programs that people look with."""
    looks = []
    for command in (["ls", "-l"], ["df"], ["stat"]):
        began = time.monotonic()
        code = home.run(*command, mounted).code
        looks.append(Look(command[0], code, time.monotonic() - began))
    return looks


def writes_again(path: Path) -> bool:
    """Whether a file can be written soon."""
    pause, ends = threading.Event(), time.monotonic() + HEALS_S
    while time.monotonic() < ends:
        try:
            path.write_bytes(HEALED.encode())
        except OSError:
            pause.wait(_PAUSE_S)
        else:
            return True
    return False


def wait_until_sent(home: Home, mounted: Path) -> None:
    """Waits until a mount has nothing left to upload, but not for ever."""
    pause, ends = threading.Event(), time.monotonic() + HEALS_S
    while home.status(mounted)["unsent"] and time.monotonic() < ends:
        pause.wait(_PAUSE_S)


def wait_until_there(path: Path) -> None:
    """Waits until a mount shows a file that was made elsewhere, but not for ever."""
    pause, ends = threading.Event(), time.monotonic() + HEALS_S
    while not path.exists() and time.monotonic() < ends:
        pause.wait(_PAUSE_S)


def read_back(folder: Path, names: set[str]) -> dict[str, Content]:
    """What is in the files of these names, looked at after the file `healed` has come there."""
    wait_until_there(folder / HEALED)
    found: dict[str, Content] = {}
    for name in names:
        try:
            found[name] = numbers_of((folder / name).read_bytes())
        except FileNotFoundError:
            found[name] = None
        except TornContent as error:
            raise AssertionError(f"{name} is torn: {error}") from None
    return found
