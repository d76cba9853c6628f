"""`set`, `get`, `ls` and `rm` over the embedded service, with nothing else running."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Program

PATIENCE = 60.0


@pytest.fixture
def user(program: Program) -> Program:
    """Smfs for a user who has an identity."""
    program.must("init")
    return program


@pytest.mark.parametrize(
    "content",
    [b"hunter2", b"hunter2\n", b"", b"\x00\xff\xfe", b'{"json": 1}', b"1e400", "é\n".encode()],
)
def test_get_prints_the_bytes_that_set_read(user: Program, content: bytes) -> None:
    """Nothing is added, cut off or converted."""
    user.must("set", "a", stdin=content)

    assert user("get", "a").out == content


def test_set_replaces(user: Program) -> None:
    """The later one is there."""
    user.must("set", "a", stdin=b"old")
    user.must("set", "a", stdin=b"new")

    assert user.must("get", "a") == "new"


@pytest.mark.parametrize("secret_id", ["a/b c", "-dash", "__proto__", "é", "a\nb", "../x", "/"])
def test_any_text_is_an_id(user: Program, secret_id: str) -> None:
    """Also such as look like options or paths."""
    user.must("set", "--", secret_id, stdin=b"x")

    assert user.must("get", "--", secret_id) == "x"
    assert [row["id"] for row in json.loads(user.must("ls", "--json"))] == [secret_id]
    user.must("rm", "--", secret_id)
    assert json.loads(user.must("ls", "--json")) == []


def test_an_id_that_is_a_lone_surrogate(user: Program) -> None:
    """It is legal, and its bytes are WTF-8."""
    argument = os.fsdecode(b"\xed\xa0\x80")

    user.must("set", argument, stdin=b"x")

    assert [row["id"] for row in json.loads(user.must("ls", "--json"))] == ["\ud800"]
    assert user.must("ls") == '"\\ud800"'
    assert user.must("get", argument) == "x"


@pytest.mark.parametrize("argument", ["", ".smfs", ".smfs/sent/x", os.fsdecode(b"\xff")])
def test_what_is_no_id_is_wrong_usage(user: Program, argument: str) -> None:
    """For every command that takes one."""
    for command in ("get", "set", "rm"):
        assert user(command, argument).code == 2


def test_ls_shows_one_on_each_line(user: Program) -> None:
    """In order; an id that could upset a terminal as a JSON string."""
    for secret_id in ("b", "a/c", "\x1b[31m", '"quoted"'):
        user.must("set", secret_id, stdin=b"x")

    assert user.must("ls").splitlines() == ['"\\u001b[31m"', '"\\"quoted\\""', "a/c", "b"]


def test_ls_tells_size_and_signer(user: Program) -> None:
    """As JSON and, with -l, for people."""
    user.must("set", "a", stdin=b"12345")

    (row,) = json.loads(user.must("ls", "--json"))
    assert row["size"] == 5
    assert row["signedBy"] == user.must("id")
    assert (row["oneTime"], row["problem"]) == (False, None)
    size, changed, shown = user.must("ls", "-l").split()
    assert (size, changed, shown) == ("5", row["changed"], "a")


def test_what_is_not_there_is_3(user: Program) -> None:
    """To read it and to delete it."""
    for command in ("get", "rm"):
        outcome = user(command, "missing")
        assert outcome.code == 3
        assert outcome.out == b""
        assert outcome.err == "smfs: there is no secret 'missing'\n"


def test_too_large_is_1(user: Program) -> None:
    """The old content stays."""
    user.must("set", "a", stdin=b"old")

    outcome = user("set", "a", stdin=bytes(1024 * 1024 + 1))

    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
    assert user.must("get", "a") == "old"


@pytest.mark.parametrize("arguments", [("set", "a"), ("share", "b0" * 32, "a")])
def test_no_more_is_read_than_a_secret_can_hold(user: Program, arguments: tuple[str, ...]) -> None:
    """Standard input may have no end."""
    with Path("/dev/zero").open("rb") as endless:
        finished = subprocess.run(
            [user.path, *arguments],
            stdin=endless,
            capture_output=True,
            env=user.environment,
            check=False,
            timeout=PATIENCE,
        )

    assert finished.returncode == 1
    assert finished.stderr == (
        b"smfs: standard input holds more than the 1048576 bytes that a secret can\n"
    )


@pytest.mark.parametrize("arguments", [("set", "a"), ("share", "b0" * 32, "a")])
def test_the_profile_is_looked_for_before_anything_is_read(
    program: Program, arguments: tuple[str, ...]
) -> None:
    """Nobody types a secret to hear that there is no identity."""
    with subprocess.Popen(
        [program.path, *arguments],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program.environment,
    ) as process:
        assert process.wait(PATIENCE) == 2
        assert process.stderr is not None
        assert b"run `smfs init`" in process.stderr.read()


def test_a_service_that_is_away_is_5(user: Program) -> None:
    """Told in one line, for every command that needs it."""
    for arguments in (("ls",), ("get", "a"), ("set", "a"), ("rm", "a")):
        outcome = user(*arguments, "--service", "http://127.0.0.1:9")
        assert outcome.code == 5
        assert len(outcome.err.splitlines()) == 1
    assert user("status", "--service", "http://127.0.0.1:9").code == 5


def test_output_that_nobody_takes_is_1(user: Program) -> None:
    """A full disk must not look like a secret that was read."""
    user.must("set", "a", stdin=b"x" * 10_000)

    with open("/dev/full", "wb") as full:  # noqa: PTH123
        finished = subprocess.run(
            [user.path, "get", "a"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=user.environment,
            check=False,
        )

    assert finished.returncode == 1
    assert finished.stderr == b"smfs: No space left on device\n"


def test_on_a_terminal_it_is_asked_for_and_not_shown(user: Program) -> None:
    """Twice; no line end is stored."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [user.path, "set", "typed"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=user.environment,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = _until(ours, b"Secret: ")
        os.write(ours, b"hunter2 \xc3\xa9\n")
        shown += _until(ours, b": ")
        os.write(ours, b"hunter2 \xc3\xa9\n")
        shown += _until(ours, None)
        assert process.wait(PATIENCE) == 0
    os.close(ours)

    assert b"hunter2" not in shown
    assert user("get", "typed").out == b"hunter2 \xc3\xa9"


def test_status_tells_of_the_service(user: Program) -> None:
    """Who asks, whom, and whether it went."""
    status = json.loads(user.must("status", "--json"))

    assert (status["service"], status["connection"]) == ("embedded", "connected")
    assert (status["profile"], status["nodeId"]) == ("default", user.must("id"))
    assert "connection: connected" in user.must("status").splitlines()


def _until(terminal: int, awaited: bytes | None) -> bytes:
    """What a program shows until it shows something, or (None) until it ends."""
    shown = b""
    while awaited is None or not shown.endswith(awaited):
        try:
            more = os.read(terminal, 4096)
        except OSError:  # EIO: nobody has the other side open any more
            more = b""
        if not more:
            assert awaited is None, (awaited, shown)
            break
        shown += more
    return shown
