#!/usr/bin/env python3
"""Other filesystems that people use for the like, as far as they are installed."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from bench_subjects import PAUSE, Subject
from bench_world import PATIENCE, BrokenError, World, content_of, file_name

PASSWORD = "throw-away"


def write_files(directory: Path, files: int) -> None:
    """Writes the files that are there from the beginning."""
    many = directory / "many"
    many.mkdir()
    for number in range(files):
        (many / file_name(number)).write_bytes(content_of(number))


class Gocryptfs(Subject):
    """gocryptfs on a directory of this machine."""

    needs = ("gocryptfs",)

    def __init__(self, world: World, files: int) -> None:
        super().__init__("gocryptfs", world)
        self._cipher = world.make("gocryptfs")
        self._secret = ["-q", "-extpass", f"echo {PASSWORD}"]
        world.run("gocryptfs", "-init", "-scryptn", "10", *self._secret, self._cipher)
        self.start()
        write_files(self.folder, files)
        self.stop()

    def start(self) -> None:
        self.world.run("gocryptfs", *self._secret, self._cipher, self.mountpoint)


class Sshfs(Subject):
    """sshfs to a server on this machine, with keys made for the occasion."""

    needs = ("sshfs", "ssh-keygen", "sshd")

    def __init__(self, world: World, files: int) -> None:
        super().__init__("sshfs", world)
        self._away = world.make("sshfs")
        write_files(self._away, files)
        self._keys = world.make("keys")
        for name in ("host", "user"):
            world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._keys / name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._server: subprocess.Popen | None = None

    def _serve(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's sshd ends without it
        options = {
            "ListenAddress": f"127.0.0.1:{self._port}",
            "HostKey": self._keys / "host",
            "AuthorizedKeysFile": self._keys / "user.pub",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "yes",
            "Subsystem": "sftp internal-sftp",
        }
        configuration = self._keys / "sshd_config"
        configuration.write_text("".join(f"{key} {value}\n" for key, value in options.items()))
        program = shutil.which("sshd", path=search_path())
        with (self._keys / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [program, "-D", "-e", "-f", configuration], stderr=log, start_new_session=True
            )
        end = time.monotonic() + PATIENCE
        while self._server.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
            except ConnectionRefusedError:
                time.sleep(PAUSE)
            else:
                return
        raise BrokenError("sshd does not listen")

    def start(self) -> None:
        if self._server is None:
            self._serve()
        options = {
            "port": self._port,
            "IdentityFile": self._keys / "user",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        given = [f"-o{key}={value}" for key, value in options.items()]
        place = f"{getpass.getuser()}@127.0.0.1:{self._away}"
        self.world.run("sshfs", *given, place, self.mountpoint)

    def close(self) -> None:
        """Ends the server."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(PATIENCE)


class Rclone(Subject):
    """`rclone mount` of a crypt remote on a directory of this machine."""

    needs = ("rclone",)

    def __init__(self, world: World, files: int) -> None:
        super().__init__("rclone", world)
        plain = world.make("plain")
        write_files(plain, files)
        world.environment |= {
            "RCLONE_CONFIG_BENCH_TYPE": "crypt",
            "RCLONE_CONFIG_BENCH_REMOTE": str(world.make("rclone")),
            "RCLONE_CONFIG_BENCH_PASSWORD": world.run("rclone", "obscure", PASSWORD).strip(),
        }
        world.run("rclone", "copy", plain, "bench:")

    def start(self) -> None:
        options = ["--daemon", "--vfs-cache-mode", "writes"]
        self.world.run("rclone", "mount", "bench:", self.mountpoint, *options)


TOOLS: dict[str, type] = {"gocryptfs": Gocryptfs, "sshfs": Sshfs, "rclone": Rclone}


def search_path() -> str:
    """Where programs are, those of the administrator too."""
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def missing(tool: str) -> list[str]:
    """Which programs of a tool are not installed."""
    needed = TOOLS[tool].needs
    return [name for name in needed if shutil.which(name, path=search_path()) is None]
