"""Two identities share by the command line alone, over each kind of service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Program


class Node:
    """One identity, and how it calls smfs."""

    def __init__(self, program: Program, name: str, service: str) -> None:
        self._program = program
        self._options = ("--profile", name, "--service", service)
        self.node_id = program.must("init", *self._options)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Outcome:
        """Runs smfs as this node."""
        return self._program(*self._options, *arguments, stdin=stdin)

    def must(self, *arguments: str, stdin: bytes = b"") -> str:
        """Runs smfs as this node; it must succeed."""
        return self._program.must(*self._options, *arguments, stdin=stdin)


@pytest.fixture(params=["embedded", "served"])
def service(request: pytest.FixtureRequest) -> str:
    """The service inside the process, and `smfs serve` over HTTP."""
    if request.param == "served":
        address = request.getfixturevalue("served")
        assert isinstance(address, str)
        return address
    return "embedded"


@pytest.fixture
def alice(program: Program, service: str) -> Node:
    """One who shares."""
    return Node(program, "alice", service)


@pytest.fixture
def bob(program: Program, service: str) -> Node:
    """One who receives, and has accepted alice."""
    return Node(program, "bob", service)


@pytest.mark.parametrize("node_id", ["ab" * 32, "00" * 32])
def test_a_node_id_that_is_no_point_is_told_in_words(alice: Node, node_id: str) -> None:
    """64 hex digits do not make a key."""
    outcome = alice("share", node_id, "a", stdin=b"x")

    assert outcome.code == 1
    told = f"smfs: this is no node id to which anything can be encrypted: {node_id}\n"
    assert outcome.err == told


def test_share_read_unshare(alice: Node, bob: Node) -> None:
    """The whole way, and what each of them sees of it."""
    bob.must("accept", alice.node_id)

    alice.must("share", bob.node_id, "db/password", stdin=b"hunter2\n")

    assert bob("get", "--from", alice.node_id, "db/password").out == b"hunter2\n"
    assert bob.must("ls", "--from", alice.node_id) == "db/password"
    assert alice.must("ls", "--shared") == f"{bob.node_id} db/password"
    assert alice.must("ls") == ""
    alice.must("unshare", bob.node_id, "db/password")
    assert bob("get", "--from", alice.node_id, "db/password").code == 3
    assert alice.must("ls", "--shared") == ""
    assert alice("unshare", bob.node_id, "db/password").code == 3


def test_who_is_not_accepted_cannot_share(alice: Node, bob: Node) -> None:
    """Exit code 4, before and after."""
    bob.must("ls")
    assert alice("share", bob.node_id, "x", stdin=b"x").code == 4

    bob.must("accept", alice.node_id)
    alice.must("share", bob.node_id, "x", stdin=b"x")
    bob.must("deny", alice.node_id)

    assert alice("share", bob.node_id, "x", stdin=b"x").code == 4
    assert bob("get", "--from", alice.node_id, "x").code == 4
    assert bob("ls", "--from", alice.node_id).code == 4


def test_once_is_read_once(alice: Node, bob: Node) -> None:
    """Listing it does not use it up."""
    bob.must("accept", alice.node_id)
    alice.must("share", "--once", bob.node_id, "pin", stdin=b"1234")

    (row,) = json.loads(bob.must("ls", "--json", "--from", alice.node_id))
    assert (row["id"], row["oneTime"], row["size"]) == ("pin", True, 4)
    assert "(one-time)" in bob.must("ls", "-l", "--from", alice.node_id)
    assert bob.must("get", "--from", alice.node_id, "pin") == "1234"
    assert bob("get", "--from", alice.node_id, "pin").code == 3


def test_accepting_can_end(alice: Node, bob: Node) -> None:
    """The closing date is shown as it was given."""
    bob.must("accept", alice.node_id, "--until", "2099-01-31T18:00Z")

    assert bob.must("ls", "--senders") == f"{alice.node_id}  until 2099-01-31T18:00:00Z"
    assert json.loads(bob.must("ls", "--senders", "--json")) == [
        {
            "node": alice.node_id,
            "petnames": [],
            "until": "2099-01-31T18:00:00Z",
            "secrets": 0,
        }
    ]


@pytest.mark.parametrize("until", ["yesterday", "2020-01-01", "+4parsecs"])
def test_a_closing_date_that_is_none_is_refused(alice: Node, bob: Node, until: str) -> None:
    """And nobody is accepted by it."""
    outcome = bob("accept", alice.node_id, "--until", until)

    assert outcome.code in (1, 2)
    assert len(outcome.err.splitlines()) == 1
    assert bob.must("ls", "--senders") == ""


def test_who_is_accepted_without_end_is_told_so(alice: Node, bob: Node) -> None:
    """A node id may be given in capitals."""
    bob.must("accept", alice.node_id.upper())

    assert bob.must("ls", "--senders") == f"{alice.node_id}  without end"


def test_sharing_with_a_stranger_is_4(alice: Node) -> None:
    """There is no space for that node."""
    stranger = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"

    assert alice("share", stranger, "x", stdin=b"x").code == 4
