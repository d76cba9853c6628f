"""What a user of files was told, and what can be there after it."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Content: TypeAlias = tuple[int, ...] | None
"""The numbers of the blocks of a file; None: there is none."""

LONGEST_S: Final = 20.0
"""A step that takes longer counts as hung."""

_MOST: Final = 20_000


@dataclass
class Ledger:
    """Follows the steps of a worker, as it tells them.

    Each file has one writer, so what can be in it is known at every moment: what was last
    acknowledged, or any of the attempts after that, each whole.

    Attributes:
        complaints: what was told and cannot be right.
        acknowledged: the number of steps that changed something and succeeded.
        failed: the number of steps that failed.
        longest: the time that the longest step took, in seconds.
    """

    complaints: list[str] = field(default_factory=list)
    acknowledged: int = 0
    failed: int = 0
    longest: float = 0.0
    _possible: dict[str, set[Content]] = field(
        default_factory=lambda: collections.defaultdict(lambda: {None})
    )
    _under_way: dict[int, dict[str, Any]] = field(default_factory=dict)
    _moved: dict[str, tuple[str, set[Content]]] = field(default_factory=dict)
    _why: dict[str, list[str]] = field(default_factory=lambda: collections.defaultdict(list))

    @property
    def names(self) -> set[str]:
        """Of the files that were used."""
        return set(self._possible)

    def take(self, line: dict[str, Any]) -> None:
        """One line of the worker."""
        step = self._under_way.pop(line["user"], None)
        if step is None:
            self._under_way[line["user"]] = line
            return
        took = line["at"] - step["at"]
        self.longest = max(self.longest, took)
        if took > LONGEST_S:
            self._complain(step, f"took {took:.1f} s")
        self._judge(step, line)

    def end(self) -> None:
        """The worker has ended; what it had not finished hangs."""
        for step in self._under_way.values():
            self._complain(step, "never ended")

    def check(self, found: dict[str, Content]) -> None:
        """Compares with what is there in the end.

        Args:
            found: in each of `names`.
        """
        for name, possible in self._possible.items():
            content = found[name]
            if content not in possible:
                self.complaints.append(
                    f"{name} holds {content}, which is none of {_shown(possible)}; "
                    + "; ".join(self._why[name][-6:])
                )
        for old, (new, contents) in self._moved.items():
            if found[old] is None and found[new] not in contents:
                self.complaints.append(f"{old} was lost on its way to {new}")

    def _judge(self, step: dict[str, Any], line: dict[str, Any]) -> None:
        kind, name, other = step["kind"], step["name"], step["other"]
        outcome = next(iter({"torn", "absent", "failed"} & line.keys()), "done")
        if kind != "read":
            self._why[name].append(f"{kind} {step['number']}: {line.get('failed', outcome)}")
        if kind == "rename":
            self._why[other].append(f"rename of {name}: {line.get('failed', outcome)}")
        match outcome:
            case "torn":
                self._complain(step, line["torn"])
            case "absent":
                if None not in self._possible[name]:
                    self._complain(step, f"absent, not one of {_shown(self._possible[name])}")
            case "failed":
                self.failed += 1
                self._change(step, done=False)
            case _ if kind == "read":
                self._read(step, tuple(line["found"]))
            case _ if kind == "list":
                self._list(step, set(line["found"]))
            case _:
                self.acknowledged += 1
                self._change(step, done=True)
        assert len(self._possible[name]) < _MOST, "the worker has left too much open"

    def _read(self, step: dict[str, Any], found: tuple[int, ...]) -> None:
        possible = self._possible[step["name"]]
        if found not in possible:
            why = "; ".join(self._why[step["name"]][-6:])
            self._complain(step, f"got {found}, which is none of {_shown(possible)}; {why}")

    def _list(self, step: dict[str, Any], found: set[str]) -> None:
        for name in (step["name"], step["other"]):
            if name not in found and None not in self._possible[name]:
                self._complain(step, f"{name} is missing")
            if name in found and self._possible[name] == {None}:
                self._complain(step, f"{name} is listed and gone")

    def _change(self, step: dict[str, Any], *, done: bool) -> None:
        kind, name, other = step["kind"], step["name"], step["other"]
        before = self._possible[name]
        after: set[Content]
        match kind:
            case "overwrite" | "copy":
                after = {(step["number"],)}
            case "append":
                after = {(*each, step["number"]) for each in before if each is not None}
            case "unlink":
                after = {None}
            case "rename":
                self._rename(name, other, done=done)
                return
            case _:
                return
        self._moved.pop(name, None)
        self._moved.pop(other, None)
        self._possible[name] = after if done else before | after

    def _rename(self, name: str, other: str, *, done: bool) -> None:
        moving = self._possible[name] - {None}
        self._moved.pop(name, None)
        self._moved.pop(other, None)
        if done:
            self._possible[other] = moving
            self._possible[name] = {None}
            return
        if None not in self._possible[name]:
            self._moved[name] = other, moving
        self._possible[other] = self._possible[other] | moving
        self._possible[name] = self._possible[name] | {None}

    def _complain(self, step: dict[str, Any], what: str) -> None:
        self.complaints.append(f"{step['kind']} of {step['name']}: {what}")


def _shown(possible: set[Content]) -> str:
    return ", ".join(str(each) for each in sorted(possible, key=str)[:8])
