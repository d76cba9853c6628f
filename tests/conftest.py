"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import collections
import random
import signal
from collections.abc import Iterator

import psycopg_pool.base
import pytest

from tests.postgres import Cluster
from tests.replicas import suites


def pytest_configure() -> None:
    """Programs inherit which signals are ignored: by nohup, or by a shell in the background."""
    for number, usual in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `scripts/replicas --suites` says."""
    group = parser.getgroup("replicas")
    group.addoption(
        "--replicas",
        choices=["sqlite", "postgres"],
        help="tests/client: services over one database in turn, of which one after the other dies",
    )
    group.addoption(
        "--service",
        metavar="URL",
        help="tests/mount: a service that is there already, in place of the embedded one",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what cannot run with the services that were asked for."""
    left_out = [item for item in items if suites.is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Notes which services a test is run with."""
    if item.config.getoption("--replicas") or item.config.getoption("--service"):
        item.user_properties.append(("way", suites.way_of(item)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many tests ran in which way."""
    passed = terminalreporter.stats.get("passed", [])
    ways = collections.Counter(
        dict(report.user_properties).get("way") for report in passed if report.when == "call"
    )
    for way, count in ways.items():
        if way is not None:
            terminalreporter.write_line(f"{count} passed {way}")


@pytest.fixture(scope="session", autouse=True)
def _own_chance() -> Iterator[None]:
    """A pool draws numbers in threads, and hypothesis minds when Python's own generator moves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg_pool.base, "random", random.Random().random)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that all tests of one process share, so none of them may stop it."""
    with Cluster() as made:
        yield made


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """The URI of an empty database of the test's own."""
    made = postgres.create_database()
    yield made
    postgres.drop(made)
