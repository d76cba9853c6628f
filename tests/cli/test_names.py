"""Petnames on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Program

STRANGER = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"


@pytest.fixture
def bob(program: Program, two_profiles: tuple[str, str]) -> str:
    """The node id of Bob, whom Alice calls `bob` and who calls her `alice`."""
    alice, bob = two_profiles
    program.must("--profile", "alice", "name", "bob", bob)
    program.must("--profile", "bob", "name", "alice", f"0x{alice.upper()}")
    return bob


def test_a_petname_stands_wherever_a_node_id_does(program: Program, bob: str) -> None:
    """From accepting to denying."""
    alice, bobs = ("--profile", "alice"), ("--profile", "bob")
    program.must(*bobs, "accept", "alice", "--until", "2099-01-01")

    program.must(*alice, "share", "bob", "key", stdin=b"hunter2")

    assert program.must(*bobs, "get", "--from", "alice", "key") == "hunter2"
    assert program.must(*bobs, "ls", "--from", "alice") == "key"
    program.must(*alice, "unshare", "bob", "key")
    assert program.must(*bobs, "ls", "--from", "alice") == ""
    program.must(*bobs, "deny", "alice")
    assert program(*alice, "share", "bob", "key", stdin=b"x").code == 4


def test_petnames_stand_beside_node_ids(
    program: Program, two_profiles: tuple[str, str], bob: str
) -> None:
    """In listings for people, and in those for programs."""
    node = two_profiles[0]
    alice, bobs = ("--profile", "alice"), ("--profile", "bob")
    program.must(*alice, "name", "b.2", "bob")
    program.must(*bobs, "accept", "alice")
    program.must(*bobs, "accept", STRANGER)
    program.must(*alice, "share", "bob", "key", stdin=b"x")

    assert set(program.must(*bobs, "ls", "--senders").splitlines()) == {
        f"{node} (alice)  without end",
        f"{STRANGER}  without end",
    }
    assert program.must(*alice, "ls", "--shared") == f"{bob} (b.2, bob) key"
    (row,) = json.loads(program.must(*alice, "ls", "--shared", "--json"))
    assert (row["node"], row["petnames"], row["id"]) == (bob, ["b.2", "bob"], "key")
    rows = json.loads(program.must(*bobs, "ls", "--senders", "--json"))
    assert {row["node"]: row["petnames"] for row in rows} == {node: ["alice"], STRANGER: []}


def test_petnames_are_listed_changed_and_deleted(program: Program, bob: str) -> None:
    """They are no secrets of one's own."""
    alice = ("--profile", "alice")
    program.must(*alice, "name", "a", STRANGER)

    assert program.must(*alice, "names") == f"a {STRANGER}\nbob {bob}"
    assert json.loads(program.must(*alice, "names", "--json")) == [
        {"petname": "a", "node": STRANGER},
        {"petname": "bob", "node": bob},
    ]
    assert program.must(*alice, "ls") == ""
    program.must(*alice, "name", "bob", STRANGER)
    program.must(*alice, "name", "--delete", "a")
    assert program.must(*alice, "names") == f"bob {STRANGER}"


def test_an_unknown_petname_is_3(program: Program, bob: str) -> None:
    """Each command says which it is."""
    alice = ("--profile", "alice")
    for arguments in (
        ("share", "carol", "x"),
        ("unshare", "carol", "x"),
        ("accept", "carol"),
        ("deny", "carol"),
        ("get", "--from", "carol", "x"),
        ("ls", "--from", "carol"),
        ("name", "caroline", "carol"),
        ("name", "--delete", "carol"),
    ):
        outcome = program(*alice, *arguments)
        assert (outcome.code, outcome.err) == (3, "smfs: there is no petname 'carol'\n"), arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ("name", "Bob", STRANGER),
        ("name", STRANGER, STRANGER),
        ("name", "bob"),
        ("name", "--delete", "bob", STRANGER),
        ("name", "bob", "No Name"),
        ("share", "No Name", "x"),
    ],
)
def test_what_can_be_no_petname_is_wrong_usage(
    program: Program, bob: str, arguments: tuple[str, ...]
) -> None:
    """And changes nothing."""
    assert program("--profile", "alice", *arguments).code == 2
    assert program.must("--profile", "alice", "names") == f"bob {bob}"


def _completions(program: Program, *words: str) -> list[str]:
    outcome = program(
        _SMFS_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
    )
    assert (outcome.code, outcome.err) == (0, "")
    return [line.removeprefix("plain,") for line in outcome.out.decode().splitlines() if line]


def test_the_shell_completes_petnames(program: Program, bob: str, tmp_path: Path) -> None:
    """Those of the profile that the line names; none and no noise where there is none."""
    program.must("--profile", "alice", "name", "bert", STRANGER)
    line = ("smfs", "--profile", "alice")

    assert _completions(program, *line, "share", "b") == ["bert", "bob"]
    assert _completions(program, *line, "get", "--from", "bo") == ["bob"]
    assert _completions(program, *line, "name", "--delete", "be") == ["bert"]
    assert _completions(program, *line, "accept", "x") == []
    assert _completions(program, "smfs", "--profile", "nobody", "share", "b") == []
    away = ("smfs", "--profile", "alice", "--service", "http://127.0.0.1:1", "share", "b")
    assert _completions(program, *away) == []
