"""A command with many options: its help, in groups with headings, and its environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from smfs.cli.commands import ExampleCommand
from smfs.cli.databases import FILE_VARIABLE, VARIABLE
from smfs.cli.serve_options import METRICS_TOKEN, PREFIX

_Command = TypeVar("_Command", bound=Callable[..., Any])
_REST: Final = "Options"
_OTHERS: Final = {"DB": VARIABLE, "DB_FILE": FILE_VARIABLE, "METRICS_TOKEN": METRICS_TOKEN}


class GroupedOption(click.Option):
    """An option that stands under a heading, and can come from the environment.

    Args:
        names: as `click.option` takes them, the long one first.
        group: the heading.
        attributes: as `click.option` takes them.
    """

    def __init__(self, names: Sequence[str], *, group: str, **attributes: Any) -> None:
        long = names[0].partition("/")[0].removeprefix("--")
        variable = f"{PREFIX}_{long.upper().replace('-', '_')}"
        super().__init__(names, envvar=variable, **attributes)
        self.variable = variable
        self.group = group


class GroupedCommand(ExampleCommand):
    """A command whose help has its options in groups, in the order in which they first come.

    A variable of the environment that looks like an option's and is none is wrong usage: whoever
    has set it believes that it does something.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click calls it."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            options = [each for each in self.params if isinstance(each, GroupedOption)]
            _check_environment(os.environ, {each.variable: each for each in options})
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section for each group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", _REST), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the environment says, and examples."""
        with formatter.section("Environment"):
            formatter.write_text(
                f"{PREFIX}_MAX_BODY stands for --max-body, and so on for all but the "
                "first options; several values of one are separated by spaces. SMFS_DB and "
                "SMFS_DB_FILE stand for --db and --db-file."
            )
        super().format_epilog(ctx, formatter)


def _check_environment(names: Iterable[str], options: Mapping[str, GroupedOption]) -> None:
    """Raises click.UsageError when one of the names is no option's, although it looks so."""
    for name in sorted(names):
        if name.startswith(f"{PREFIX}_") and name not in options:
            raise click.UsageError(
                f"{name} of the environment stands for no option{_meant(name, options)}"
            )


def _meant(name: str, options: Mapping[str, GroupedOption]) -> str:
    """What to say of the variable that somebody may have had in mind."""
    from difflib import get_close_matches

    word = name.removeprefix(f"{PREFIX}_")
    switch = options.get(f"{PREFIX}_{word.removeprefix('NO_')}")
    if switch is not None and switch.is_flag:
        return f"; it is {switch.variable}=0 that is meant"
    known = {each.removeprefix(f"{PREFIX}_"): each for each in options} | _OTHERS
    near = get_close_matches(word, known, n=1)
    return f"; is it {known[near[0]]} that is meant?" if near else ""


class Group:
    """Options under one heading.

    Args:
        heading: of the group.
    """

    def __init__(self, heading: str) -> None:
        self._heading = heading

    def option(self, *names: str, **attributes: Any) -> Callable[[_Command], _Command]:
        """As `click.option`."""
        return click.option(*names, cls=GroupedOption, group=self._heading, **attributes)
