"""Unmounting while the service is out of reach."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from smfs.fuse.mountinfo import mount_at
from tests.faults.faults import FAULTS, REFUSED
from tests.faults.proxy import Proxy
from tests.mount.homes import PATIENCE, Home

RETURNS_S: Final = 10.0
"""An `smfs umount` that takes longer has waited for the network; starting it takes most of it."""

MET: Final = ["silent", "black_hole", "half_open", "drip", REFUSED]


_CLOSES_LATE: Final = """
import os, sys
descriptor = os.open("f", os.O_WRONLY)
os.write(descriptor, b"CONTENT")
print("written", flush=True)
sys.stdin.readline()
try:
    os.close(descriptor)
except OSError:
    print("failed", flush=True)
"""


@pytest.fixture(scope="module")
def proxy(make_proxy: Callable[[], Proxy]) -> Proxy:
    """In front of the service."""
    return make_proxy()


@pytest.fixture
def mounted(home: Home, proxy: Proxy) -> Path:
    """A mount through the proxy, with the usual deadline and one secret in it."""
    directory = home.mount("--service", proxy.url)
    (directory / "own" / "f").write_bytes(b"content")
    return directory


def _meet(proxy: Proxy, fault: str) -> None:
    proxy.switch(FAULTS[fault], refuses=fault == REFUSED)


@pytest.mark.parametrize("fault", MET)
def test_an_unmount_does_not_wait_for_the_network(
    home: Home, proxy: Proxy, mounted: Path, fault: str
) -> None:
    """Everything is on the service already, so there is nothing to wait for."""
    _meet(proxy, fault)
    began = time.monotonic()

    home.unmount(mounted)

    assert time.monotonic() - began < RETURNS_S
    assert mount_at(mounted) is None
    proxy.heal()


def test_a_lazy_unmount_does_not_even_wait_for_who_waits(
    home: Home, proxy: Proxy, mounted: Path
) -> None:
    """A program hangs in `close`; it is told at the deadline, long after the mount is gone."""
    ending = os.pidfd_open(int(home.status(mounted)["pid"]))
    command = home.command("python3", "-c", _CLOSES_LATE, cwd=mounted / "own")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == b"written\n"
        met = proxy.met
        _meet(proxy, "silent")
        writer.stdin.write(b"\n")
        writer.stdin.flush()
        assert proxy.wait_until_met(met + 1, PATIENCE)
        began = time.monotonic()
        home.must("umount", "--lazy", mounted)
        assert time.monotonic() - began < RETURNS_S
        assert mount_at(mounted) is None
        assert writer.stdout.readline() == b"failed\n"
    proxy.heal()
    ready, _, _ = select.select([ending], [], [], PATIENCE)
    os.close(ending)
    assert ready, "the process of the mount goes on"
