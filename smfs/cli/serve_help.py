"""The help of a command with many options: in groups, each with a heading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from smfs.cli.commands import ExampleCommand
from smfs.cli.serve_options import PREFIX

_Command = TypeVar("_Command", bound=Callable[..., Any])
_REST: Final = "Options"


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
        self.group = group


class GroupedCommand(ExampleCommand):
    """A command whose help has its options in groups, in the order in which they first come."""

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
