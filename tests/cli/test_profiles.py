"""`smfs init` and `smfs id`."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Program


def test_init_makes_an_identity(program: Program) -> None:
    """The node id is what it prints; the key is in a file that nobody else can read."""
    node_id = program.must("init")

    assert re.fullmatch("[0-9a-f]{64}", node_id)
    assert program.must("id") == node_id
    key = program.home / "data/smfs/profiles/default/key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    configuration = tomllib.loads((program.home / "config/smfs/config.toml").read_text())
    assert configuration == {"profiles": {"default": {"allow_unsigned": False}}}


def test_init_twice_changes_nothing(program: Program) -> None:
    """A key that is there is never replaced."""
    node_id = program.must("init")

    outcome = program("init")

    assert outcome.code == 2
    assert node_id in outcome.err
    assert program.must("id") == node_id


def test_init_keeps_what_the_configuration_holds(program: Program) -> None:
    """Comments and other settings stay as they are."""
    path = program.home / "config/smfs/config.toml"
    path.parent.mkdir(parents=True)
    text = '# mine\nservice = "http://127.0.0.1:9"  # of all\n'
    path.write_text(text)

    program.must("init", "--profile", "work", "--service", "https://example.org")

    assert path.read_text().startswith(text)
    profiles = tomllib.loads(path.read_text())["profiles"]
    assert profiles == {"work": {"service": "https://example.org", "allow_unsigned": False}}


def test_many_that_begin_at_once_lose_nothing(program: Program) -> None:
    """Each finds its part in the configuration afterwards."""
    names = [f"profile-{index}" for index in range(6)]

    with ExitStack() as stack:
        processes = [
            stack.enter_context(program.running("init", "--profile", name, "--service", "embedded"))
            for name in names
        ]
        assert [process.wait(60) for process in processes] == [0] * len(names)

    configuration = tomllib.loads((program.home / "config/smfs/config.toml").read_text())
    assert sorted(configuration["profiles"]) == names


def test_init_follows_a_link_to_the_configuration(program: Program) -> None:
    """As people keep it elsewhere."""
    path = program.home / "config/smfs/config.toml"
    path.parent.mkdir(parents=True)
    real = program.home / "dotfiles.toml"
    real.write_text('profile = "work"\n')
    path.symlink_to(real)

    node_id = program.must("init")

    assert path.is_symlink()
    assert "[profiles.work]" in real.read_text()
    assert program.must("id", "--profile", "work") == node_id


def test_init_refuses_an_address_that_is_none(program: Program) -> None:
    """Before anything is written."""
    outcome = program("init", "--service", "example.org")

    assert outcome.code == 2
    assert "http" in outcome.err
    assert list(program.home.iterdir()) == []


def test_the_profile_may_stand_before_or_behind_the_command(program: Program) -> None:
    """Both mean the same."""
    node_id = program.must("--profile", "work", "init")

    assert program.must("id", "--profile", "work") == node_id
    assert program.must("--profile", "work", "id") == node_id
    assert program("id").code == 2


def test_without_a_profile_one_is_told_what_to_do(program: Program) -> None:
    """One line that names `smfs init`."""
    outcome = program("id")

    assert outcome.code == 2
    assert "smfs init" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_key_that_others_can_read_is_refused(program: Program) -> None:
    """With the command that closes it."""
    program.must("init")
    key = program.home / "data/smfs/profiles/default/key"
    key.chmod(0o640)

    outcome = program("id")

    assert outcome.code == 2
    assert f"chmod 600 {key}" in outcome.err


def test_json_describes_the_profile(program: Program) -> None:
    """For init and for id, and never the key."""
    made = json.loads(program.must("init", "--json"))

    assert json.loads(program.must("id", "--json")) == made
    assert made == {
        "profile": "default",
        "nodeId": program.must("id"),
        "keyFile": str(program.home / "data/smfs/profiles/default/key"),
    }
