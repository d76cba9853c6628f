"""What the kernel is still to be told: many changes of one name become few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from smfs.tree.happenings import Happening, Kind

MOST: Final = 65_536
"""How many names may wait; past that, everything that the kernel keeps is dropped instead."""

_Name = tuple[bytes, ...]


class Pending:
    """Happenings in the order in which their names first came, at most two for each name."""

    def __init__(self) -> None:
        self._by_name: dict[_Name, tuple[Happening, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, happening: Happening) -> None:
        """Adds one."""
        before = self._by_name.get(happening.path, ())
        self._by_name[happening.path] = _merged(before, happening)

    def take(self, most: int) -> list[Happening]:
        """Takes away and returns those of the first `most` names."""
        names = list(self._by_name)[:most]
        return [each for name in names for each in self._by_name.pop(name)]

    def put_back(self, happenings: Iterable[Happening]) -> None:
        """Puts what was taken, and not told, before what has come since."""
        since, self._by_name = self._by_name, {}
        for happening in happenings:
            self.add(happening)
        for later in since.values():
            for happening in later:
                self.add(happening)

    def clear(self) -> None:
        """Forgets all."""
        self._by_name.clear()


def _merged(before: tuple[Happening, ...], new: Happening) -> tuple[Happening, ...]:
    """What is left of happenings to one name when another one comes."""
    if not before:
        return (new,)
    earlier, last = before[:-1], before[-1]
    match last.kind, new.kind:
        case Kind.APPEARED, Kind.GONE:
            # The kernel may have been told of the new one meanwhile.
            return earlier or (new,)
        case (Kind.APPEARED, _) | (Kind.REPLACED, Kind.CHANGED | Kind.REPLACED):
            return before
        case (Kind.CHANGED, _) | (Kind.GONE, Kind.GONE):
            return (*earlier, new)
    return (last, new)
