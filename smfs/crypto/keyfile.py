"""A secret key in a file that nobody but its owner can read."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError, InvalidKey

_LONGEST: Final = 200


def save_key(path: Path, identity: Identity) -> None:
    """Writes a new key file of mode 0600 and syncs it to disk; it is there whole or not at all.

    Directories that are missing are made with mode 0700.

    Raises:
        ConfigError: when there is a file already, or it cannot be written.
    """
    try:
        _make_directories(path.parent)
        _write_whole(path, identity.secret_key_hex.encode() + b"\n")
    except FileExistsError:
        raise ConfigError(f"there is a key file already: {path}") from None
    except OSError as error:
        raise ConfigError(f"cannot write the key file {path}: {error.strerror}") from None


def load_key(path: Path) -> Identity:
    """Reads a key file.

    Raises:
        ConfigError: when it is missing, not ours, readable by others, or holds no key; the text
            says what to do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check_file(path, os.fstat(file.fileno()))
            text = file.read(_LONGEST)
    except FileNotFoundError:
        raise ConfigError(f"there is no key file {path}: run `smfs init`") from None
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from None
    try:
        return Identity.from_secret_key_hex(text.decode("ascii").strip())
    except (InvalidKey, UnicodeDecodeError):
        raise ConfigError(f"{path} holds no secret key (64 lower-case hex digits)") from None


def _make_directories(directory: Path) -> None:
    # Path.mkdir gives its mode to the last directory only.
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def _write_whole(path: Path, content: bytes) -> None:
    # A crash in between must not leave a key file without a key, so the name comes last.
    # mkstemp makes the file with mode 0600 and a name that nobody has.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"the key file {path} is no ordinary file")
    if found.st_uid != os.getuid():
        raise ConfigError(f"the key file {path} belongs to another user: chown it to yourself")
    if found.st_mode & 0o077:
        raise ConfigError(f"others can read the key file {path}: run `chmod 600 {path}`")
