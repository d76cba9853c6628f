"""The house rules that a machine can hold: sizes of files, the index of scripts, what CI runs."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "smfs").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.name != "README.md")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    """A path as it is written in the project."""
    return str(path.relative_to(ROOT))


def functions_of(path: Path) -> Iterator[Function]:
    """Every function and method of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def body_lines(function: Function) -> int:
    """The lines of a function without its signature and its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    """No file of more than 400 lines, no function with a body of more than 40."""
    assert len(path.read_text().splitlines()) <= 400
    long = [each.name for each in functions_of(path) if body_lines(each) > 40]
    assert not long


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=relative)
def test_nothing_is_left_to_be_done(path: Path) -> None:
    """No note of unfinished work stands in the code."""
    words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]
    assert not [word for word in words if word in path.read_text()]


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_no_test_is_switched_off_or_sleeps(path: Path) -> None:
    """A test runs everywhere, and waits for what happens rather than for time to pass."""
    words = r"\b(?:mark\.skip|mark\.xfail|pytest\.skip\(|pytest\.xfail\(|time\.sleep\()"
    assert not re.findall(words, path.read_text())


def test_every_script_is_in_the_index_and_runs() -> None:
    """`scripts/README.md` names each script once, and each is executable with a known shell."""
    rows = re.findall(r"^\| `([\w.-]+)", (ROOT / "scripts" / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == [path.name for path in SCRIPTS]
    for path in SCRIPTS:
        assert path.stat().st_mode & 0o111, path
        assert path.read_text().startswith("#!/usr/bin/env "), path


@pytest.mark.parametrize(
    "path", [path for path in SCRIPTS if "bash" in path.read_text().split("\n")[0]], ids=relative
)
def test_shell_scripts_are_well_formed(path: Path) -> None:
    """The shell reads each script to its end, and each stops at the first failure."""
    subprocess.run(["bash", "-n", path], check=True)
    assert "set -euo pipefail" in path.read_text()


def test_ci_runs_what_people_run() -> None:
    """`.ci/run` is nothing but `scripts/test`."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "exec scripts/test"


def test_the_readme_shows_the_two_commands() -> None:
    """What a newcomer types stands in the README as it works."""
    text = (ROOT / "README.md").read_text()
    assert "scripts/smfs mount ~/secrets" in text
    assert "scripts/test" in text


def test_the_package_is_what_the_project_says() -> None:
    """The version is one, the typing marker is there, and the program has its entry."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ROOT / "smfs" / "py.typed").exists()
    assert project["scripts"]["smfs"] == "smfs.cli.main:main"
    heading = re.search(
        r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert heading
    assert heading[1] == project["version"]
