"""A hostile network: nothing hangs, nothing told is lost, and nothing read is wrong."""

from __future__ import annotations

import queue
import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.faults import FAULTS, REFUSED
from tests.faults.ledger import Ledger
from tests.faults.proxy import Proxy
from tests.faults.using import (
    AT_ONCE_S,
    HEALED,
    HEALS_S,
    Look,
    Working,
    look,
    read_back,
    wait_until_sent,
    writes_again,
)
from tests.mount.homes import Home

LANES: Final = 6
_HEALTHY_S: Final = 0.4
_FAULTY_S: Final = (0.6, 2.0)
_ROUNDS: Final = 2


@dataclass
class Ordeal:
    """What came of one fault."""

    ledger: Ledger = field(default_factory=Ledger)
    looks: list[Look] = field(default_factory=list)
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
        with Working(self.mounted / folder, ordeal.ledger) as pause:
            for _ in range(_ROUNDS):
                pause.wait(random.uniform(0, _HEALTHY_S) + _HEALTHY_S)
                self.proxy.switch(FAULTS[fault], refuses=fault == REFUSED)
                ends = time.monotonic() + random.uniform(*_FAULTY_S)
                ordeal.looks += look(self.home, self.mounted)
                pause.wait(max(0.0, ends - time.monotonic()))
                self.proxy.heal()
            pause.wait(_HEALTHY_S)
        ordeal.met = self.proxy.met - met_before
        ordeal.is_healed = writes_again(self.mounted / folder / HEALED)
        wait_until_sent(self.home, self.mounted)
        assert self.proxy.wait_until_calm(HEALS_S)
        ordeal.ledger.check(read_back(self.direct / folder, ordeal.ledger.names))
        return ordeal


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
    assert [look for look in looks if look.code != 0 or look.seconds > AT_ONCE_S] == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_mount_heals_by_itself(ordeals: dict[str, Ordeal], fault: str) -> None:
    """A write succeeds soon after the fault is over."""
    assert ordeals[fault].is_healed
