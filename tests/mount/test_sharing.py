"""Two identities with a mount each, over the embedded service and over `smfs serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home


@dataclass(frozen=True)
class Party:
    """One identity.

    Attributes:
        node_id: who it is.
        mount: where its secrets are.
    """

    node_id: str
    mount: Path

    def received(self, sender: Party) -> Path:
        """Where it sees what somebody shared with it."""
        return self.mount / "from" / sender.node_id

    def sent(self, recipient: Party) -> Path:
        """Where it shares with somebody."""
        return self.mount / "shared" / recipient.node_id

    def accepts(self, sender: Party) -> Path:
        """The file that says whether it accepts somebody."""
        return self.mount / ".accept" / sender.node_id


@pytest.fixture(scope="module", params=["embedded", "served"])
def parties(home: Home, request: pytest.FixtureRequest) -> tuple[Party, Party]:
    """Alice and Bob, new to each other."""
    options = []
    if request.param == "served":
        options = ["--service", request.getfixturevalue("service")]

    def party(name: str) -> Party:
        profile = f"{name}-{request.param}"
        mount = home.mount(*options, profile=profile)
        return Party(home.must("id", "--profile", profile).decode().strip(), mount)

    return party("alice"), party("bob")


@pytest.fixture
def friends(home: Home, parties: tuple[Party, Party]) -> tuple[Party, Party]:
    """Alice, whom Bob accepts, and Bob."""
    alice, bob = parties
    home.do("rm", "-f", bob.accepts(alice))
    home.do("touch", bob.accepts(alice))
    home.do("sync", bob.accepts(alice))  # an empty file goes after its close, unless synced
    return alice, bob


def test_a_stranger_is_told_at_once(home: Home, parties: tuple[Party, Party]) -> None:
    """Bash would drop the error of a close: the creation itself fails."""
    alice, bob = parties
    home.do("rm", "-f", bob.accepts(alice))

    told = home.see(alice.mount, f"! {{ echo x >shared/{bob.node_id}/x; }} 2>&1")

    assert b"Permission denied" in told


def test_a_secret_is_shared_and_read(home: Home, friends: tuple[Party, Party]) -> None:
    """By writing and reading files alone."""
    alice, bob = friends

    assert home.bash(f"echo hunter2 >{alice.sent(bob)}/password", cwd=home.path).code == 0

    assert home.see(bob.mount, f"cat from/{alice.node_id}/password") == b"hunter2\n"
    assert home.do("ls", bob.received(alice)) == b"password\n"
    assert home.do("ls", bob.mount / "from").decode().split() == [alice.node_id]
    assert home.do("cat", alice.sent(bob) / "password") == b"hunter2\n"


def test_what_was_shared_changes(home: Home, friends: tuple[Party, Party]) -> None:
    """The recipient reads the newer content."""
    alice, bob = friends
    assert home.bash(f"echo one >{alice.sent(bob)}/f", cwd=home.path).code == 0
    home.see(bob.mount, f"grep one from/{alice.node_id}/f")

    assert home.bash(f"echo two >{alice.sent(bob)}/f", cwd=home.path).code == 0

    home.see(bob.mount, f"grep two from/{alice.node_id}/f")


def test_unsharing(home: Home, friends: tuple[Party, Party]) -> None:
    """`rm` takes it from the recipient."""
    alice, bob = friends
    assert home.bash(f"echo x >{alice.sent(bob)}/gone", cwd=home.path).code == 0
    home.see(bob.mount, f"cat from/{alice.node_id}/gone")

    home.do("rm", alice.sent(bob) / "gone")

    home.see(bob.mount, f"! cat from/{alice.node_id}/gone")
    assert home.run("cat", alice.sent(bob) / "gone").code == 1


def test_a_whole_tree_is_shared(home: Home, friends: tuple[Party, Party]) -> None:
    """`cp -r` into the directory of the recipient."""
    alice, bob = friends
    source = home.make("tree")
    assert home.bash("mkdir -p a/b; echo 1 >a/one; echo 2 >a/b/two", cwd=source).code == 0

    home.do("cp", "-r", source / "a", alice.sent(bob))

    home.see(bob.mount, f"diff -r {source}/a from/{alice.node_id}/a")


def test_what_was_received_is_read_only(home: Home, friends: tuple[Party, Party]) -> None:
    """For root too."""
    alice, bob = friends
    assert home.bash(f"echo x >{alice.sent(bob)}/fixed", cwd=home.path).code == 0
    home.see(bob.mount, f"cat from/{alice.node_id}/fixed")
    path = bob.received(alice)

    for script in ("echo y >fixed", "echo y >new", "rm -f fixed", "mv fixed other", "mkdir d"):
        outcome = home.bash(script, cwd=path)
        assert outcome.code != 0, script
        assert "Permission denied" in outcome.err, script
    assert home.do("cat", path / "fixed") == b"x\n"
    shown = home.do("stat", "-c", "%a", path, path / "fixed").decode().split()
    assert shown == ["500", "400"]


def test_denying(home: Home, friends: tuple[Party, Party]) -> None:
    """`rm .accept/<node>`: nothing comes any more, and what came is gone."""
    alice, bob = friends
    assert home.bash(f"echo x >{alice.sent(bob)}/f", cwd=home.path).code == 0

    home.do("rm", bob.accepts(alice))

    assert home.run("ls", bob.received(alice)).code != 0
    assert home.do("ls", "-A", bob.mount / ".accept") == b""
    home.see(alice.mount, f"! echo y >shared/{bob.node_id}/f")


def test_denying_at_once(home: Home, parties: tuple[Party, Party]) -> None:
    """What `touch` has just begun, `rm` ends: nobody stays accepted without a file that says so."""
    alice, bob = parties

    for _ in range(5):
        home.do("touch", bob.accepts(alice))
        home.do("rm", bob.accepts(alice))

    assert home.do("ls", "-A", bob.mount / ".accept") == b""
    assert home.run("ls", bob.received(alice)).code != 0
    home.see(alice.mount, f"! echo y >shared/{bob.node_id}/f")


def test_accepting_for_a_time(home: Home, parties: tuple[Party, Party]) -> None:
    """The file shows until when; the date is fixed then."""
    alice, bob = parties
    home.do("rm", "-f", bob.accepts(alice))

    assert home.bash(f"echo +4days >{bob.accepts(alice)}", cwd=home.path).code == 0

    assert home.do("cat", bob.accepts(alice)).startswith(b"20")
    changed = home.bash(f"echo +4years >{bob.accepts(alice)}", cwd=home.path)
    assert changed.code == 1
    assert "Operation not permitted" in changed.err
    home.do("rm", bob.accepts(alice))
    nonsense = home.run("dd", f"of={bob.accepts(alice)}", stdin=b"someday\n")
    assert nonsense.code == 1
    assert "Invalid argument" in nonsense.err


def test_the_command_line_and_the_mount_agree(home: Home, friends: tuple[Party, Party]) -> None:
    """What one shares, the other shows."""
    alice, bob = friends
    assert home.bash(f"echo x >{alice.sent(bob)}/agreed", cwd=home.path).code == 0
    embedded = "embedded" in str(home.status(alice.mount)["service"])
    service = [] if embedded else ["--service", str(home.status(alice.mount)["service"])]
    profile = "bob-embedded" if embedded else "bob-served"

    got = home.must("get", "--profile", profile, *service, "--from", alice.node_id, "agreed")

    assert got == b"x\n"


def test_a_one_time_secret_is_read_once(home: Home, friends: tuple[Party, Party]) -> None:
    """Listing and `stat` do not consume it; the first read does."""
    alice, bob = friends
    embedded = "embedded" in str(home.status(alice.mount)["service"])
    service = [] if embedded else ["--service", str(home.status(alice.mount)["service"])]
    profile = "alice-embedded" if embedded else "alice-served"
    home.must("share", "--profile", profile, *service, "--once", bob.node_id, "once", stdin=b"1\n")
    path = bob.received(alice) / "once"
    home.see(bob.mount, f"test -e from/{alice.node_id}/once")

    assert home.do("stat", "-c", "%s", path) == b"2\n"
    assert b"once" in home.do("ls", "-l", path.parent)
    assert home.do("cat", path) == b"1\n"

    assert home.run("cat", path).code == 1
