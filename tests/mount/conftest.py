"""Real mounts in processes of their own, used by real programs, as root and as an ordinary user."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.followed import Followed
from tests.mount.homes import ACCOUNTS, NOBODY, Account, Home
from tests.mount.watching import Watch, Watcher


@pytest.fixture(scope="module", params=ACCOUNTS)
def account(request: pytest.FixtureRequest) -> Account:
    """Root and an ordinary user where root runs the tests, else whoever runs them."""
    if request.param == "ordinary":
        return Account(NOBODY, NOBODY)
    return Account(os.geteuid(), os.getegid())


@pytest.fixture(scope="module")
def given_service(request: pytest.FixtureRequest) -> str | None:
    """The address that `--service` names."""
    found: str | None = request.config.getoption("--service")
    return found


@pytest.fixture(scope="module")
def home(account: Account, given_service: str | None) -> Iterator[Home]:
    """A home directory that is empty at first, common to the tests of one module."""
    path = Path(tempfile.mkdtemp(prefix="smfs-test-"))
    os.chown(path, account.uid, account.gid)
    made = Home(account, path)
    if given_service is not None:
        made.environment["SMFS_SERVICE"] = given_service
    try:
        yield made
        # What nobody foresaw is logged as "<operation> failed: <type>".
        assert " failed: " not in made.logs()
        assert "Traceback" not in made.logs()
    finally:
        made.clean_up()


@pytest.fixture(scope="module")
def service(home: Home, given_service: str | None) -> str:
    """The address of a service that `smfs serve` runs: one of its own, unless one is given."""
    if given_service is not None:
        return given_service
    database = home.make("service") / "service.db"
    process = home.start("serve", "--listen", "127.0.0.1:0", "--db", database)
    assert process.stdout is not None
    listening = process.stdout.readline().decode()
    found = re.search(r"http://[0-9.:]+", listening)
    assert found is not None, listening
    return found[0]


@pytest.fixture(scope="module")
def mounted(home: Home) -> Path:
    """One mount of the default identity."""
    return home.mount()


@pytest.fixture
def followed(home: Home) -> Iterator[Followed]:
    """A mount of the default identity that hears of changes made elsewhere."""
    home.smfs("init")
    made = Followed(home)
    yield made
    made.close()


@pytest.fixture
def folder(home: Home, mounted: Path, request: pytest.FixtureRequest) -> Path:
    """A directory of secrets of the test's own in the mount."""
    test: str = request.function.__name__
    made = mounted / "own" / test
    home.do("mkdir", made)
    return made


@pytest.fixture
def stored(home: Home, mounted: Path) -> Callable[[Path], bytes]:
    """The content of a file as somebody sees who has never heard of the mount."""

    def read(path: Path) -> bytes:
        return home.must("get", str(path.relative_to(mounted / "own")))

    return read


@pytest.fixture
def elsewhere(home: Home, mounted: Path) -> Iterator[Callable[[Path], Path]]:
    """The same path in another mount of the same identity, made when it is first asked for."""
    others: list[Path] = []

    def translate(path: Path) -> Path:
        if not others:
            others.append(home.mount())
        return others[0] / path.relative_to(mounted)

    yield translate
    for other in others:
        home.unmount(other)


@pytest.fixture
def started(home: Home) -> Iterator[Callable[..., Watcher]]:
    """Starts programs that end with the test."""
    with ExitStack() as stack:

        def start(*command: str | Path, cwd: Path | None = None) -> Watcher:
            made = Watcher(home, *command, cwd=cwd)
            stack.callback(made.end)
            return made

        yield start


@pytest.fixture
def watch(started: Callable[..., Watcher]) -> Watch:
    """Watches files and directories; each line is the name, then the events."""

    def start(*paths: Path) -> Watcher:
        made = started("inotifywait", "-m", "--format", "%w%f %e", *paths)
        made.until("Watches established")
        return made

    return start
