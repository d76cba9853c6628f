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
from tests.mount.conftest import Home

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
    """A worker in a directory for as long as the block lasts; its ledger is kept meanwhile.

    It is entered once the first files are written, and gives an event that nobody sets, to wait on.

    Args:
        directory: where it works.
        ledger: what it is told goes there.
    """

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self._ledger = ledger
        first = str(random.randrange(1000, 1_000_000))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", str(directory), first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> threading.Event:
        self._thread.start()
        pause, ends = threading.Event(), time.monotonic() + HEALS_S
        while self._ledger.acknowledged < _WARM and time.monotonic() < ends:
            pause.wait(_PAUSE_S)
        return pause

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._thread.join(LONGEST_S)
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._ledger.end()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                told: dict[str, Any] = json.loads(line)
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
