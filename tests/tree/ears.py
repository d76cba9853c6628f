"""What a tree tells its kernel of, and how one waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
import trio.testing

from smfs.tree.happenings import Happening, Kind

Kernel = Any


class Ears:
    """What a tree tells of, as its kernel hears it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.heard: list[Happening] = []
        kernel.tree.listen(self.heard.extend)

    def take(self) -> list[tuple[str, str]]:
        """What was told since the last time: kinds and paths."""
        taken = [(each.kind.value, b"/".join(each.path).decode()) for each in self.heard]
        self.heard.clear()
        return taken

    async def hear(self, kind: Kind, path: str) -> Happening:
        """Waits for one thing that is told, which is all that is."""
        await self.until(lambda: bool(self.heard))
        assert self.heard[0].kind is kind
        assert b"/".join(self.heard[0].path).decode() == path
        [happening] = self.heard
        self.heard.clear()
        return happening

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until what changes elsewhere has arrived here."""
        view = self.kernel.view
        with trio.fail_after(10):
            while True:
                generation = view.generation
                await trio.testing.wait_all_tasks_blocked()
                if condition():
                    return
                await view.wait_for_change(generation)

    async def hears_nothing(self, other: Kernel) -> None:
        """Makes sure that nothing was told of until now."""
        await other.view.write_own(".smfs/sent/" + "0" * 64 + "/mark", b"")
        await self.until(lambda: "0" * 64 in self.kernel.view.sent())
        await other.view.delete_own(".smfs/sent/" + "0" * 64 + "/mark")
        await self.until(lambda: "0" * 64 not in self.kernel.view.sent())
        assert self.take() == []
