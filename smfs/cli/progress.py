"""A progress bar on standard error, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_STEPS: Final = 500
_CLEAR: Final = "\r\033[K"


class Bar:
    """A `Progress` that a person sees, or nobody where standard error is no terminal.

    Args:
        label: what it is about.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: ProgressBar[Any] | None = None
        self._step = 1
        self._done = 0

    def begin(self, total: int) -> None:
        """Something begins."""
        if sys.stderr is None or not sys.stderr.isatty():
            return
        self._step = max(1, total // _STEPS)
        self._bar = click.progressbar(
            length=total, label=self._label, file=sys.stderr, show_eta=True, show_percent=True
        )
        self._bar.render_progress()

    def advance(self, amount: int) -> None:
        """So much more is done; drawn when it makes a difference."""
        self._done += amount
        if self._bar is not None and self._done >= self._step:
            self._bar.update(self._done)
            self._done = 0

    def clear(self) -> None:
        """Takes the bar away until it is drawn the next time."""
        if self._bar is not None:
            click.echo(_CLEAR, nl=False, err=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Bar]:
    """A bar as long as the block lasts."""
    bar = Bar(label)
    try:
        yield bar
    finally:
        bar.clear()
