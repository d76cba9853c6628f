"""A whole database in one file, beside which nothing is ever half done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smfs.errors import ConfigError
from smfs.service.admin import sqlite
from smfs.service.admin.copying import Copied, copy_rows
from smfs.service.admin.database import reading
from smfs.service.admin.progress import Progress


def backup(
    source: Path | str, file: Path, progress: Progress, now: int, *, may_replace: bool = False
) -> Copied:
    """Copies a database into a new SQLite file of mode 0600, while it is in use.

    Args:
        source: a file or a URL.
        file: the backup; it appears once it is complete and on disk.
        progress: as of `copy`.
        now: ms since 1970.
        may_replace: whether an older file of this name goes.

    Raises:
        ConfigError: when the file is there already, or cannot be made; else as `copy`.
    """
    file = file.absolute()
    if not may_replace and os.path.lexists(file):
        raise _taken(file)
    with reading(source) as origin, _draft(file) as draft:
        origin.must_have_columns()
        with sqlite.filling(draft, is_draft=True) as target:
            copied = copy_rows(origin, target, progress, now)
        _sync(draft)
        _place(draft, file, may_replace=may_replace)
        _sync(file.parent)
    return copied


def _taken(file: Path) -> ConfigError:
    return ConfigError(f"{file} is there already, and is not overwritten")


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
