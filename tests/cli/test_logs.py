"""What the logs say, and what they never say."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smfs.cli.logs import JsonFormatter, LineFormatter


def record(message: str, *arguments: Any, error: Exception | None = None, **extra: Any) -> Any:
    """A record of the log."""
    made = logging.makeLogRecord(
        {"name": "smfs.x", "levelno": 30, "levelname": "WARNING", "msg": message, **extra}
    )
    made.args = arguments
    made.created = datetime(2026, 11, 26, 1, 2, 3, 45_678, UTC).timestamp()
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    return made


def failed() -> Exception:
    """An error that came from somewhere."""
    try:
        int("geheim")
    except ValueError as error:
        return error
    raise AssertionError


def test_json_is_one_object_on_a_line() -> None:
    """With a time that all programs can read, and what was handed along."""
    line = JsonFormatter().format(
        record("%s\nanother\u2028", "one", request_id="7f", seconds=0.5, path=b"x", none=None)
    )
    assert len(line.splitlines()) == 1
    assert line.isascii()
    told = json.loads(line)
    assert told.pop("process")
    assert told == {
        "time": "2026-11-26T01:02:03.045Z",
        "level": "warning",
        "logger": "smfs.x",
        "message": "one\nanother\u2028",
        "request_id": "7f",
        "seconds": 0.5,
        "path": "b'x'",
        "none": None,
    }


def test_what_is_handed_along_does_not_overrule() -> None:
    """A field that every line has is what it always is; every line is JSON."""
    told = json.loads(
        JsonFormatter().format(record("x", level="debug", time="never", far=math.inf)),
        parse_constant=pytest.fail,
    )
    assert (told["level"], told["time"][:4], told["far"]) == ("warning", "2026", "inf")


def test_an_error_is_told_by_its_type_and_place() -> None:
    """Its text may be a secret."""
    as_json = JsonFormatter().format(record("x", error=failed()))
    as_text = LineFormatter("%(message)s").format(record("x", error=failed()))
    for line in (as_json, as_text):
        assert "ValueError: test_logs.py:" in line
        assert "geheim" not in line
    assert json.loads(as_json)["error"].endswith(" failed")


def test_a_line_of_text_stays_one_line() -> None:
    """Whatever a client had a say in."""
    line = LineFormatter("smfs: %(message)s").format(
        record("a\nsmfs: b\x1b[31m\r", request_id="7f\n", client="")
    )
    assert line == "smfs: a\\nsmfs: b\\x1b[31m\\r request_id=7f\\n"


def test_a_log_that_cannot_be_written_ends_no_command(tmp_path: Path) -> None:
    """Nor prints what was to be logged elsewhere."""
    (tmp_path / "file").touch()
    program = (
        "import logging, pathlib, sys; from smfs.cli.logs import log_to\n"
        "log_to(pathlib.Path(sys.argv[1]))\n"
        "logging.getLogger('smfs.x').warning('told')\n"
        "print('done')\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "file" / "x.log"],
        capture_output=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"done\n", b"")
