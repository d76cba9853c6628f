"""Logs without secrets: an error is logged by its type and place, never by its text."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final

_LONGEST: Final = 1024 * 1024  # bytes of a log file, before it becomes the old one
_FORMAT: Final = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"

_log: Final = logging.getLogger(__name__)


class PlaceFormatter(logging.Formatter):
    """Writes of an exception what type it has and where it came from.

    The texts of exceptions and the values of variables may hold secrets; the names of files and
    functions do not.
    """

    def formatException(self, ei: Any) -> str:  # noqa: N802 - named by logging
        """`type: file:line function < file:line function …`, the innermost first."""
        return describe(ei[1])

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - named by logging
        """Nothing: source lines are in it."""
        return ""


class _PrivateFile(logging.FileHandler):
    """A log file of mode 0600, made when there is something to log."""

    def _open(self) -> io.TextIOWrapper:
        path = Path(self.baseFilename)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_private(path)


def describe(error: BaseException | None) -> str:
    """The type of an error and where it came from, without its text."""
    if error is None:
        return "no error"
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in reversed(frames)]
    found = f"{type(error).__name__}: {' < '.join(places)}"
    if isinstance(error, BaseExceptionGroup):
        return f"{found} ({'; '.join(describe(each) for each in error.exceptions)})"
    return found


def open_private(path: Path) -> io.TextIOWrapper:
    """Opens a log for appending, of mode 0600; one that has grown too long becomes the old one."""
    try:
        if path.stat().st_size > _LONGEST:
            path.replace(path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        pass
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)  # an old one may be open to others
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def log_to(target: Path | None) -> None:
    """Sends all logs to a file, or to standard error; and all errors that nobody caught there."""
    handler = _PrivateFile(target, delay=True) if target else logging.StreamHandler()
    handler.setFormatter(PlaceFormatter(_FORMAT if target else "smfs: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("smfs").setLevel(logging.INFO)
    # A log that cannot be written must not end the command, nor print the record elsewhere.
    logging.raiseExceptions = False
    _catch_stray_errors()


def _catch_stray_errors() -> None:
    def stray(error: BaseException | None) -> None:
        _log.error("unforeseen %s", describe(error))

    sys.excepthook = lambda _type, error, _traceback: stray(error)
    threading.excepthook = lambda found: stray(found.exc_value)
    sys.unraisablehook = lambda found: stray(found.exc_value)
