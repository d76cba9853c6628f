"""A service that is away: what is known is read, what is written fails at once, and all heals."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.faults.using import HEALS_S, writes_again

if TYPE_CHECKING:
    from tests.faults.conftest import Service
    from tests.mount.homes import Home

AT_ONCE_S: Final = 4.0
"""A program that takes longer has waited for the service; starting it takes most of that."""

_OPEN_BEFORE: Final = """
import os, sys
descriptor = os.open("f", os.O_WRONLY | os.O_TRUNC)
os.write(descriptor, b"lost")
print("written", flush=True)
sys.stdin.readline()
try:
    os.close(descriptor)
    print("closed", flush=True)
except OSError as error:
    print("failed", flush=True)
"""


@pytest.fixture(scope="module")
def mounted(home: Home, service: Service) -> Path:
    """A mount with the usual deadline."""
    return home.mount("--service", service.url)


@pytest.fixture
def known(home: Home, mounted: Path) -> Path:
    """A directory in the mount with a file that was written and read."""
    folder = mounted / "own"
    (folder / "f").write_bytes(b"content")
    assert home.do("cat", folder / "f") == b"content"
    _wait_for_source(home, mounted, "live")
    return folder


@pytest.fixture
def away(home: Home, service: Service, mounted: Path, known: Path) -> Iterator[Service]:
    """The service, killed; the mount has noticed it."""
    service.kill()
    _wait_for_source(home, mounted, "cache")
    yield service
    if service.process.returncode is not None:
        service.come_back()
    assert writes_again(known / "healed")


def _wait_for_source(home: Home, mounted: Path, source: str) -> None:
    pause, ends = threading.Event(), time.monotonic() + HEALS_S
    while home.status(mounted)["source"] != source:
        assert time.monotonic() < ends, home.status(mounted)
        pause.wait(0.05)


def _xattr(home: Home, name: str, path: Path) -> str:
    return home.do("getfattr", "--only-values", "-n", f"user.smfs.{name}", path).decode()


def test_what_is_known_is_read_and_listed(home: Home, away: Service, known: Path) -> None:
    """At once, and whoever asks is told that it comes from the cache, and how old it is."""
    began = time.monotonic()
    assert home.do("cat", known / "f") == b"content"
    assert b"f" in home.do("ls", known).split()
    assert time.monotonic() - began < AT_ONCE_S
    assert _xattr(home, "source", known / "f") == "cache"
    assert float(_xattr(home, "age", known / "f")) >= 0


@pytest.mark.parametrize(
    "script", ["echo x >f", "echo x >>f", "echo x >new", "truncate -s 1 f", "rm f", "mv f g"]
)
def test_a_change_fails_at_once_and_changes_nothing(
    home: Home, away: Service, known: Path, script: str
) -> None:
    """By its exit code, so early that shells see it too."""
    began = time.monotonic()
    outcome = home.bash(script, cwd=known)
    assert time.monotonic() - began < AT_ONCE_S
    assert outcome.code != 0
    assert home.do("cat", known / "f") == b"content"
    away.come_back()
    assert writes_again(known / "healed")
    assert home.do("cat", known / "f") == b"content"
    assert home.run("ls", known / "new").code == 2
    assert home.run("ls", known / "g").code == 2


def test_a_file_that_was_open_fails_at_close(
    home: Home, service: Service, mounted: Path, known: Path
) -> None:
    """And its old content stays."""
    with home.talk("python3", "-c", _OPEN_BEFORE, cwd=known) as say:
        assert say(b"") == b"written\n"
        service.kill()
        assert say(b"\n") == b"failed\n"
    service.come_back()
    assert writes_again(known / "healed")
    assert home.do("cat", known / "f") == b"content"


def test_the_mount_is_live_again_by_itself(
    home: Home, away: Service, mounted: Path, known: Path
) -> None:
    """Nobody has to touch it."""
    away.come_back()
    _wait_for_source(home, mounted, "live")
    assert _xattr(home, "source", known / "f") == "live"
    assert home.do("cat", known / "f") == b"content"


def test_what_was_changed_elsewhere_meanwhile_is_seen(
    home: Home, away: Service, mounted: Path, known: Path
) -> None:
    """By the first read after the mount is live again."""
    away.come_back()
    home.must("set", "--service", away.url, "f", stdin=b"changed")
    _wait_for_source(home, mounted, "live")
    assert home.do("cat", known / "f") == b"changed"


def test_a_mount_comes_up_while_the_service_is_away(
    home: Home, away: Service, mounted: Path, known: Path
) -> None:
    """It reads what the one before it knew."""
    home.unmount(mounted)
    again = home.mount("--service", away.url)
    assert home.do("cat", again / "own" / "f") == b"content"
    assert home.status(again)["source"] == "cache"
    away.come_back()
    assert writes_again(again / "own" / "healed")
    home.unmount(again)
    home.must("mount", "--service", away.url, mounted)
    home.adopt(mounted)
