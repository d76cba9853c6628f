"""What the command line says when a service lies; the lies are told in its database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from smfs.crypto.box import seal_box

if TYPE_CHECKING:
    from tests.cli.conftest import Program


@pytest.fixture
def user(program: Program) -> Program:
    """Smfs for a user who has an identity and the secrets a and b."""
    program.must("init")
    program.must("set", "a", stdin=b"first")
    program.must("set", "b", stdin=b"second")
    return program


def _lie(user: Program, statement: str, *values: bytes) -> None:
    path = user.home / "data/smfs/service.db"
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement, values).rowcount == 1


def _forge(user: Program, content: bytes) -> None:
    """Puts an unsigned secret in the place of a, as the original client writes them."""
    node_id = user.must("id")
    inner = json.dumps(seal_box(node_id, content).to_json(), separators=(",", ":"))
    box = seal_box(node_id, inner.encode())
    _lie(
        user,
        "UPDATE secrets SET point = ?, content = ? WHERE secret_id = CAST('a' AS BLOB)",
        bytes.fromhex(box.reference_point_hex),
        bytes.fromhex(box.encrypted_content_hex),
    )


def test_a_secret_in_the_place_of_another_is_6(user: Program) -> None:
    """It is signed for its own id; the one that was not touched can be read."""
    _lie(
        user,
        "UPDATE secrets SET (point, content) = (SELECT point, content FROM secrets "
        "WHERE secret_id = CAST('b' AS BLOB)) WHERE secret_id = CAST('a' AS BLOB)",
    )

    outcome = user("get", "a")

    assert (outcome.code, outcome.out) == (6, b"")
    assert len(outcome.err.splitlines()) == 1
    assert user.must("get", "b") == "second"
    assert "(SignatureMismatch)" in user.must("ls", "-l").splitlines()[0]


def test_an_altered_ciphertext_is_6(user: Program) -> None:
    """Nothing of it is printed."""
    _lie(
        user,
        "UPDATE secrets SET content = "
        "CAST(substr(content, 1, length(content) - 16) || zeroblob(16) AS BLOB) "
        "WHERE secret_id = CAST('a' AS BLOB)",
    )

    outcome = user("get", "a")

    assert (outcome.code, outcome.out) == (6, b"")


def test_an_unsigned_own_secret_is_read_only_where_that_is_allowed(user: Program) -> None:
    """Anyone can encrypt to a public key; the error names what allows it."""
    _forge(user, b"forged")

    outcome = user("get", "a")
    assert (outcome.code, outcome.out) == (6, b"")
    assert "--allow-unsigned" in outcome.err
    assert "allow_unsigned" in outcome.err

    assert user.must("get", "--allow-unsigned", "a") == "forged"
    path = user.home / "config/smfs/config.toml"
    path.write_text(path.read_text().replace("false", "true"))
    assert user.must("get", "a") == "forged"
    assert user("get", "--require-signed", "a").code == 6
