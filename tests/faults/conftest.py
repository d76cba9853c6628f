"""Mounts that reach their service through a proxy that does harm, and others that do not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.proxy import Proxy
from tests.mount.homes import PATIENCE, PROGRAM, Account, Home

DEADLINE_S = 1.5
"""Of the mounts that meet faults; a short one lets many faults be met in a short time."""


class Service:
    """`smfs serve` as a process that can be stopped, killed and started anew.

    Args:
        home: whose.
        database: its file.
    """

    def __init__(self, home: Home, database: Path) -> None:
        self._home = home
        self.database = database
        self._log = (home.path / f"{database.stem}.log").open("ab")
        self.process = self._started("127.0.0.1:0")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def kill(self) -> None:
        """Ends it at once, whatever it is doing."""
        self.process.kill()
        self.process.communicate()

    def pause(self) -> None:
        """Stops it as it is: its sockets stay, and nobody looks at them."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def come_back(self, database: Path | None = None) -> None:
        """Starts it once more at the same address; with another database, if one is given."""
        self.database = database or self.database
        self.process = self._started("{}:{}".format(*self.address))

    def close(self) -> None:
        """Ends it for good."""
        self.kill()
        self._log.close()

    def _started(self, listen: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--listen", listen, "--db", self.database],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=self._home.path,
            env=self._home.environment,
        )
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        found = re.search(r"http://([0-9.]+):(\d+)", said)
        assert found is not None, said
        self.address = found[1], int(found[2])
        return process


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A home directory that is empty at first, common to the tests of one module."""
    path = Path(tempfile.mkdtemp(prefix="smfs-faults-"))
    made = Home(Account(os.geteuid(), os.getegid()), path)
    try:
        yield made
        # What nobody foresaw is logged as "<operation> failed: <type>"; a service that refuses for
        # a reason of its own counts as such.
        unforeseen = set(re.findall(r" failed: (\w+)", made.logs()))
        assert unforeseen <= {"BadRequest", "ServiceError"}
        assert "Traceback" not in made.logs()
    finally:
        made.clean_up()
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def service(home: Home) -> Iterator[Service]:
    """A service of its own."""
    made = Service(home, home.make("service") / "service.db")
    yield made
    made.resume()
    made.close()


@pytest.fixture(scope="module")
def make_proxy(service: Service) -> Iterator[Callable[[], Proxy]]:
    """Makes proxies in front of the service."""
    made: list[Proxy] = []

    def make() -> Proxy:
        made.append(Proxy(service.address))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture(scope="module")
def mount_through(home: Home) -> Callable[[str, str], tuple[Path, Path]]:
    """Mounts a new identity twice: at a first address with a short deadline, and at a second."""

    def mount(first: str, second: str) -> tuple[Path, Path]:
        profile = f"p{len(list(home.path.glob('mount-*')))}"
        home.must("init", "--profile", profile, "--service", second)
        direct = home.mount(profile=profile)
        deadline = f"--deadline={DEADLINE_S}"
        return home.mount("--service", first, deadline, profile=profile), direct

    return mount


__all__ = ["PATIENCE", "Service"]
