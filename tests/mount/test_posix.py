"""The checks of posix/, done by one program in a mount, as root and as an ordinary user."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

_FOLDER: Final = Path(__file__).with_name("posix")
_PAGE: Final = Path(__file__).parents[2] / "docs" / "posix.md"
_PYTHON: Final = "/usr/bin/python3"  # the ordinary user may be kept out of the one that tests
_PATIENCE: Final = 300.0


def _checks() -> list[str]:
    """The names of all checks, without importing them."""
    return [
        f"{module.stem}-{node.name}"
        for module in sorted(_FOLDER.glob("*.py"))
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
    ]


@pytest.fixture(scope="module")
def told(home: Home, mounted: Path) -> dict[str, Any]:
    """What the program found wrong."""
    top = home.make("program")
    shutil.copytree(
        _FOLDER, top / "tests" / "mount" / "posix", ignore=shutil.ignore_patterns("__pycache__")
    )
    program = home.command(_PYTHON, "-m", "tests.mount.posix", mounted, cwd=top)
    said = subprocess.run(
        program, stdout=subprocess.PIPE, env=home.environment, check=True, timeout=_PATIENCE
    )
    found = json.loads(said.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("check", _checks())
def test_a_check_finds_nothing_wrong(told: dict[str, Any], check: str) -> None:
    """Its docstring says what holds."""
    assert told["wrong"][check] == ""


def test_every_check_is_known_here(told: dict[str, Any]) -> None:
    """None is done and not looked at."""
    assert sorted(told["wrong"]) == sorted(_checks())


def test_what_does_not_apply_is_what_the_page_says(told: dict[str, Any]) -> None:
    """Every row of docs/posix.md is an operation, and fails with the errno that stands there."""
    table = _PAGE.read_text().split("\n## ")[1]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE)

    assert {name: errno.strip(" `") for name, errno in rows} == told["absent"]
