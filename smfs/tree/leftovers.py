"""Directories that are left over from what was deleted elsewhere, and in the way of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smfs.tree import names
from smfs.tree.happenings import Happening

if TYPE_CHECKING:
    from smfs.tree.area import Area


def make_room(area: Area, secret_id: str) -> Sequence[Happening]:
    """Removes what is left over where a secret of another machine comes.

    Elsewhere the directory is gone, and nobody here would look for the secret in it.

    Args:
        area: the area, in which the secret has no name yet.
        secret_id: the secret.

    Returns:
        what the kernel is to be told.
    """
    path = names.encode_id(secret_id)
    if area.namespace.kind(path) != "directory" or not area.namespace.is_left_over(path):
        return ()
    if any(scratch[: len(path)] == path for scratch in area.scratch):
        return ()
    told = area.announcing.directory_goes(path)
    for each in reversed(area.namespace.directories_under(path)):
        area.forget_directory(each)
    return told
