"""Homes of accounts, in which real programs run, smfs among them."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smfs.fuse.mountinfo import mount_at

PROGRAM = Path(sys.executable).with_name("smfs")

PATIENCE = 60.0
"""Seconds after which a program counts as hung."""

_SEE = """
import os, select, subprocess, sys
status = os.open(".status", os.O_RDONLY)
changes = select.poll()
changes.register(status, select.POLLPRI)
while True:
    os.pread(status, 1, 0)
    done = subprocess.run(["bash", "-c", sys.argv[1]], stdout=subprocess.PIPE)
    if done.returncode == 0:
        break
    assert changes.poll(60_000), "nothing has changed"
sys.stdout.buffer.write(done.stdout)
"""

SETPRIV = shutil.which("setpriv") or "setpriv"
NOBODY = 65534
ACCOUNTS = ["root", "ordinary"] if os.geteuid() == 0 else ["own"]


@dataclass(frozen=True)
class Account:
    """Who runs the programs."""

    uid: int
    gid: int

    def prefix(self, *, may_reach_all: bool = False) -> list[str]:
        """What to put before a command so that this account runs it.

        Args:
            may_reach_all: for smfs itself, whose interpreter and checkout may lie below a
                directory that is closed to the account (`/root`). Mounting and the mount ask for
                nothing that this capability gives.
        """
        if self.uid == os.geteuid():
            return []
        command = [SETPRIV, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if may_reach_all:
            command += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return command


@dataclass(frozen=True)
class Outcome:
    """What a program did."""

    code: int
    out: bytes
    err: str


class Home:
    """The home directory of one account, its programs, its identities and its mounts."""

    def __init__(self, account: Account, path: Path) -> None:
        self.account = account
        self.path = path
        self._mounts: list[Path] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "HOME": str(path),
            "USER": "tester",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }

    def make(self, name: str) -> Path:
        """A new directory outside of every mount."""
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.path))
        os.chown(made, self.account.uid, self.account.gid)
        return made

    def make_in(self, directory: Path) -> Path:
        """A new directory in a mount."""
        return Path(self.do("mktemp", "-d", "-p", directory).decode().strip())

    def command(self, *command: str | Path, cwd: Path | None = None) -> list[str]:
        """What to execute so that the account runs a program in a directory.

        The directory may be closed to everybody else, so it is entered by the account.
        """
        enter = ["env", "-C", str(cwd or self.path)]
        return [*self.account.prefix(), *enter, *map(str, command)]

    def run(
        self, *command: str | Path, stdin: bytes = b"", cwd: Path | None = None, **more: str
    ) -> Outcome:
        """Runs a program to its end; its exit code is the caller's to judge."""
        return self._run(self.command(*command, cwd=cwd), stdin, more)

    def do(
        self, *command: str | Path, stdin: bytes = b"", cwd: Path | None = None, **more: str
    ) -> bytes:
        """Runs a program that must succeed; returns its standard output."""
        outcome = self.run(*command, stdin=stdin, cwd=cwd, **more)
        assert outcome.code == 0, (command, outcome)
        return outcome.out

    def bash(self, script: str, *, cwd: Path) -> Outcome:
        """Runs a script of bash."""
        return self.run("bash", "-c", script, cwd=cwd)

    def see(self, mount: Path, script: str) -> bytes:
        """Runs a script of bash in a mount, after each change on the service, until it succeeds.

        Returns:
            what it then printed.
        """
        return self.do("python3", "-c", _SEE, script, cwd=mount)

    def smfs(self, *arguments: str | Path, stdin: bytes = b"", **more: str) -> Outcome:
        """Runs smfs to its end; `more` is added to its environment."""
        return self._run([*self._smfs(), *map(str, arguments)], stdin, more)

    def must(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        """Runs smfs, which must succeed; returns its standard output."""
        outcome = self.smfs(*arguments, stdin=stdin)
        assert outcome.code == 0, (arguments, outcome)
        return outcome.out

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Starts smfs and does not wait for its end."""
        process = subprocess.Popen(
            [*self._smfs(), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.path,
            env=self.environment,
        )
        self._processes.append(process)
        return process

    @contextmanager
    def talk(self, *command: str | Path, cwd: Path) -> Iterator[Callable[[bytes], bytes]]:
        """Runs a program that answers each input with one line; it must end with 0."""
        with subprocess.Popen(
            self.command(*command, cwd=cwd),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            asking, answering = process.stdin, process.stdout

            def say(text: bytes) -> bytes:
                asking.write(text)
                asking.flush()
                return answering.readline()

            yield say
            asking.close()
            assert process.wait(PATIENCE) == 0

    def in_terminal(self, *command: str | Path, keys: Sequence[tuple[bytes, bytes]]) -> int:
        """Runs a program in a terminal.

        Args:
            command: the program and its arguments.
            keys: what to wait for in its output, and what to type then.

        Returns:
            its exit code.
        """
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            self.command(*command),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self.environment,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                for awaited, typed in keys:
                    _read_until(ours, awaited)
                    os.write(ours, typed)
                _read_until(ours, None)
                return process.wait(PATIENCE)
            finally:
                process.kill()
                os.close(ours)

    def mount(self, *arguments: str, profile: str = "default") -> Path:
        """Mounts an identity in the background; returns where, once it is usable."""
        directory = self.make("mount")
        self.must("mount", "--profile", profile, *arguments, directory)
        self._mounts.append(directory)
        return directory

    def adopt(self, directory: Path) -> None:
        """Has a mount that a test made by itself taken away at the end."""
        self._mounts.append(directory)

    def status(self, directory: Path) -> dict[str, Any]:
        """What a mount says of itself."""
        told = json.loads(self.do("cat", directory / ".status"))
        assert isinstance(told, dict)
        return told

    def unmount(self, directory: Path) -> None:
        """Unmounts and waits until the process of the mount has ended."""
        process = int(self.status(directory)["pid"])
        ending = os.pidfd_open(process)
        try:
            self.must("umount", directory)
            self._mounts.remove(directory)
            wait_for(ending, "the process of the mount to end")
        finally:
            os.close(ending)

    def logs(self) -> str:
        """All that smfs has logged."""
        found = sorted((self.path / ".local" / "state" / "smfs").glob("*.log"))
        return "".join(log.read_text(errors="replace") for log in found)

    def clean_up(self) -> None:
        """Unmounts all, ends all, removes all."""
        for directory in self._mounts:
            if mount_at(directory) is not None:
                self._take_away(directory)
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        shutil.rmtree(self.path)

    def _take_away(self, directory: Path) -> None:
        """Unmounts although programs may still use it, and waits for the end of its process."""
        told = self.run("cat", directory / ".status")
        ending = os.pidfd_open(int(json.loads(told.out)["pid"])) if told.code == 0 else None
        self.smfs("umount", "--lazy", directory)
        if ending is not None:
            wait_for(ending, "the process of the mount to end")
            os.close(ending)

    def _smfs(self) -> list[str]:
        return [*self.account.prefix(may_reach_all=True), str(PROGRAM)]

    def _run(self, command: list[str], stdin: bytes, more: dict[str, str]) -> Outcome:
        finished = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            check=False,
            cwd=self.path,
            env=self.environment | more,
            timeout=PATIENCE,
        )
        return Outcome(
            finished.returncode, finished.stdout, finished.stderr.decode(errors="replace")
        )


def _read_until(terminal: int, awaited: bytes | None) -> None:
    """Reads what a program shows until it shows something, or (None) until it ends."""
    shown = b""
    while awaited is None or awaited not in shown:
        wait_for(terminal, f"the program to show {awaited!r}, but {shown!r} was all")
        try:
            more = os.read(terminal, 4096)
        except OSError:  # EIO: nobody has the other side open any more
            more = b""
        if not more:
            assert awaited is None, (awaited, shown)
            return
        shown += more


def wait_for(descriptor: int, what: str) -> None:
    """Waits until something can be read, or has ended."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    assert ready, f"waited in vain for {what}"
