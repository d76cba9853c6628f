"""Interruptions, closed streams, terminals, and logs."""

from __future__ import annotations

import logging
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smfs.cli.logs import PlaceFormatter, describe, open_private
from smfs.cli.output import plain, shown_id

if TYPE_CHECKING:
    from tests.cli.conftest import Program

PATIENCE = 60.0


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs that are started can be interrupted, also where a shell runs the tests behind it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_130(program: Program) -> None:
    """At once, though the service never answers."""
    program.must("init")
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(PATIENCE)
        address = f"http://127.0.0.1:{service.getsockname()[1]}"
        with program.running("get", "a", "--service", address) as process:
            connection, _ = service.accept()
            with connection:
                assert connection.recv(1)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out, err) == (130, b"", b"\nsmfs: interrupted\n")


def test_the_unforeseen_is_one_line_and_its_place_is_in_the_log(program: Program) -> None:
    """Also where the command had not come so far as to choose a log."""
    script = (
        "import sys, smfs.cli.main as main, smfs.cli.profiles as profiles\n"
        "def fail(): raise RuntimeError('canary')\n"
        "profiles.current_settings = fail; sys.argv = ['smfs', 'id']; main.main()"
    )

    finished = subprocess.run(
        [sys.executable, "-c", script], env=program.environment, capture_output=True, check=False
    )

    told = b"smfs: something unforeseen happened (RuntimeError); the log says where\n"
    assert (finished.returncode, finished.stdout, finished.stderr) == (70, b"", told)
    assert "unforeseen RuntimeError: <string>:2 fail < profiles.py:" in program.log()
    assert "canary" not in program.log()


