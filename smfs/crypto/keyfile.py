"""A secret key in a file that nobody but its owner can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError, InvalidKey

_LONGEST: Final = 200


def save_key(path: Path, identity: Identity) -> None:
    """Writes a new key file, mode 0600 in directories of mode 0700, and syncs it to disk.

    Raises:
        ConfigError: when there is a file already, or it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(identity.secret_key_hex.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
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


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"the key file {path} is no ordinary file")
    if found.st_uid != os.getuid():
        raise ConfigError(f"the key file {path} belongs to another user: chown it to yourself")
    if found.st_mode & 0o077:
        raise ConfigError(f"others can read the key file {path}: run `chmod 600 {path}`")
