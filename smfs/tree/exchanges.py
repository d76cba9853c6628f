"""Exchanges of two names within an area (RENAME_EXCHANGE): in which order, so nothing is lost."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from smfs.errors import InvalidName, NoSuchName, OperationRefused, OtherArea, SmfsError
from smfs.tree import names, renames
from smfs.tree.secret_file import SecretFile

if TYPE_CHECKING:
    from smfs.client.view import Version
    from smfs.tree.area import Area
    from smfs.tree.namespace import Path
    from smfs.tree.node import Node
    from smfs.tree.secret_directory import SecretDirectory

_SPARE: Final = ".exchange"
_NOWHERE: Final = ("",)  # no directory can have this path


async def exchange(source: SecretDirectory, old: str, target: SecretDirectory, new: str) -> None:
    """Gives each of two names what the other one stands for (renameat2(2), RENAME_EXCHANGE).

    The service sets one secret at a time. So the content of the first name is put under a third
    one, `<its id>.exchange`, until both are where they belong: after every single step each
    content is stored somewhere. A crash in between leaves that third secret, and may leave one
    content under both names. Scratch files become secrets, unless both are scratch.

    Directories are exchanged secret by secret, as they are renamed.

    Raises:
        NoSuchName: when one of them is not there.
        InvalidName: when one lies in the other, or no secret could be called so.
        OtherArea: for a directory of more than a hundred secrets.
    """
    first, second = source.require(old), target.require(new)
    if first is second:
        return
    area, paths = source.area, ((*source.path, old), (*target.path, new))
    if all(path in area.scratch for path in paths):
        _swap_places(area, *paths)
        return
    if any(path == other[: len(path)] for path, other in (paths, paths[::-1])):
        raise InvalidName("a directory cannot change places with what is in it")
    for path, other in (paths, paths[::-1]):
        _check_directories(area, path, other)
        await _make_secret(area, path, other)
    moves = _moves(area, *paths)
    files = {known: area.file(known) for known in moves}
    async with AsyncExitStack() as stack:
        for file in sorted(files.values(), key=lambda file: file.inode):
            if isinstance(file, SecretFile):
                await stack.enter_async_context(file.lock)
        if source.known(old) is not first or target.known(new) is not second:
            raise NoSuchName(old)
        await _exchange_places(area, moves, files, *paths)


def _check_directories(area: Area, here: Path, there: Path) -> None:
    """Raises InvalidName where a directory cannot be called as the exchange would have it."""
    if any(not names.is_directory_path((*there, *below)) for below in _shape(area, here)):
        raise InvalidName("no secret id has such a directory")


async def _make_secret(area: Area, path: Path, place: Path) -> None:
    """Uploads a scratch file: at its new place it could be the only copy of a secret."""
    file = area.scratch.get(path)
    if file is None:
        return
    secret_id = area.namespace.id_for_new_file(path)
    area.namespace.id_for_new_file(place)  # raises where no secret could be called so
    async with file.lock:
        if area.scratch.get(path) is file:
            await renames.scratch_to_secret(area, file, secret_id)


def _moves(area: Area, old: Path, new: Path) -> dict[str, str]:
    """The id that each secret under either path gets."""
    moves: dict[str, str] = {}
    for here, there in ((old, new), (new, old)):
        if area.namespace.kind(here) == "directory":
            below = area.namespace.ids_under(here)
            if len(below) > renames.MOST_SECRETS:
                raise OtherArea(f"more than {renames.MOST_SECRETS} secrets are copied")
            moves |= {known: renames.moved_id(known, here, there) for known in below}
        else:
            moves[area.namespace.secret_id(here)] = area.namespace.id_for_new_file(there)
    if any(area.store.is_reserved(new_id) for new_id in moves.values()):
        raise OperationRefused("smfs keeps this name for itself")
    return moves


async def _exchange_places(
    area: Area, moves: dict[str, str], files: dict[str, Node], old: Path, new: Path
) -> None:
    """Moves every secret, then the directories; who calls holds the locks of the files."""
    shapes = {path: _shape(area, path) for path in (old, new)}
    present = {
        known: file
        for known, file in files.items()
        if isinstance(file, SecretFile) and not file.unlinked
    }
    done = set()
    for known, file in present.items():
        other = present.get(moves[known])
        if other is None:
            await renames.move_secret(area, file, moves[known])
        elif known not in done:
            await _exchange_pair(area, file, other)
        done |= {known, moves[known]}
    area.update()
    _exchange_shapes(area, shapes, old, new)
    _swap_places(area, old, new)


async def _exchange_pair(area: Area, one: SecretFile, other: SecretFile) -> None:
    """Two secrets of which each gets the other's id."""
    ids = one.secret_id, other.secret_id
    if ids[0] is None or ids[1] is None:
        return
    files = {ids[1]: one, ids[0]: other}
    for file in files.values():
        file.current_times()  # an exchange moves no times
    edits = {new_id: file.edits for new_id, file in files.items()}
    unsaved = {new_id for new_id, file in files.items() if file.unsent and not file.stored}
    contents = {new_id: await file.content() for new_id, file in files.items()}
    if unsaved:
        versions = {
            new_id: await area.store.put(new_id, content)
            for new_id, content in contents.items()
            if new_id not in unsaved
        }
    else:
        versions = await _set_both(area, contents)
    for file in files.values():
        area.context.failures.made_good(area.path_of(file))
    for file in files.values():
        area.forget_name(file)
    for new_id, file in files.items():
        area.adopt(file, new_id)
        if new_id in versions:
            file.settle(versions[new_id], edits[new_id])
        else:
            file.stored = new_id in area.store.listed()
        file.let_go()