def _without(program: Program, stream: str, *arguments: str) -> tuple[int, str]:
    """Runs smfs with one of its standard streams closed."""
    finished = subprocess.run(
        ["sh", "-c", f'exec "$@" {stream}', "sh", program.path, *arguments],
        env=program.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return finished.returncode, finished.stderr.decode()


def test_a_closed_input_is_no_empty_secret(program: Program) -> None:
    """Nothing is stored."""
    program.must("init")

    assert _without(program, "<&-", "set", "a") == (2, "smfs: standard input is closed\n")
    assert program("get", "a").code == 3


def test_a_closed_output_is_told_before_a_secret_is_used_up(program: Program) -> None:
    """A one-time secret would be lost."""
    program.must("init")

    assert _without(program, ">&-", "get", "a") == (2, "smfs: standard output is closed\n")


@pytest.mark.parametrize(
    "line",
    [
        "ls", "ls --json", "ls -l", "id", "id --json", "names", "names --json", "status",
        "serve --print-unit", "service stats", "service migrate --dry-run", "--version", "--help",
        "ls --help",
    ],
)  # fmt: skip
def test_a_closed_output_is_told_by_all_that_print(program: Program, line: str) -> None:
    """Who reads nothing is not to think that there is nothing."""
    node_id = program.must("init")
    program.must("set", "a", stdin=b"x")
    program.must("name", "bob", node_id)

    assert _without(program, ">&-", *line.split()) == (2, "smfs: standard output is closed\n")


def test_a_closed_output_is_told_before_anything_is_made(program: Program) -> None:
    """Whoever tries again with an output finds nothing in the way."""
    told = (2, "smfs: standard output is closed\n")
    assert _without(program, ">&-", "init") == told
    program.must("init")
    program.must("ls")

    backup = str(program.home / "backup.db")
    assert _without(program, ">&-", "service", "backup", backup) == told

    program.must("service", "backup", backup)


def test_what_prints_nothing_needs_no_output(program: Program) -> None:
    """It does its work as ever."""
    program.must("init")
    directory = str(program.home / "secrets")
    node_id = program.must("id")

    for line in (
        ("set", "a"), ("name", "bob", node_id), ("accept", node_id), ("share", node_id, "b"),
        ("unshare", node_id, "b"), ("deny", node_id), ("name", "--delete", "bob"),
        ("mount", directory), ("lock", directory), ("umount", directory), ("rm", "a"), ("ls",),
    ):  # fmt: skip
        assert _without(program, ">&-", *line) == (0, ""), line


def test_a_service_goes_on_without_an_output(program: Program) -> None:
    """It says elsewhere what it has to say, and answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(program.home / "notify"))
        manager.settimeout(PATIENCE)
        with subprocess.Popen(
            ["sh", "-c", 'exec "$@" >&-', "sh", program.path, "serve", "--listen=127.0.0.1:0"],
            env=program.environment | {"NOTIFY_SOCKET": str(program.home / "notify")},
            stderr=subprocess.PIPE,
        ) as process:
            assert manager.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, b"closed" in err) == (0, False)


def test_the_database_never_gets_the_number_of_a_closed_stream(program: Program) -> None:
    """What is printed to it would be written into the database."""
    program.must("init")
    program.must("set", "a", stdin=b"x")

    for stream, code in (("<&-", 0), (">&-", 2), ("2>&-", 0)):
        assert _without(program, stream, "ls")[0] == code

    assert program.must("get", "a") == "x"


def test_an_id_that_the_locale_cannot_show_is_escaped(program: Program) -> None:
    """`ls` fails at none."""
    program.must("init")
    program.must("set", "日本", stdin=b"x")

    outcome = program("ls", PYTHONIOENCODING="latin1")

    assert outcome.text == "\\u65e5\\u672c"


def test_a_reader_that_goes_away_is_no_traceback(program: Program) -> None:
    """As in `smfs ls | head -1`."""
    program.must("init")
    reading, writing = os.pipe()
    os.close(reading)

    finished = subprocess.run(
        [program.path, "id"], env=program.environment, stdout=writing, stderr=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    os.close(writing)

    assert (finished.returncode, finished.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("secret_id", "shown"),
    [("a/b", "a/b"), ("é", "é"), ("\x1b[2J", '"\\u001b[2J"'), ("a\nb", '"a\\nb"'), ('"', '"\\""')],
)
def test_ids_for_people(secret_id: str, shown: str) -> None:
    """No two look the same, and none upsets a terminal."""
    assert shown_id(secret_id) == shown


def test_texts_for_people() -> None:
    """What a service had a say in cannot move the cursor."""
    assert plain("a\x1b[2Jb é\u202e") == "a\\x1b[2Jb é\\u202e"


def _fail_with(secret: str) -> None:
    raise ValueError(secret)


def _caught(secret: str) -> ValueError:
    with pytest.raises(ValueError, match=secret) as caught:
        _fail_with(secret)
    return caught.value


def test_a_log_tells_the_place_of_an_error_and_not_its_text() -> None:
    """The text may hold a secret."""
    error = _caught("canary")
    record = logging.LogRecord(
        "smfs",
        logging.ERROR,
        __file__,
        1,
        "it failed",
        (),
        (ValueError, error, error.__traceback__),
    )

    written = PlaceFormatter("%(message)s").format(record)

    assert "canary" not in written
    assert "Traceback" not in written
    assert written.startswith("it failed\nValueError: test_robustness.py:")
    assert " _fail_with < " in written


def test_a_group_of_errors_is_described_with_all_that_is_in_it() -> None:
    """And without any text."""
    described = describe(ExceptionGroup("canary", [_caught("canary"), KeyError("canary")]))

    assert "canary" not in described
    assert "ValueError" in described
    assert "KeyError" in described


def test_a_log_that_has_grown_becomes_the_old_one(tmp_path: Path) -> None:
    """Mode 0600, and one old one is kept."""
    path = tmp_path / "a.log"
    path.write_bytes(b"old" * 1_000_000)

    with open_private(path) as log:
        log.write("new")

    assert path.read_text() == "new"
    assert (tmp_path / "a.log.1").stat().st_size == 3_000_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_old_log_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    """What it holds stays."""
    path = tmp_path / "a.log"
    path.write_text("old")
    path.chmod(0o644)

    with open_private(path) as log:
        log.write("new")

    assert path.read_text() == "oldnew"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_is_never_written_through_a_link(tmp_path: Path) -> None:
    """It could lead anywhere."""
    (tmp_path / "a.log").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "a.log")
