"""The benchmark of the service runs, says what it should, and the profile names what it saw."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 300.0


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end."""
    command = [str(each) for each in (SCRIPTS / script, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of a quick run of some operations."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    operations = "set,delete,getSecretFrom,feed,waiting"
    ended = run(
        *("bench-service", "--quick", "--only", operations),
        *("--connections", "1,3", "--generators", "2", "--json", file),
    )
    assert ended.returncode == 0, ended.stdout
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_every_operation_is_measured_at_every_number_of_connections(report: dict[str, Any]) -> None:
    """Each has a row beside the floor of what answers fixed bytes."""
    rows = {(row["operation"], row["connections"], row["server"]) for row in report["rows"]}

    assert report["broken"] == []
    assert rows == {
        *(
            (operation, connections, "SQLite")
            for operation in ("set", "delete", "getSecretFrom", "feed")
            for connections in (1, 3)
        ),
        ("get", 1, "fixed answers"),
        ("get", 3, "fixed answers"),
    }
    assert all(0 < row["median"] <= row["p99"] and row["rate"] > 0 for row in report["rows"])


def test_what_lies_below_a_set_is_measured_in_the_same_run(report: dict[str, Any]) -> None:
    """The disk and the cryptography have their figures; how large they are, a busy machine says."""
    alone = {"SQLite transaction", "Ed25519 verify", "one box sealed"}
    assert report["floors"].keys() == {*alone, "these in turn"}
    assert min(report["floors"].values()) > 0
    assert report["setBeyondFloors"] > 0


def test_waiting_feeds_are_woken_and_memory_is_told(report: dict[str, Any]) -> None:
    """Feeds wait and wake; the service has its memory."""
    [waited] = report["waiting"]
    memory = report["memory"]["SQLite"]

    assert waited["count"] == 64
    assert 0 < waited["median"] <= waited["p99"]
    assert 0 < memory["start"]["pss"] <= memory["start"]["rss"] <= memory["end"]["peak"]


def test_budgets_are_judged(report: dict[str, Any]) -> None:
    """Of what was measured, each budget of the design has a verdict."""
    texts = [budget["budget"] for budget in report["budgets"]]

    assert texts == ["set on one connection, SQLite: >= 1,000/s", "memory, SQLite: < 100.0 MB"]


def test_a_service_that_is_not_there_is_told() -> None:
    """Nobody at the other URL: the run says so and fails."""
    ended = run(
        *("bench-service", "--quick", "--only", "get", "--connections", "1"),
        *("--engines", "", "--against-url", "http://127.0.0.1:1"),
    )

    assert ended.returncode == 1
    assert "BROKEN: [Errno 111] Connection refused" in ended.stdout


def test_databases_in_memory_are_refused() -> None:
    """What costs no disk is not measured as if it were durable."""
    ended = run("bench-service", "--quick", "--directory", "/dev/shm")

    assert ended.returncode == 1
    assert "nothing would be durable" in ended.stdout


def test_an_unknown_operation_is_refused() -> None:
    """A wrong name ends the run before anything is measured."""
    ended = run("bench-service", "--only", "nothing")

    assert ended.returncode == 2
    assert "'nothing' is none of set, get, " in ended.stderr


def test_a_profile_says_where_the_time_goes() -> None:
    """The signature check and the disk's library are among what was seen."""
    ended = run("profile-service", "set", "--seconds", "2")

    assert ended.returncode == 0, ended.stderr
    assert {"signature check", "SQLite", "our own code"} <= {
        line.partition(" µs  ")[2] for line in ended.stdout.splitlines()
    }
