"""The file of a database: made for nobody else, and looked at before anything is changed."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Final

from smfs.errors import ConfigError

APPLICATION_ID: Final = 0x736D6673  # "smfs"
"""What stands in the header of our databases (SQLite file format, section 1.3.14)."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_ID_AT: Final = 68
_OTHERS: Final = 0o077


def prepare(path: Path) -> bool:
    """Makes the file where there is none; refuses one that is not ours, and leaves it as it is.

    Args:
        path: the file; its directory is made, mode 0700, where there is none.

    Returns:
        whether it is empty, so that a database has yet to be made of it.

    Raises:
        ConfigError: when it is no database of the service, or others could read it.
        OSError, sqlite3.Error: when it cannot be read.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = _opened(path)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"cannot use the database {path}: it is no file")
        header = os.pread(descriptor, _HEADER_BYTES, 0)
    finally:
        os.close(descriptor)
    if header and not _is_ours(path, header):
        raise ConfigError(f"cannot use the database {path}: it is a file of something else")
    if found.st_mode & _OTHERS:
        # It holds the service's key; whoever could read that may have done so.
        raise ConfigError(f"cannot use the database {path}: others can read it (chmod 600)")
    return not header


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    # Whatever the umask is. SQLite gives its other files the mode of this one.
    os.fchmod(descriptor, 0o600)
    return descriptor


def _is_ours(path: Path, header: bytes) -> bool:
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return False
    found = int.from_bytes(header[_ID_AT : _ID_AT + 4], "big")
    return found == APPLICATION_ID or (found == 0 and _has_our_tables(path))


def _has_our_tables(path: Path) -> bool:
    """For databases that were made before they had an id; also true of an empty one."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    return not names or {"service", "used_signatures"} <= names
