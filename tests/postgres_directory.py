"""A throw-away directory in which PostgreSQL's programs run, and that goes with its process."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

PATIENCE: Final = 60.0
"""Seconds after which a server or a program counts as hung."""

_NOBODY: Final = 65534

# Ends with whoever started it, however that one ends; then ends the server and removes its
# directory. It is told the server's process, or an empty line once that has ended. A killed server
# leaves behind the shared memory that its file names (line 7: key and id).
_KEEPER: Final = """
server= tries=0
while read -r line; do server=$line; done
[ -z "$server" ] || kill -QUIT "$server"
left=$(sed -n 7p "$1/data/postmaster.pid") && ipcrm -m "${left##* }"
until rm -rf -- "$1"; do
  [ $((tries += 1)) -lt 200 ] || exit 1
  sleep 0.05
done
"""


class ClusterFailed(Exception):
    """A server did not do what it was told; the text ends with its own words."""


class Directory:
    """A directory of the user that the servers run as: PostgreSQL refuses to be run by root.

    Where we are root, an ordinary user must be able to reach the directory for temporary files.

    Attributes:
        path: where it is.
        data: where in it a server keeps its own.
        log: the file of what a server says.
    """

    def __init__(self) -> None:
        self._uid, self._gid = _account()
        self.path = Path(tempfile.mkdtemp(prefix="smfs-postgres-"))
        self.data = self.path / "data"
        self.log = self.path / "log"
        self.log.touch()
        os.chown(self.path, self._uid, self._gid)
        self._keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "keeper", self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs to its end.

        Raises:
            ClusterFailed: it is not installed, or fails.
        """
        done = subprocess.run(
            [_path_of(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            **self._as_account(),
        )
        if done.returncode:
            raise ClusterFailed(f"{program} failed: {done.stderr.decode(errors='replace')}")

    def serve(self, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Starts the server, which is ended with us unless `has_ended` is told before.

        Args:
            within: what runs it instead of itself.
        """
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                [*within, _path_of("postgres"), "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as_account(),
            )
        self._tell_keeper(str(server.pid))
        return server

    def has_ended(self) -> None:
        """The server has ended: its number may soon be another's."""
        self._tell_keeper("")

    def status_lines(self) -> list[str]:
        """What the server says of itself in `postmaster.pid`; nothing if there is none."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def write(self, name: str, text: str) -> None:
        """Writes a file among the server's own."""
        path = self.data / name
        path.write_text(text)
        os.chown(path, self._uid, self._gid)

    def remove(self) -> None:
        """Ends the server if it still runs, and removes the directory.

        Raises:
            ClusterFailed: something is left.
        """
        self._keeper.communicate()
        if self._keeper.returncode:
            raise ClusterFailed(f"{self.path} could not be removed")

    def _as_account(self) -> dict[str, Any]:
        """How a program is run: as whom, where, and out of reach of a terminal's Ctrl-C."""
        named: dict[str, Any] = {"user": self._uid, "group": self._gid, "extra_groups": []}
        return {
            **(named if self._uid != os.geteuid() else {}),
            "cwd": self.path,
            "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            "start_new_session": True,
        }

    def _tell_keeper(self, line: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(line.encode() + b"\n")
        self._keeper.stdin.flush()


def _account() -> tuple[int, int]:
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid


def _path_of(program: str) -> str:
    """Where a program is: Debian puts those of the server, of each version, into no PATH."""
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{program}")
    newest = max(installed, key=lambda path: float(path.parts[-3]), default=None)
    found = str(newest) if newest else shutil.which(program)
    if found is None:
        raise ClusterFailed("PostgreSQL is not installed; scripts/setup --test does that")
    return found
