"""A hostile network: nothing hangs, nothing told is lost, and nothing read is wrong."""

from __future__ import annotations

import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.blocks import TornContent, numbers_of
from tests.faults.faults import FAULTS, REFUSED
from tests.faults.ledger import LONGEST_S, Content, Ledger
from tests.faults.proxy import Proxy
from tests.mount.conftest import Home

ROOT: Final = Path(__file__).parents[2]
LANES: Final = 6
AT_ONCE_S: Final = 2.0
"""A look at the root that takes longer has waited for the network."""

_HEALTHY_S: Final = 0.4
_FAULTY_S: Final = (0.6, 2.0)
_ROUNDS: Final = 2
_HEALS_S: Final = 20.0


@dataclass
class Ordeal:
    """What came of one fault."""

    ledger: Ledger = field(default_factory=Ledger)
    looks: list[tuple[str, int, float]] = field(default_factory=list)
    is_healed: bool = False
    met: int = 0
    trouble: str = ""


@dataclass
class Lane:
    """An identity with a mount through a proxy and another one past it."""

    home: Home
    proxy: Proxy
    mounted: Path
    direct: Path

    def undergo(self, fault: str) -> Ordeal:
        """Uses files while the fault comes and goes, and looks from the other side afterwards."""
        ordeal, folder = Ordeal(), f"own/{fault}"
        (self.mounted / folder).mkdir()
        met_before = self.proxy.met
        with _working(self.mounted / folder, ordeal.ledger) as pause:
            for _ in range(_ROUNDS):
                pause.wait(random.uniform(0, _HEALTHY_S) + _HEALTHY_S)
                self.proxy.switch(FAULTS[fault], refuses=fault == REFUSED)
                ends = time.monotonic() + random.uniform(*_FAULTY_S)
                ordeal.looks += self._look()
                pause.wait(max(0.0, ends - time.monotonic()))
                self.proxy.heal()
            pause.wait(_HEALTHY_S)
        ordeal.met = self.proxy.met - met_before
        ordeal.is_healed = self._writes_again(self.mounted / folder / "healed")
        self._wait_until_sent()
        assert self.proxy.wait_until_calm(_HEALS_S)
        ordeal.ledger.check(_found(self.direct / folder, ordeal.ledger.names))
        return ordeal

    def _look(self) -> list[tuple[str, int, float]]:
        looks = []
        for command in (["ls", "-l"], ["df"], ["stat"]):
            began = time.monotonic()
            code = self.home.run(*command, self.mounted).code
            looks.append((command[0], code, time.monotonic() - began))
        return looks

    def _writes_again(self, path: Path) -> bool:
        pause, ends = threading.Event(), time.monotonic() + _HEALS_S
        while time.monotonic() < ends:
            try:
                path.write_bytes(b"healed")
            except OSError:
                pause.wait(0.1)
            else:
                return True
        return False

    def _wait_until_sent(self) -> None:
        pause, ends = threading.Event(), time.monotonic() + _HEALS_S
        while self.home.status(self.mounted)["unsent"] and time.monotonic() < ends:
            pause.wait(0.1)


class _working:  # noqa: N801 - used as a function
    """A worker in a directory for as long as the block lasts; its ledger is kept meanwhile."""

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
        return threading.Event()

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


def _found(folder: Path, names: set[str]) -> dict[str, Content]:
    """What is in the files of these names; opened, for a listing may be a second old."""
    found: dict[str, Content] = {}
    for name in names:
        try:
            found[name] = numbers_of((folder / name).read_bytes())
        except FileNotFoundError:
            found[name] = None
        except TornContent as error:
            raise AssertionError(f"{name} is torn: {error}") from None
    return found


@pytest.fixture(scope="module")
def ordeals(
    request: pytest.FixtureRequest,
    home: Home,
    service: Any,
    make_proxy: Callable[[], Proxy],
    mount_through: Callable[[str, str], tuple[Path, Path]],
) -> dict[str, Ordeal]:
    """What came of every fault that a test of this run asks for, undergone a few at a time."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    wanted = {
        str(item.callspec.params["fault"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
        if hasattr(item, "callspec") and "fault" in item.callspec.params
    }
    for fault in sorted(wanted):
        waiting.put(fault)
    found: dict[str, Ordeal] = {}

    def run(lane: Lane) -> None:
        while True:
            try:
                fault = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                found[fault] = lane.undergo(fault)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                found[fault] = Ordeal(trouble=repr(error))
                lane.proxy.heal()

    threads = []
    for _ in range(min(LANES, len(wanted))):
        proxy = make_proxy()
        mounted, direct = mount_through(proxy.url, service.url)
        lane = Lane(home, proxy, mounted, direct)
        threads.append(threading.Thread(target=run, args=(lane,), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_nothing_told_is_lost_and_nothing_read_is_wrong(
    ordeals: dict[str, Ordeal], fault: str
) -> None:
    """Each file holds what was last acknowledged or a later attempt, whole; so does each read."""
    ordeal = ordeals[fault]

    assert not ordeal.trouble
    assert not ordeal.ledger.complaints, "\n".join(ordeal.ledger.complaints)
    assert ordeal.ledger.acknowledged > 0
    assert ordeal.met > 0 or fault == REFUSED


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_root_never_waits(ordeals: dict[str, Ordeal], fault: str) -> None:
    """`ls`, `df` and `stat` of the mount point succeed at once while the fault lasts."""
    looks = ordeals[fault].looks

    assert looks
    assert [look for look in looks if look[1] != 0 or look[2] > AT_ONCE_S] == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_mount_heals_by_itself(ordeals: dict[str, Ordeal], fault: str) -> None:
    """A write succeeds soon after the fault is over."""
    assert ordeals[fault].is_healed
