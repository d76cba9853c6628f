"""A whole database in one file, beside which nothing is ever half done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from smfs.errors import ConfigError
from smfs.service.admin import sqlite
from smfs.service.admin.copying import Copied, copy_rows, is_same
from smfs.service.admin.database import reading
from smfs.service.admin.interrupts import Interrupts
from smfs.service.admin.progress import Progress

# Of what lies beside a file of SQLite while it is in use, and after its process was killed.
_LOGS: Final = ("-wal", "-shm", "-journal")


def backup(
    source: Path | str,
    file: Path,
    progress: Progress,
    now: int,
    interrupts: Interrupts | None = None,
    *,
    may_replace: bool = False,
) -> Copied:
    """Copies a database into a new SQLite file of mode 0600, while it is in use.

    Args:
        source: a file or a URL.
        file: the backup; it appears once it is complete and on disk.
        progress: as of `copy`.
        now: ms since 1970.
        interrupts: as of `copy`; held before the file appears.
        may_replace: whether an older file of this name goes.

    Raises:
        ConfigError: when the file is there already, is the source or a database in use, or cannot
            be made; else as `copy`.
    """
    file = file.absolute()
    _must_be_no_database(file, source)
    if not may_replace and os.path.lexists(file):
        raise _taken(file)
    with reading(source) as origin, _draft(file) as draft:
        origin.must_have_columns()
        with sqlite.filling(draft, is_draft=True) as target:
            copied = copy_rows(origin, target, progress, now)
        _sync(draft)
        if interrupts is not None:
            interrupts.hold()
        # Much may have happened since the first look.
        _must_be_no_database(file, source)
        _place(draft, file, may_replace=may_replace)
        _sync(file.parent)
    return copied


def _taken(file: Path) -> ConfigError:
    return ConfigError(f"{file} is there already, and is not overwritten")


def _must_be_no_database(file: Path, source: Path | str) -> None:
    """Raises ConfigError when to replace a file would harm a database.

    Whoever has it open would go on writing to what has no name any more, and its log would be
    applied to the backup.
    """
    if is_same(source, file):
        raise ConfigError(f"{file} is the database itself, and is not overwritten")
    if file.name.endswith(_LOGS):
        raise ConfigError(f"{file} has the name of a database's log, and is not written")
    for end in _LOGS:
        if os.path.lexists(log := file.with_name(f"{file.name}{end}")):
            raise ConfigError(
                f"{file} is not written, for there is {log.name} beside it: a database is in use"
                " there, or was not closed"
            )


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """An empty file beside another one, gone at the end unless it has got another name."""
    try:
        descriptor, name = tempfile.mkstemp(".part", f".{file.name[:100]}.", file.parent)
        os.close(descriptor)
        draft = Path(name)
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make {file}: {error.strerror}") from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place(draft: Path, file: Path, *, may_replace: bool) -> None:
    if may_replace:
        draft.replace(file)
        return
    try:
        # Unlike a rename it never replaces.
        file.hardlink_to(draft)
    except FileExistsError:
        raise _taken(file) from None
    except PermissionError:
        # As file systems without links say.
        draft.replace(file)
