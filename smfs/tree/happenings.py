"""What the kernel, and who watches files, must be told of: changes that were made elsewhere."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What happened to a name."""

    CHANGED = "changed"
    """The file has new content; its number is the same."""
    REPLACED = "replaced"
    """The name has a new node: the old one is open, and keeps what it shows."""
    APPEARED = "appeared"
    """The name is new."""
    GONE = "gone"
    """The name is gone."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One change that was not made through this mount.

    Attributes:
        kind: what happened.
        parent: the inode number of the directory.
        path: the names from the root of the mount, as bytes.
        inode: of the node that the kernel knows under this name, the old one where it was
            replaced; None where it knows none.
        is_directory: whether it is a directory.
    """

    kind: Kind
    parent: int
    path: tuple[bytes, ...]
    inode: int | None
    is_directory: bool = False
