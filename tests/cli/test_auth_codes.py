"""Spaces at a service that lets in only whom its operator knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Program


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The one of the service."""
    return tmp_path / "served" / "service.db"


@pytest.fixture
def closed(program: Program, database: Path) -> Iterator[str]:
    """The address of a service that takes no anonymous clients."""
    arguments = ("serve", "--listen", "127.0.0.1:0", "--db", database, "--no-anonymous")
    with program.running(*arguments) as process:
        yield program.address_of(process)


def new_code(program: Program, database: Path) -> str:
    """A code of the operator."""
    return program.must("service", "authcode", "create", "--db", database).strip()


def test_a_code_opens_a_space(program: Program, database: Path, closed: str) -> None:
    """Of a new profile; the code itself is not told to who looks at the processes."""
    code = new_code(program, database)
    made = program("init", "--service", closed, SMFS_AUTH_CODE=code)
    assert made.code == 0, made
    program.must("set", "a", stdin=b"kept")
    assert program.must("get", "a") == "kept"


def test_without_a_code_nobody_gets_in(program: Program, database: Path, closed: str) -> None:
    """And is told why; a code opens the space of the profile that is there by then."""
    node_id = program.must("init", "--service", closed).strip()
    refused = program("set", "a", stdin=b"x")
    assert refused.code != 0
    assert "auth code" in refused.err
    opened = program("init", "--auth-code", new_code(program, database))
    assert (opened.code, opened.out.strip()) == (0, node_id.encode()), opened
    program.must("set", "a", stdin=b"kept")


def test_a_code_works_once(program: Program, database: Path, closed: str) -> None:
    """For whoever is first."""
    code = new_code(program, database)
    program.must("init", "--service", closed, "--auth-code", code)
    second = program("init", "--profile", "second", "--service", closed, "--auth-code", code)
    assert second.code != 0
    assert "auth code" in second.err
