"""Renames within an area: what moves on the service, in which order, so that nothing is lost."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from smfs.errors import (
    DirectoryNotEmpty,
    InvalidName,
    IsADirectory,
    NameTaken,
    NoSuchName,
    NotADirectory,
    OperationRefused,
    OtherArea,
    SecretNotFound,
    SmfsError,
)
from smfs.tree import names
from smfs.tree.node import Node
from smfs.tree.scratch import is_renamed_to_scratch
from smfs.tree.secret_file import SecretFile
from smfs.tree.secret_node import State

if TYPE_CHECKING:
    from smfs.tree.area import Area
    from smfs.tree.namespace import Path
    from smfs.tree.secret_directory import SecretDirectory

MOST_SECRETS: Final = 100
"""The most secrets of a directory that are moved; `mv` copies one that has more."""


async def rename(
    source: SecretDirectory, old: str, target: SecretDirectory, new: str, *, no_replace: bool
) -> None:
    """Moves a file or a directory within one area (rename(2)).

    Raises:
        NameTaken: when the new name is there and `no_replace` is set.
        OtherArea: for a directory of more than a hundred secrets, so that `mv` copies.
    """
    moved, replaced = source.require(old), target.known(new)
    if replaced is not None and no_replace:
        raise NameTaken(new)
    if replaced is moved:
        return
    old_path, new_path = (*source.path, old), (*target.path, new)
    if moved.is_directory:
        _check_directories(source.area, replaced, old_path, new_path)
        await _rename_directory(source.area, old_path, new_path)
        return
    if replaced is not None and replaced.is_directory:
        raise IsADirectory(new)
    files = [node for node in (moved, replaced) if isinstance(node, SecretFile)]
    async with AsyncExitStack() as stack:
        for file in sorted(files, key=lambda file: file.inode):
            await stack.enter_async_context(file.lock)
        if source.known(old) is not moved or target.known(new) is not replaced:
            raise NoSuchName(old)
        await _rename_file(target, files[0], old, new_path)


async def _rename_file(target: SecretDirectory, file: SecretFile, old: str, path: Path) -> None:
    area, secret_id = target.area, target.id_for(path)
    replaced = area.scratch.get(path)
    if replaced is not None or _becomes_scratch(area, secret_id, old, path[-1]):
        if replaced is not None:
            await area.remove(replaced)
        await _to_scratch(area, file, path)
    elif file.secret_id is None:
        await scratch_to_secret(area, file, secret_id)
    else:
        await move_secret(area, file, secret_id)


def _becomes_scratch(area: Area, secret_id: str, old: str, new: str) -> bool:
    taken = (
        secret_id in area.store.listed()
        or area.namespace.kind(names.encode_id(secret_id)) is not None
    )
    return not taken and is_renamed_to_scratch(old, new)


async def _to_scratch(area: Area, file: SecretFile, path: Path) -> None:
    """Hides a secret behind a scratch file; an unmount or a crash brings it back."""
    if file.secret_id is not None:
        content = await file.content()
        if file.buffer is None:
            file.buffer = bytearray(content)
        area.context.failures.made_good(area.path_of(file))
        area.forget_name(file)
        if file.stored:
            area.hide(file)
        file.secret_id = None
        file.state = State.CLEAN
    else:
        _drop_scratch_name(area, file)
    area.scratch[path] = file


async def scratch_to_secret(area: Area, file: SecretFile, secret_id: str) -> None:
    """A scratch file becomes a secret, by one upload; who calls holds its lock."""
    hidden = file.hides
    if hidden == secret_id and await _is_unchanged(area, file, secret_id):
        file.stored = True
        _drop_scratch_name(area, file)
        area.unhide(secret_id)
        area.adopt(file, secret_id)
        return
    content, edits = await file.content(), file.edits
    version = await area.store.put(secret_id, content)
    _drop_scratch_name(area, file)
    if hidden is not None:
        area.unhide(hidden)
    area.adopt(file, secret_id)
    file.settle(version, edits)
    file.let_go()
    if hidden is not None and hidden != secret_id:
        await remove_secret(area, hidden)


async def _is_unchanged(area: Area, file: SecretFile, secret_id: str) -> bool:
    try:
        look = await area.look(secret_id)
        content = await area.fetch(secret_id, look)
    except SecretNotFound:
        return False
    file.token = look.version.token
    return content == bytes(file.buffer or b"")


async def move_secret(area: Area, file: SecretFile, secret_id: str) -> None:
    """Sets a secret under its new id before the old one is deleted; who calls holds its lock."""
    old_id = file.secret_id
    if old_id is None or old_id == secret_id:
        return
    if file.unsent and not file.stored:
        _rename_unsaved(area, file, secret_id)
        return
    file.current_times()  # a rename moves no times
    old_place, before = area.path_of(file), (file.token, file.snapshot, file.state)
    content, edits = await file.content(), file.edits
    version = await area.store.put(secret_id, content)
    area.forget_name(file)
    area.adopt(file, secret_id)
    area.context.failures.made_good(old_place)
    file.settle(version, edits)
    try:
        await remove_secret(area, old_id)
    except SmfsError:
        # The kernel goes on calling this node by its old name: what is written to it belongs there.
        area.give_back(file, old_id)
        file.token, file.snapshot, file.state = before
        raise
    finally:
        file.let_go()


def _rename_unsaved(area: Area, file: SecretFile, secret_id: str) -> None:
    """The service has never heard of it: it will get it under the new id."""
    area.context.failures.made_good(area.path_of(file))
    area.forget_name(file)
    area.adopt(file, secret_id)
    file.stored = secret_id in area.store.listed()


async def remove_secret(area: Area, secret_id: str) -> None:
    """Deletes a secret whose file is called otherwise by now; it may be gone already."""
    try:
        await area.store.remove(secret_id)
    except SecretNotFound:
        pass  # somebody else removed it first
    finally:
        area.update()


def _drop_scratch_name(area: Area, file: SecretFile) -> None:
    for path in [path for path, found in area.scratch.items() if found is file]:
        del area.scratch[path]


def _check_directories(area: Area, replaced: Node | None, old: Path, new: Path) -> None:
    if new[: len(old)] == old:
        raise InvalidName("a directory cannot move into itself")
    if replaced is None:
        return
    if not replaced.is_directory:
        raise NotADirectory(new[-1])
    if area.children(new):
        raise DirectoryNotEmpty(new[-1])


async def _rename_directory(area: Area, old: Path, new: Path) -> None:
    if not names.is_directory_path(new):
        raise InvalidName("no secret id has such a directory")
    moves = {known: moved_id(known, old, new) for known in area.namespace.ids_under(old)}
    if len(moves) > MOST_SECRETS:
        raise OtherArea(f"a directory of more than {MOST_SECRETS} secrets is copied")
    if any(area.store.is_reserved(new_id) for new_id in moves.values()):
        raise OperationRefused("smfs keeps this name for itself")
    files = {known: area.file(known) for known in moves}
    async with AsyncExitStack() as stack:
        for file in sorted(files.values(), key=lambda node: node.inode):
            if isinstance(file, SecretFile):
                await stack.enter_async_context(file.lock)
        if area.namespace.kind(new) == "directory":
            area.forget_directory(new)
        for path in area.namespace.directories_under(old):
            area.namespace.make_directory((*new, *path[len(old) :]))
        for known, new_id in moves.items():
            file = files[known]
            if isinstance(file, SecretFile) and not file.unlinked:
                await move_secret(area, file, new_id)
    area.update()
    area.move_directory(old, new)
    _forget_below(area, old)


def moved_id(secret_id: str, old: Path, new: Path) -> str:
    """Where a secret of the directory `old` goes when that becomes `new`."""
    below = names.encode_id(secret_id)[len(old) :]
    return names.decode_path((*new, *below))


def _forget_below(area: Area, path: Path) -> None:
    for name, kind in area.namespace.children(path).items():
        if kind == "directory":
            _forget_below(area, (*path, name))
    if not area.namespace.children(path):
        area.namespace.remove_directory(path)
