"""The table from errors to exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smfs import errors
from smfs.cli.exits import EXIT_CODES, MEANINGS, exit_code_of, leaf_of, told
from smfs.cli.main import run

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def _all_errors(base: type[errors.SmfsError] = errors.SmfsError) -> list[type[errors.SmfsError]]:
    subclasses = [each for each in base.__subclasses__() if each.__module__ == "smfs.errors"]
    return [base, *(error for each in subclasses for error in _all_errors(each))]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.TooLarge("x"), 1),
        (errors.MountError("x"), 1),
        (errors.InvalidKey("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.SecretNotFound("x"), 3),
        (errors.NotAccepted("x"), 4),
        (errors.SpaceNotFound("x"), 4),
        (errors.InvalidAuthCode("x"), 4),
        (errors.DeadlineExceeded("x"), 5),
        (errors.RolledBack("x"), 6),
        (errors.MalformedData("x"), 6),
    ],
)
def test_an_error_has_the_code_of_its_kind(error: errors.SmfsError, code: int) -> None:
    """The nearest class of its ancestry decides."""
    assert exit_code_of(error) == code


@pytest.mark.parametrize("kind", _all_errors())
def test_every_error_has_a_documented_code(kind: type[errors.SmfsError]) -> None:
    """None is without a meaning."""
    assert exit_code_of(kind("x")) in MEANINGS


def test_every_code_of_the_table_has_a_meaning() -> None:
    """The help shows the meanings."""
    assert set(EXIT_CODES.values()) <= set(MEANINGS)


def test_the_documentation_has_the_same_codes() -> None:
    """docs/cli.md lists each code with its meaning, and no other."""
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", DOCUMENT.read_text(), re.MULTILINE)

    assert {int(code): meaning for code, meaning in rows} == dict(MEANINGS)


def test_an_error_is_told_in_one_line() -> None:
    """Line ends in a text cannot make it look like more."""
    assert told(errors.SmfsError("a\nb")) == "a b"


def test_an_unsigned_secret_names_what_allows_it() -> None:
    """The setting and the flag."""
    assert "--allow-unsigned" in told(errors.UnsignedSecret("no signature"))
    assert "allow_unsigned" in told(errors.UnsignedSecret("no signature"))


def test_a_node_id_that_is_no_point_is_told_in_words() -> None:
    """Which one, and what is wrong with it."""
    told_of_it = told(errors.InvalidPoint("ab" * 32))

    assert told_of_it == f"this is no node id to which anything can be encrypted: {'ab' * 32}"


def test_a_group_is_what_is_in_it() -> None:
    """Task groups wrap even a single error."""
    inner = errors.SecretNotFound("x")

    assert leaf_of(ExceptionGroup("", [ExceptionGroup("", [inner])])) is inner


def test_the_unforeseen_is_70_and_shows_no_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that nobody foresaw may hold a secret in its text."""

    def fail() -> None:
        raise RuntimeError("canary-3141")

    monkeypatch.setattr("smfs.cli.profiles.current_settings", fail)
    monkeypatch.setattr("smfs.cli.hardening.harden_process", lambda: None)

    assert run(["id"]) == 70
    captured = capsys.readouterr()
    assert captured.err.startswith("smfs: something unforeseen happened (RuntimeError)")
    assert "canary" not in captured.err + captured.out
    assert len(captured.err.splitlines()) == 1
