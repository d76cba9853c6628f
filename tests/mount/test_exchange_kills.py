"""kill -9 during exchanges of two names: both contents are stored somewhere, whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

pytestmark = pytest.mark.parametrize("account", ["own"], indirect=True)

KILLS: Final = int(os.environ.get("SMFS_KILLS", "5"))
_CONTENTS: Final = {b"A" * 3000, b"B" * 5000}

_EXCHANGES: Final = """
import ctypes
libc = ctypes.CDLL(None)
while not libc.renameat2(-100, b"a", -100, b"b", 2):
    print("exchanged", flush=True)
"""


def test_a_kill_during_an_exchange_loses_nothing(home: Home) -> None:
    """What a crash leaves is both contents under two or three names."""
    directory = home.mount()
    own = directory / "own"
    for _ in range(KILLS):
        for name, content in zip("ab", sorted(_CONTENTS), strict=True):
            (own / name).write_bytes(content)
        _kill_while_exchanging(home, directory)
        home.must("mount", directory)
        found = {path.name: path.read_bytes() for path in own.iterdir()}
        assert set(found.values()) == _CONTENTS
        assert {"a", "b"} <= found.keys() <= {"a", "b", "a.exchange"}
        (own / "a.exchange").unlink(missing_ok=True)
    home.unmount(directory)


def _kill_while_exchanging(home: Home, directory: Path) -> None:
    mount = int(home.status(directory)["pid"])
    program = home.command("/usr/bin/python3", "-c", _EXCHANGES, cwd=directory / "own")
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=home.environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"exchanged\n"
        threading.Event().wait(random.uniform(0, 0.1))  # so that it hits any of the steps
        os.kill(mount, signal.SIGKILL)
        assert process.wait(60) == 0
