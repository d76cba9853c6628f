"""Help, version, and what the program imports for them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Program

COMMANDS = (
    "init", "id", "mount", "umount", "status", "ls", "get", "set", "rm", "share", "unshare",
    "accept", "deny", "serve",
)  # fmt: skip
HEAVY = {
    "trio",
    "anyio",
    "asyncio",
    "httpx",
    "nacl",
    "cryptography",
    "pyfuse3",
    "uvicorn",
    "sqlite3",
}


def _imported_by(*arguments: str) -> set[str]:
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "smfs.cli.main", *arguments],
        capture_output=True,
        check=True,
        text=True,
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("mount", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """No event loop, no network, no crypto, no FUSE: help comes at once."""
    imported = _imported_by(*arguments)

    assert "click" in imported
    assert not imported & HEAVY


def test_the_heavy_modules_would_be_seen(program: Program) -> None:
    """The search above finds what is there."""
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import trio, httpx, nacl"],
        capture_output=True,
        check=True,
        text=True,
    )

    assert all(f" {name}\n" in finished.stderr for name in ("trio", "httpx", "nacl"))


def test_help_names_every_command_and_exit_code(program: Program) -> None:
    """One reads what there is."""
    shown = program.must("--help")

    for command in COMMANDS:
        assert f"\n  {command} " in shown
    for code in (0, 1, 2, 3, 4, 5, 6, 70, 130):
        assert f"\n  {code} " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(program: Program, command: str) -> None:
    """`smfs COMMAND --help`."""
    shown = program.must(command, "--help")

    assert shown.startswith(f"Usage: smfs {command} ")
    assert "\nExample" in shown
    assert f"smfs {command} " in shown.partition("\nExample")[2]


def test_the_version(program: Program) -> None:
    """`--version` says the name and a number."""
    name, number = program.must("--version").split(" ")

    assert name == "smfs"
    assert number[0].isdigit()


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("get",), ("get", "a", "b"), ("ls", "--nonsense"), ("accept", "bob"), ()],
)
def test_wrong_usage_is_2(program: Program, arguments: tuple[str, ...]) -> None:
    """And no profile or directory is made for it."""
    outcome = program(*arguments)

    assert outcome.code == 2
    assert outcome.err
    assert list(program.home.iterdir()) == []


def test_a_shell_can_complete_commands(program: Program) -> None:
    """Click's completion of the first word."""
    outcome = program(_SMFS_COMPLETE="bash_complete", COMP_WORDS="smfs u", COMP_CWORD="1")

    assert outcome.text.split() == ["plain,umount", "plain,unshare"]
