"""Petnames in real mounts: two identities, one of them on two machines."""

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


@pytest.fixture(scope="module")
def alice(home: Home) -> Party:
    """Who shares."""
    mount = home.mount(profile="alice")
    return Party(home.must("id", "--profile", "alice").decode().strip(), mount)


@pytest.fixture(scope="module")
def bob(home: Home, alice: Party) -> Party:
    """Who accepts her by her petname, and whom she calls `bob`."""
    mount = home.mount(profile="bob")
    party = Party(home.must("id", "--profile", "bob").decode().strip(), mount)
    for who, name, other in ((party, "alice", alice), (alice, "bob", party)):
        assert home.bash(f"echo {other.node_id} > .names/{name}", cwd=who.mount).code == 0
    home.do("touch", party.mount / ".accept" / "alice")
    return party


@pytest.fixture(scope="module")
def other(home: Home, bob: Party) -> Path:
    """The mount of Bob's other machine."""
    return home.mount(profile="bob")


def test_a_secret_goes_by_petname(home: Home, alice: Party, bob: Party) -> None:
    """Copied into the recipient's directory, and read from the sender's."""
    home.bash("echo hunter2 > key; mkdir -p tree/a; echo 1 > tree/a/b", cwd=home.path)
    home.do("cp", home.path / "key", alice.mount / "shared" / "bob")
    home.do("cp", "-r", home.path / "tree", f"{alice.mount}/shared/bob/")
    assert home.bash("echo x > shared/bob/x", cwd=alice.mount).code == 0

    assert home.see(bob.mount, "test -e from/alice/x && cat from/alice/key") == b"hunter2\n"
    assert home.do("ls", "from/alice/", cwd=bob.mount) == b"key\ntree\nx\n"
    home.do("diff", "-r", home.path / "tree", bob.mount / "from" / "alice" / "tree")
    home.do("rm", "shared/bob/x", cwd=alice.mount)
    home.see(bob.mount, f"test ! -e from/{alice.node_id}/x")


def test_a_petname_is_a_link_to_the_one_true_path(home: Home, alice: Party, bob: Party) -> None:
    """As `readlink`, `realpath`, `ls -l`, `stat` and `find` see it."""
    for folder in ("from", ".accept"):
        path = bob.mount / folder / "alice"
        assert home.do("readlink", path).decode().strip() == alice.node_id
        assert home.do("realpath", path).decode().strip() == f"{path.parent}/{alice.node_id}"
        assert home.do("stat", "-c", "%F %a %s", path) == b"symbolic link 777 64\n"
        assert home.do("ls", "-A", path.parent).decode().split() == sorted([alice.node_id, "alice"])
        assert f"alice -> {alice.node_id}" in home.do("ls", "-l", path.parent).decode()
        assert home.do("find", path.parent, "-type", "l").decode().split() == [str(path)]
    assert home.do("pwd", "-P", cwd=alice.mount / "shared" / "bob").decode().strip() == str(
        alice.mount / "shared" / bob.node_id
    )


def test_both_machines_have_the_names(home: Home, alice: Party, bob: Party, other: Path) -> None:
    """What one of them changes, the other one sees."""
    assert home.see(other, "cat .names/alice").decode() == f"{alice.node_id}\n"
    assert home.do("ls", "from/alice/", cwd=other) == home.do("ls", "from/alice/", cwd=bob.mount)
    home.do("mv", ".names/alice", ".names/al", cwd=other)
    home.do("cp", ".names/al", ".names/alicia", cwd=other)

    home.see(bob.mount, "cat .names/al .names/alicia && test ! -e from/alice")
    home.do("ls", "from/alicia/", cwd=bob.mount)
    home.do("mv", ".names/al", ".names/alice", cwd=bob.mount)
    home.do("rm", ".names/alicia", cwd=bob.mount)
    assert home.see(other, "readlink from/alice").decode().strip() == alice.node_id


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo nonsense > .names/carol", "Invalid argument"),
        ("echo > .names/carol", "Invalid argument"),
        ("echo x > .names/Carol", "Invalid argument"),
        ("touch .names/carol", "Invalid argument"),
        ("mkdir .names/carol", "Operation not permitted"),
        ("ln -s x .names/carol", "Operation not permitted"),
        ("ln -s x from/carol", "Operation not permitted"),
        ("touch .accept/carol", "Invalid argument"),
        ("touch shared/carol", "Invalid argument"),
        ("mkdir shared/bob", "File exists"),
        ("mkdir shared/carol", "Invalid argument"),
        ("rm shared/bob", "Operation not permitted"),
        ("mv shared/bob shared/carol", "Operation not permitted"),
        ("rmdir shared/bob", "Not a directory"),
        ("cat from/bob/x", "No such file"),
        ("cat .accept/bob", "No such file"),
        ("cat shared/bob", "Is a directory"),
    ],
)
def test_what_is_refused_is_told(
    home: Home, alice: Party, bob: Party, script: str, told: str
) -> None:
    """By the shell and by the programs, each with its exit code; nothing is made of it."""
    outcome = home.bash(script, cwd=alice.mount)

    assert outcome.code == 1, outcome
    assert told in outcome.err
    assert home.do("ls", "-A", ".names", cwd=alice.mount) == b"bob\n"


def test_a_link_under_from_is_read_only(home: Home, bob: Party) -> None:
    """As all that is there."""
    outcome = home.bash("rm from/alice", cwd=bob.mount)

    assert outcome.code == 1
    assert "Permission denied" in outcome.err


def test_a_closing_date_by_petname(home: Home, alice: Party, bob: Party) -> None:
    """Accepting until then, and stopping to accept."""
    script = "echo +4days > .accept/bob && cat .accept/bob && rm .accept/bob && ls -A .accept"
    outcome = home.bash(script, cwd=alice.mount)

    assert outcome.code == 0, outcome
    assert len(outcome.out.splitlines()) == 1
    assert outcome.out.startswith(b"20")
    assert home.do("cat", ".names/bob", cwd=alice.mount).decode() == f"{bob.node_id}\n"


def test_a_name_is_written_in_many_ways(home: Home, alice: Party, bob: Party) -> None:
    """By programs that copy, too."""
    home.bash(f"echo 0x{bob.node_id.upper()} > copied", cwd=home.path)
    for script in (
        f"printf %s {bob.node_id} > .names/b1",
        f"echo {bob.node_id} | tee .names/b2 && cp -p .names/b2 .names/b3",
        f"cp -p {home.path}/copied .names/b4 && mv {home.path}/copied .names/b5",
        f"echo {alice.node_id} > .names/b6 && echo {bob.node_id} >| .names/b6",
    ):
        outcome = home.bash(script, cwd=alice.mount)
        assert outcome.code == 0, (script, outcome)
    read = home.do("bash", "-c", "cat .names/b?", cwd=alice.mount).decode()
    home.do("bash", "-c", "rm .names/b?", cwd=alice.mount)

    assert read == f"{bob.node_id}\n" * 6
