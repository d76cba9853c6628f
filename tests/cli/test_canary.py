"""A canary secret is found nowhere but where it belongs, and the search finds a planted one."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Program

CANARY = b"canary-2718281828-yranac"
FORMS = (
    CANARY,
    CANARY.hex().encode(),
    base64.b64encode(CANARY).rstrip(b"="),
    repr(CANARY)[2:-1].encode(),
)


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def _found_in(places: list[tuple[str, bytes]], forms: tuple[bytes, ...]) -> list[str]:
    return [name for name, content in places if any(form in content for form in forms)]


def _process(process: int) -> list[tuple[str, bytes]]:
    """The arguments and the environment of a process, as others may see them."""
    return [
        (f"/proc/{process}/{name}", Path(f"/proc/{process}/{name}").read_bytes())
        for name in ("cmdline", "environ")
    ]


def _all_files(home: Path, but: frozenset[str] = frozenset()) -> list[tuple[str, bytes]]:
    return [(str(path), path.read_bytes()) for path in _files(home) if path.name not in but]


def _told(outcomes: list[Outcome]) -> list[tuple[str, bytes]]:
    return [
        (f"outcome {index}", outcome.out + outcome.err.encode())
        for index, outcome in enumerate(outcomes)
    ]


@pytest.fixture
def used(
    program: Program, two_profiles: tuple[str, str], served: str
) -> Callable[[str], list[Outcome]]:
    """Handles the canary in every way by the command line, failures included."""
    alice_id, bob_id = two_profiles

    def use(service: str) -> list[Outcome]:
        alice = ("--profile", "alice", "--service", service)
        bob = ("--profile", "bob", "--service", service)
        away = ("--profile", "alice", "--service", "http://127.0.0.1:9")
        return [
            program(*alice, "set", "own", stdin=CANARY),
            program(*alice, "share", bob_id, "x", stdin=CANARY),
            program(*bob, "accept", alice_id),
            program(*alice, "share", bob_id, "x", stdin=CANARY),
            program(*alice, "share", "--once", bob_id, "y", stdin=CANARY),
            program(*alice, "set", "large", stdin=CANARY * 100_000),
            program(*away, "set", "own", stdin=CANARY),
            program(*alice, "set", ".smfs/x", stdin=CANARY),
            program(*bob, "ls", "-l", "--from", alice_id),
        ]

    return use


def test_no_file_and_no_output_holds_it(
    program: Program, used: Callable[[str], list[Outcome]], served: str
) -> None:
    """Neither a database, nor a log, nor an error."""
    outcomes = [*used("embedded"), *used(served)]

    assert {outcome.code for outcome in outcomes} >= {0, 1, 2, 4, 5}
    assert _found_in(_told(outcomes), FORMS) == []
    files = _all_files(program.home)
    assert any(name.endswith("service.db") for name, _ in files)
    assert _found_in(files, FORMS) == []


def test_the_keys_are_in_their_files_only(
    program: Program, used: Callable[[str], list[Outcome]], served: str
) -> None:
    """No secret key in a log, a database, or an output."""
    outcomes = used("embedded")
    keys = [path.read_text().strip() for path in _files(program.home) if path.name == "key"]
    forms = tuple(form for key in keys for form in (key.encode(), bytes.fromhex(key)))

    assert len(keys) == 2
    assert _found_in(_told(outcomes), forms) == []
    assert _found_in(_all_files(program.home, frozenset({"key"})), forms) == []


def test_a_mount_tells_nobody(program: Program, mount: Callable[..., Path]) -> None:
    """Neither in its arguments and environment, nor in its log and status."""
    directory = mount()
    (directory / "own" / "a").write_bytes(CANARY)
    with pytest.raises(OSError, match="File too large"):
        (directory / "own" / "b").write_bytes(CANARY * 100_000)
    assert (directory / "own" / "a").read_bytes() == CANARY

    status = (directory / ".status").read_bytes()
    process = json.loads(status)["pid"]
    assert _found_in([(".status", status), *_process(process)], FORMS) == []
    program.must("umount", directory)
    assert _found_in(_all_files(program.home), FORMS) == []


def test_a_mount_makes_no_core_file(mount: Callable[..., Path]) -> None:
    """The kernel says that it has no room."""
    process = json.loads((mount() / ".status").read_text())["pid"]

    limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_a_hardened_process_is_undumpable() -> None:
    """As the kernel tells the process itself: prctl(PR_GET_DUMPABLE), before and after."""
    script = (
        "import ctypes; from smfs.cli.hardening import harden_process;"
        "libc = ctypes.CDLL(None); before = libc.prctl(3, 0, 0, 0, 0); harden_process();"
        "print(before, libc.prctl(3, 0, 0, 0, 0))"
    )

    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert shown.stdout == b"1 0\n"


def test_the_search_finds_a_planted_canary(program: Program) -> None:
    """In a file, as hex, as base64, in arguments and in an environment."""
    for index, form in enumerate(FORMS):
        (program.home / f"planted-{index}").write_bytes(b"..." + form + b"...")

    assert len(_found_in(_all_files(program.home), FORMS)) == len(FORMS)
    planted = [("environ", b"A=" + CANARY + b"\0"), ("cmdline", b"x\0y")]
    assert _found_in(planted, FORMS) == ["environ"]
    assert len(_process(os.getpid())) == 2
