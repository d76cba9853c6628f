"""docs/cli.md and the program say the same."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import click
import pytest

from smfs import config
from smfs.cli.main import smfs

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def _commands(group: click.Group, *above: str) -> dict[str, click.Command]:
    """All commands of a group, those of the groups in it too, by what one types."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= _commands(command, *above, name)
        else:
            found[" ".join((*above, name))] = command
    return found


COMMANDS = _commands(smfs)
GROUPS = {words for name in COMMANDS for words in re.findall(r"^(.*) ", name)}
SYNOPSES = dict(
    re.findall(
        rf"^smfs ((?:(?:{'|'.join(sorted(GROUPS, reverse=True))}) )?\w+)(.*(?:\n +.*)*)$",
        TEXT,
        re.MULTILINE,
    )
)
EVERYWHERE = {"--profile", "--service", "--allow-unsigned", "--require-signed", "--help"}


def _options(name: str) -> set[str]:
    return {
        option
        for parameter in COMMANDS[name].params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def test_every_command_is_described_and_no_other() -> None:
    """One line of synopsis each."""
    assert SYNOPSES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described_and_no_other(name: str) -> None:
    """But for those that all commands have; a short form stands for the long one."""
    described = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", SYNOPSES[name]))
    options = _options(name)

    assert described <= options
    assert all(
        option in described for option in options - EVERYWHERE if option not in {"-f", "--long"}
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_is_described(name: str) -> None:
    """In the synopsis as in the help, in brackets if it may be left out."""
    command = COMMANDS[name]
    context = click.Context(command)
    for each in command.params:
        if isinstance(each, click.Argument):
            shown = each.make_metavar(context)
            assert shown in SYNOPSES[name].split()
            assert shown.startswith("[") or each.required or shown.endswith("...")


@pytest.mark.parametrize("words", ["", *sorted(GROUPS), *COMMANDS])
def test_every_help_is_plain_paragraphs(words: str) -> None:
    """A line that stands further in than the first would leave a gap within the text."""
    found: click.Command = smfs
    for word in words.split():
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner

    texts = [each.help or "" for each in found.params if isinstance(each, click.Option)]
    for text in (inspect.cleandoc(found.help or ""), *texts):
        assert not re.search(r"^ |[^\n]  ", text, re.MULTILINE)


def test_the_example_of_a_file_is_one(tmp_path: Path) -> None:
    """It is read without an error, and means what its comments say."""
    example = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    path = tmp_path / "config.toml"
    path.write_text(example[1])
    environment = {"HOME": str(tmp_path), "SMFS_CONFIG": str(path)}

    assert set(tomllib.loads(example[1])["profiles"]) == {"home", "old"}
    default = config.load_settings(config.Flags(), environment)
    assert (default.profile, default.service) == ("work", "https://secrets.example.org")
    home = config.load_settings(config.Flags(profile="home"), environment)
    assert (home.service, home.allow_unsigned) == (None, False)
    old = config.load_settings(config.Flags(profile="old"), environment)
    assert (old.allow_unsigned, old.cache, old.max_stale) == (True, False, 12 * 3600)
