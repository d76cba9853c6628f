"""What the nodes of one mount have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smfs.client.view import View
from smfs.tree.failures import Failures
from smfs.tree.happenings import Happening
from smfs.tree.node import Inodes


@dataclass(frozen=True)
class Context:
    """What the nodes of one mount have in common.

    Attributes:
        view: the node's space.
        inodes: the numbers of this mount.
        failures: what failed when nobody listened any more.
        now: seconds since 1970.
        tell: passes on what was changed elsewhere, to whoever keeps what it concerns.
    """

    view: View
    inodes: Inodes
    failures: Failures
    now: Callable[[], float]
    tell: Callable[[Sequence[Happening]], None]
