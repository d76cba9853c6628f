"""What the checks of this folder are made of; they run as one program, in a mount."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 30
"""After so long a check counts as hung."""

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
RENAME_WHITEOUT: Final = 4

LIBC: Final = ctypes.CDLL(None, use_errno=True)
LIBC.opendir.restype = ctypes.c_void_p
LIBC.readdir.restype = ctypes.c_void_p
LIBC.readdir.argtypes = LIBC.closedir.argtypes = LIBC.rewinddir.argtypes = [ctypes.c_void_p]
LIBC.telldir.restype = ctypes.c_long
LIBC.telldir.argtypes = [ctypes.c_void_p]
LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]

_AT_FDCWD: Final = -100


def same(found: object, wanted: object) -> None:
    """Fails unless both are equal."""
    if found != wanted:
        raise AssertionError(f"{found!r:.200} where {wanted!r:.200} was expected")


def true(said: str, *, holds: bool) -> None:
    """Fails unless something holds."""
    if not holds:
        raise AssertionError(f"it does not hold: {said}")


def refuses(wanted: str, operation: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Fails unless an operation fails with an errno, of which the name is given."""
    same(outcome(operation, *arguments, **named), wanted)


def outcome(operation: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The name of the errno that an operation fails with; `-` when it succeeds."""
    try:
        operation(*arguments, **named)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "-"


def put(path: str | bytes, content: bytes = b"content") -> str | bytes:
    """Makes a file; returns its path."""
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
        os.write(descriptor, content)
    return path


def get(path: str | bytes) -> bytes:
    """The content of a file."""
    with opened(path, os.O_RDONLY) as descriptor:
        return os.read(descriptor, 1 << 21)


@contextlib.contextmanager
def opened(path: str | bytes, flags: int, mode: int = 0o600) -> Iterator[int]:
    """A descriptor, closed at the end with an error that is heard."""
    descriptor = os.open(path, flags, mode)
    try:
        yield descriptor
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong before is what is to be told
            os.close(descriptor)
        raise
    os.close(descriptor)


def rename2(old: str, new: str, flags: int) -> None:
    """renameat2(2)."""
    failed = LIBC.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags)
    if failed:
        raise OSError(ctypes.get_errno(), "renameat2")


class Child:
    """A process that does something and says how it went."""

    def __init__(self, does: Callable[[], object]) -> None:
        reading, writing = os.pipe()
        self._process = os.fork()
        if not self._process:
            os.close(reading)
            _answer(writing, does)
        os.close(writing)
        self._reading = reading

    def answer(self) -> Any:
        """Waits for its end; what it returned, or the error that it ended with as a text."""
        with os.fdopen(self._reading, "rb") as pipe:
            told = pipe.read()
        os.waitpid(self._process, 0)
        return json.loads(told) if told else "it ended early"


def _answer(writing: int, does: Callable[[], object]) -> None:
    signal.alarm(PATIENCE_S)
    try:
        told = does()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent shall hear of it
        told = repr(error)
    try:
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(told))
    finally:
        os._exit(0)


def _hung(number: int, frame: object) -> None:
    raise TimeoutError("it hangs")


def run(check: Callable[[], None], folder: str) -> str:
    """Does one check in a new directory; returns what is wrong, or an empty text."""
    Path(folder).mkdir()
    os.chdir(folder)
    signal.signal(signal.SIGALRM, _hung)
    signal.alarm(PATIENCE_S)
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
        trace = error.__traceback__
        lines = []
        while trace is not None:
            lines.append(str(trace.tb_lineno))
            trace = trace.tb_next
        return f"{type(error).__name__}: {error} (lines {', '.join(lines)})"
    finally:
        signal.alarm(0)
    return ""
