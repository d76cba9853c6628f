"""Logs without secrets: an error is logged by its type and place, never by its text."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from smfs.cli.output import plain

_LONGEST: Final = 1024 * 1024  # bytes of a log file, before it becomes the old one
_FORMAT: Final = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
_SHORT_FORMAT: Final = "smfs: %(message)s"

_USUAL: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"})
"""What every record has, but for what was handed to the log as `extra`."""

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


class JsonFormatter(PlaceFormatter):
    """Writes one JSON object, with all that was handed to the log as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """As the log calls it."""
        moment = datetime.fromtimestamp(record.created, UTC)
        told = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        # In ASCII: nothing that a client had a say in upsets a terminal.
        return json.dumps(_handed_along(record) | told)


class LineFormatter(PlaceFormatter):
    """Writes one line, whatever a client had a say in, with what was handed along behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """As the log calls it."""
        extra = [f" {name}={value}" for name, value in _handed_along(record).items() if value != ""]
        return plain(super().format(record) + "".join(extra))


def _handed_along(record: logging.LogRecord) -> dict[str, Any]:
    return {name: _plain(value) for name, value in vars(record).items() if name not in _USUAL}


def _plain(value: object) -> str | int | float | bool | None:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)


class _PrivateFile(logging.FileHandler):
    """A log file of mode 0600, made when there is something to log."""

    def _open(self) -> io.TextIOWrapper:
        path = Path(self.baseFilename)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_private(path)

    def emit(self, record: logging.LogRecord) -> None:
        """As the log calls it; one that cannot be opened is as one that cannot be written."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)


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
    handler.setFormatter(LineFormatter(_FORMAT if target else _SHORT_FORMAT))
    _log_with(handler, logging.INFO)


def log_service(log_format: str, level: str) -> None:
    """Sends all logs to standard error, as an operator wants them.

    Args:
        log_format: `json`, or `text`.
        level: the lowest that is logged.
    """
    from smfs.service.operating import RequestIdFilter

    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    as_json = log_format == "json"
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter(_SHORT_FORMAT))
    _log_with(handler, logging.getLevelNamesMapping()[level.upper()])


def _log_with(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # What others log below that may be what was sent and received.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("smfs").setLevel(level)
    # Of requests that are no HTTP anybody may send as many as he likes.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # A log that cannot be written must not end the command, nor print the record elsewhere.
    logging.raiseExceptions = False
    _catch_stray_errors()


def _catch_stray_errors() -> None:
    def stray(error: BaseException | None) -> None:
        _log.error("unforeseen %s", describe(error))

    sys.excepthook = lambda _type, error, _traceback: stray(error)
    threading.excepthook = lambda found: stray(found.exc_value)
    sys.unraisablehook = lambda found: stray(found.exc_value)
