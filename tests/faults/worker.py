"""Uses files in a directory until its standard input ends, and tells each step as a JSON line.

A program of its own, so that a mount that hangs hangs it and not the tests.
Arguments: the directory, and a first number for the blocks that it writes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from tests.faults.blocks import TornContent, block, numbers_of

_FILES: Final = ("a", "b")
_THREADS: Final = 3
_DOUBTS: Final = 3
_PAUSE_S: Final = 0.03
_ABSENT: Final = "No such file"

_told: Final = threading.Lock()
_stop: Final = threading.Event()


class Failed(Exception):
    """A step that did not succeed; the text is what became of it."""


class User:
    """One who uses files of his own, one step after the other.

    Args:
        directory: where.
        number: whose files.
        blocks: the numbers of what is written.
    """

    def __init__(self, directory: Path, number: int, blocks: itertools.count[int]) -> None:
        self._directory = directory
        self._names = [f"{name}{number}" for name in _FILES]
        self._number = number
        self._blocks = blocks
        self._doubts = 0
        self._steps = itertools.count()

    def run(self) -> None:
        """Takes step after step until the end is called for."""
        for name in self._names:
            self._step("overwrite", name)
        while not _stop.is_set():
            kinds = ["overwrite"] * 3 + ["read"] * 4 + ["list"]
            if self._doubts < _DOUBTS:
                kinds += ["append"] * 3 + ["rename", "unlink", "copy"]
            if self._step(random.choice(kinds), random.choice(self._names)):
                self._doubts = 0
            else:
                self._doubts += 1
                _stop.wait(_PAUSE_S)

    def _step(self, kind: str, name: str) -> bool:
        step = {"user": self._number, "step": next(self._steps)}
        other = next(each for each in self._names if each != name)
        number = next(self._blocks)
        _tell(step, kind=kind, name=name, other=other, number=number)
        try:
            found = self._do(kind, self._directory / name, self._directory / other, number)
        except TornContent as error:
            _tell(step, torn=str(error))
        except FileNotFoundError:
            _tell(step, absent=True)
        except (OSError, Failed) as error:
            _tell(step, failed=str(error))
            return False
        else:
            _tell(step, found=found)
        return True

    def _do(self, kind: str, path: Path, other: Path, number: int) -> object:
        match kind:
            case "read":
                return _read(path)
            case "list":
                return [each.name for each in self._directory.iterdir() if each.name in self._names]
            case "rename":
                path.rename(other)
            case "unlink":
                path.unlink()
            case "copy":
                _copy(path, number)
            case "append":
                _write(path, number, os.O_APPEND)
            case _:
                _write(path, number, os.O_CREAT | os.O_TRUNC)
        return None


def _read(path: Path) -> tuple[int, ...]:
    if random.randrange(5):
        return numbers_of(path.read_bytes())
    return numbers_of(_program("cat", str(path)))


def _write(path: Path, number: int, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | flags, 0o600)
    try:
        rest = memoryview(block(number))
        while rest:
            rest = rest[os.write(descriptor, rest[:7000]) :]
        if number % 3 == 0:
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    os.close(descriptor)


def _copy(path: Path, number: int) -> None:
    _program("dd", f"of={path}", "status=none", "bs=4k", "iflag=fullblock", stdin=block(number))


def _program(*command: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode and _ABSENT in done.stderr.decode():
        raise FileNotFoundError
    if done.returncode:
        raise Failed(done.stderr.decode()[-80:])
    return done.stdout


def _tell(step: dict[str, int], **more: object) -> None:
    line = json.dumps({**step, "at": time.monotonic(), **more})
    with _told:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def main() -> None:
    """The program."""
    directory, first = Path(sys.argv[1]), int(sys.argv[2])
    blocks = itertools.count(first)
    users = [User(directory, number, blocks) for number in range(_THREADS)]
    threads = [threading.Thread(target=user.run) for user in users]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    _stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
