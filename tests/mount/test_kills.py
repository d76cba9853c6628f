"""kill -9 at random moments: what `close` reported as written is there, and nothing is torn.

`SMFS_KILLS` says how often each of the two is killed; `scripts/torture` makes it many times.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

pytestmark = pytest.mark.parametrize("account", ["own"], indirect=True)

KILLS: Final = int(os.environ.get("SMFS_KILLS", "5"))
FILES: Final = 8
LONGEST: Final = 40_000


class Ledger:
    """What a writer was told, kept with fsync; it writes whole files that can be checked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self.reported: dict[str, int] = {}
        self.attempted: dict[str, set[int]] = {}

    def write_until(self, folder: Path, stop: threading.Event) -> None:
        """Writes file after file; an error is no report, and is followed by the next attempt."""
        while not stop.is_set():
            self._number += 1
            name = f"f{random.randrange(FILES)}"
            self.attempted.setdefault(name, set()).add(self._number)
            with contextlib.suppress(OSError):
                _write(folder / name, _content(self._number))
                self._report(name)

    def check(self, folder: Path) -> None:
        """Every file holds what was last reported of it, or an attempt after that, whole."""
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        for name, content in found.items():
            number = int(content.split(b" ", 1)[0])
            assert content == _content(number), f"{name} is torn"
            assert number >= self.reported.get(name, 0), f"{name} has gone back"
            assert number in self.attempted[name]
        assert self.reported.keys() <= found.keys()

    def _report(self, name: str) -> None:
        self.reported[name] = self._number
        with self._path.open("a") as file:
            file.write(f"{name} {self._number}\n")
            file.flush()
            os.fsync(file.fileno())


def _content(number: int) -> bytes:
    """A content that shows whether it is whole; its length differs with the number."""
    seed = hashlib.sha256(b"%d" % number).hexdigest().encode()
    return (b"%d " % number + seed * (LONGEST // len(seed)))[: 100 + number * 7919 % LONGEST]


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    os.close(descriptor)


@contextlib.contextmanager
def _writing(ledger: Ledger, folder: Path) -> Iterator[None]:
    """Has files written while the block runs, at least a moment of random length."""
    stop = threading.Event()
    writer = threading.Thread(target=ledger.write_until, args=(folder, stop))
    writer.start()
    try:
        stop.wait(random.uniform(0.02, 0.6))
        yield
    finally:
        stop.set()
        writer.join()


def test_a_killed_mount_loses_nothing(home: Home) -> None:
    """Over the embedded service, which is killed with it."""
    ledger = Ledger(home.path / "mount-ledger")
    directory = home.mount()
    for _ in range(KILLS):
        process = int(home.status(directory)["pid"])
        with _writing(ledger, directory / "own"):
            os.kill(process, signal.SIGKILL)
        home.must("mount", directory)
        ledger.check(directory / "own")
    assert len(ledger.reported) > 1
    home.unmount(directory)


def test_a_killed_service_loses_nothing(home: Home) -> None:
    """The mount goes on by itself when the service is back."""
    database = home.make("killed") / "service.db"
    process, address = _serve(home, database, "127.0.0.1:0")
    ledger = Ledger(home.path / "service-ledger")
    home.must("init", "--profile", "served", "--service", address)
    directory = home.mount(profile="served")
    for _ in range(KILLS):
        with _writing(ledger, directory / "own"):
            process.kill()
            process.wait()
            process, _ = _serve(home, database, address.removeprefix("http://"))
        ledger.check(directory / "own")
    assert len(ledger.reported) > 1
    home.unmount(directory)


def _serve(home: Home, database: Path, listen: str) -> tuple[subprocess.Popen[bytes], str]:
    process = home.start("serve", "--listen", listen, "--db", database)
    assert process.stdout is not None
    listening = process.stdout.readline().decode()
    found = re.search(r"http://[0-9.:]+", listening)
    assert found is not None, listening
    return process, found[0]
