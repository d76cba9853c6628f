"""A command whose help ends with examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


class ExampleCommand(click.Command):
    """A command with examples.

    Attributes:
        examples: command lines as one would type them.
    """

    examples: Sequence[str] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, one on each line."""
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def command(
    name: str, *, examples: Sequence[str]
) -> Callable[[Callable[..., Any]], ExampleCommand]:
    """Makes a function the command `name`; its docstring is the help."""

    def decorate(function: Callable[..., Any]) -> ExampleCommand:
        made = click.command(name, cls=ExampleCommand)(function)
        made.examples = examples
        return made

    return decorate
