"""A service and a mount that stop for a while, die, come back, and come back as somebody else."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.faults.ledger import Ledger
from tests.faults.using import (
    AT_ONCE_S,
    HEALED,
    HEALS_S,
    Working,
    look,
    read_back,
    wait_until_sent,
    writes_again,
)

if TYPE_CHECKING:
    from tests.faults.conftest import Service
    from tests.mount.homes import Home

_BEFORE_S: Final = 0.7
_AWAY_S: Final = 2.5  # longer than the deadline


@pytest.fixture(scope="module")
def mounts(
    service: Service, mount_through: Callable[[str, str], tuple[Path, Path]]
) -> tuple[Path, Path]:
    """Two mounts of one identity, the first with a short deadline."""
    return mount_through(service.url, service.url)


@contextlib.contextmanager
def _stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def _fails_soon(home: Home, path: Path) -> bool:
    """Whether a file that is gone is told so, once the mount has reached the service again."""
    pause, ends = threading.Event(), time.monotonic() + HEALS_S
    while time.monotonic() < ends:
        outcome = home.run("cat", path)
        if outcome.code:
            return "No such file" in outcome.err
        pause.wait(0.1)
    return False


def _check(home: Home, mounts: tuple[Path, Path], folder: str, ledger: Ledger) -> None:
    assert writes_again(mounts[0] / folder / HEALED)
    wait_until_sent(home, mounts[0])
    ledger.check(read_back(mounts[1] / folder, ledger.names))
    assert not ledger.complaints, "\n".join(ledger.complaints)
    assert ledger.acknowledged > 0


def test_a_service_that_stops_for_a_while(
    home: Home, service: Service, mounts: tuple[Path, Path]
) -> None:
    """Its kernel goes on taking connections; whoever waits is told in time, and nothing is lost."""
    ledger, folder = Ledger(), "own/stopped-service"
    (mounts[0] / folder).mkdir()
    with Working(mounts[0] / folder, ledger) as pause:
        for _ in range(2):
            pause.wait(_BEFORE_S)
            with _stopped(service.process.pid):
                looks = look(home, mounts[0])
                pause.wait(_AWAY_S)
            assert all(each.code == 0 and each.seconds < AT_ONCE_S for each in looks), looks
        pause.wait(_BEFORE_S)
    assert ledger.failed > 0
    _check(home, mounts, folder, ledger)


def test_a_mount_that_stops_for_a_while(home: Home, mounts: tuple[Path, Path]) -> None:
    """As on a laptop that is closed: what was under way ends one way or the other."""
    ledger, folder = Ledger(), "own/stopped-mount"
    (mounts[0] / folder).mkdir()
    process = int(home.status(mounts[0])["pid"])
    with Working(mounts[0] / folder, ledger) as pause:
        for _ in range(2):
            pause.wait(_BEFORE_S)
            with _stopped(process):
                pause.wait(_AWAY_S)
        pause.wait(_BEFORE_S)
    _check(home, mounts, folder, ledger)


def test_what_happened_during_the_sleep_is_seen_after_it(
    home: Home, service: Service, mounts: tuple[Path, Path]
) -> None:
    """The service was even started anew meanwhile, so that every connection is dead."""
    first, second = (mount / "own" / "slept" for mount in mounts)
    first.write_bytes(b"before")
    with _stopped(int(home.status(mounts[0])["pid"])):
        service.kill()
        service.come_back()
        assert writes_again(second)
        threading.Event().wait(_AWAY_S)
    assert home.do("cat", first) == b"healed"


def test_a_service_that_is_killed_and_comes_back(
    home: Home, service: Service, mounts: tuple[Path, Path]
) -> None:
    """At the same address, over the same database."""
    ledger, folder = Ledger(), "own/killed-service"
    (mounts[0] / folder).mkdir()
    with Working(mounts[0] / folder, ledger) as pause:
        for _ in range(2):
            pause.wait(_BEFORE_S)
            service.kill()
            pause.wait(_BEFORE_S)
            service.come_back()
        pause.wait(_BEFORE_S)
    _check(home, mounts, folder, ledger)


def test_a_service_that_comes_back_with_another_database(
    home: Home, service: Service, mounts: tuple[Path, Path]
) -> None:
    """What is not there is told as such; what is written there does not mix with the old one."""
    own = mounts[0] / "own"
    (own / "old").write_bytes(b"old")
    first = service.database
    service.kill()
    service.come_back(home.make("other") / "other.db")

    assert _fails_soon(home, own / "old")
    assert writes_again(own / "new")
    assert home.do("cat", own / "new") == b"healed"

    service.kill()
    service.come_back(first)
    assert writes_again(own / "again")
    assert _fails_soon(home, own / "new")
    assert home.do("cat", own / "old") == b"old"
    assert writes_again(mounts[1] / "own" / "here")  # it may not have found the service yet
    assert home.do("cat", mounts[1] / "own" / "old") == b"old"