async def _set_both(area: Area, contents: dict[str, bytes]) -> dict[str, Version]:
    """Sets two stored secrets to each other's content.

    Args:
        area: of both.
        contents: by the id that each is to have.

    Raises:
        SmfsError: when the service does not take one; both are as they were then, as far as it
            can be reached, else the third secret stays.
    """
    (second, content), (first, other_content) = contents.items()
    spare = _free_id(area, first)
    await area.store.put(spare, content)
    try:
        versions = {
            first: await area.store.put(first, other_content),
            second: await area.store.put(second, content),
        }
    except SmfsError:
        # An answer may be lost although the request was carried out, so both are set again; the
        # second one first, since the other content is safe under the first id until then.
        with contextlib.suppress(SmfsError):
            await area.store.put(second, other_content)
            await area.store.put(first, content)
            await renames.remove_secret(area, spare)
        raise
    with contextlib.suppress(SmfsError):  # the exchange is done: it must not be told as failed
        await renames.remove_secret(area, spare)
    return versions


def _free_id(area: Area, secret_id: str) -> str:
    """An id that no secret has, beside the one that it is named after."""
    listed, number, free = area.store.listed(), 1, secret_id + _SPARE
    while free in listed:
        number += 1
        free = f"{secret_id}{_SPARE}{number}"
    return free


def _shape(area: Area, path: Path) -> list[Path]:
    """A directory and all directories below it, from it; nothing for a file."""
    if area.namespace.kind(path) != "directory":
        return []
    return [found[len(path) :] for found in area.namespace.directories_under(path)]


def _exchange_shapes(area: Area, shapes: dict[Path, list[Path]], old: Path, new: Path) -> None:
    """Makes the empty directories of each side on the other one, and closes those left over."""
    for here, there in ((old, new), (new, old)):
        for below in shapes[there]:
            area.namespace.make_directory((*here, *below))
    for here, there in ((old, new), (new, old)):
        for below in reversed(shapes[here]):
            if below not in shapes[there]:
                area.namespace.close_directory((*here, *below))


def _swap_places(area: Area, old: Path, new: Path) -> None:
    """Gives the directories, and the scratch files, of each path the other one."""
    area.move_directory(old, _NOWHERE)
    area.move_directory(new, old)
    area.move_directory(_NOWHERE, new)
