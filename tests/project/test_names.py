"""What `from smfs import …` offers, as its users' type checkers see it and as it runs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import smfs

ROOT = Path(__file__).parents[2]
SOURCE = """\
from smfs import SecretNotFond
from smfs import Discovery, IdTooLong, Key, Look, NotificationHook, PetnameNotFound, Space, SubSpace
"""


def test_a_type_checker_finds_names_that_are_not_there(tmp_path: Path) -> None:
    """It is the package's own file that says so; what that imports is skipped, for speed."""
    program = tmp_path / "program.py"
    program.write_text(SOURCE)
    options = ["--strict", "--follow-imports=skip", "--config-file=", f"--cache-dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "smfs/__init__.py", str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert 'program.py:1: error: Module "smfs" has no attribute "SecretNotFond"' in errors[0]


@pytest.mark.parametrize(
    "name",
    [
        "Discovery",
        "IdTooLong",
        "Key",
        "Look",
        "NotificationHook",
        "PetnameNotFound",
        "Space",
        "SubSpace",
    ],
)
def test_what_signatures_and_errors_name_can_be_imported(name: str) -> None:
    """It is in `__all__`, is had from the package, and is listed by `dir`."""
    assert name in smfs.__all__
    assert inspect.isclass(getattr(smfs, name))
    assert name in dir(smfs)
