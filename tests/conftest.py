"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import collections

import pytest

from tests.replicas import suites


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `scripts/replicas --suites` says."""
    group = parser.getgroup("replicas")
    group.addoption(
        "--replicas",
        action="store_true",
        help="tests/client: services that take turns, of which one after the other dies",
    )
    group.addoption(
        "--service",
        metavar="URL",
        help="tests/mount: a service that is there already, in place of the embedded one",
    )


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
