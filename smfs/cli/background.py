"""A mount in the background: a process of its own, and a pipe on which it says how it went.

Nothing forks an event loop: the program starts itself anew.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from smfs.cli.exits import ReportedFailure, exit_code_of, leaf_of, told
from smfs.cli.foreground import serve_mount
from smfs.cli.logs import log_to, open_private
from smfs.errors import ConfigError, MountError, SmfsError

if TYPE_CHECKING:
    from smfs.config import Flags, Settings

START_TIME: Final = 30.0
"""How long, in seconds, a mount may take until it answers."""

_READY: Final = b'{"ready": true}'


def start_in_background(
    settings: Settings, flags: Flags, directory: Path, *, allow_other: bool
) -> None:
    """Starts the process that serves a mount, and returns once the mount answers.

    Raises:
        ReportedFailure: when the process says that it cannot.
        MountError: when it says nothing.
        ConfigError: when its log cannot be written.
    """
    log = _opened_log(settings.log_file)
    reading, writing = os.pipe()
    try:
        with log:
            process = subprocess.Popen(  # noqa: S603 - this very program
                _arguments(settings, flags, directory, allow_other=allow_other, ready_fd=writing),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writing],
                start_new_session=True,
            )
        os.close(writing)
        _wait_until_ready(process, reading, settings)
    finally:
        os.close(reading)


def _opened_log(path: Path) -> io.TextIOWrapper:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_private(path)
    except OSError as error:
        raise ConfigError(f"cannot write the log {path}: {error.strerror}") from None


def _arguments(
    settings: Settings, flags: Flags, directory: Path, *, allow_other: bool, ready_fd: int
) -> list[str]:
    # -P: no module is to be taken from the directory that one happens to be in.
    found = [sys.executable, "-P", "-m", "smfs.cli.main", "mount", f"--ready-fd={ready_fd}"]
    found.append(f"--profile={settings.profile}")
    if flags.service is not None:
        found.append(f"--service={flags.service}")
    if flags.allow_unsigned is not None:
        found.append("--allow-unsigned" if flags.allow_unsigned else "--require-signed")
    if flags.cache is not None:
        found.append("--cache" if flags.cache else "--no-cache")
    if flags.max_stale is not None:
        found.append(f"--max-stale={flags.max_stale}")
    if flags.deadline is not None:
        found.append(f"--deadline={flags.deadline!r}")
    if flags.kernel_cache is not None:
        found.append("--kernel-cache" if flags.kernel_cache else "--no-kernel-cache")
    if allow_other:
        found.append("--allow-other")
    return [*found, "--", str(directory)]


def _wait_until_ready(process: subprocess.Popen[bytes], reading: int, settings: Settings) -> None:
    try:
        answer = _read_answer(reading)
    except BaseException:
        process.terminate()
        raise
    if answer is None:
        process.terminate()
        raise MountError(f"the mount does not answer; see {settings.log_file}")
    if answer == _READY:
        # It goes on after this process: nobody is to wait for it.
        process.returncode = 0
        return
    process.wait()
    said = _parse(answer)
    if said is None:
        raise MountError(f"the mount ended before it was ready; see {settings.log_file}")
    raise ReportedFailure(str(said["error"]), int(said["code"]))


def _read_answer(reading: int) -> bytes | None:
    """All that the process says; None when it says nothing in time."""
    answer = b""
    end = time.monotonic() + START_TIME
    while True:
        readable, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not readable:
            return None
        part = os.read(reading, 65536)
        if not part:
            return answer
        answer += part


def _parse(answer: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    return said if isinstance(said, dict) and {"error", "code"} <= said.keys() else None


def serve_for_parent(
    settings: Settings, directory: Path, *, allow_other: bool, ready_fd: int
) -> None:
    """Serves a mount and says on `ready_fd` that it answers, or why it does not."""
    log_to(settings.log_file)
    fcntl.fcntl(ready_fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)  # fusermount3 is not to keep it open
    pipe = _Pipe(ready_fd)
    try:
        serve_mount(settings, directory, allow_other=allow_other, on_ready=lambda: pipe.say(_READY))
    except BaseException as error:
        leaf = leaf_of(error)
        if isinstance(leaf, SmfsError):
            said = {"error": told(leaf), "code": exit_code_of(leaf)}
            pipe.say(json.dumps(said).encode())
        raise


class _Pipe:
    """The way to the process that waits; it is used once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def say(self, answer: bytes) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.write(descriptor, answer)
        except BrokenPipeError:
            pass  # who started this mount was interrupted, and has ended or will end it
        finally:
            os.close(descriptor)
