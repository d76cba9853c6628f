#!/usr/bin/env python3
"""The home directory, the identities and the services that `bench` measures in."""

from __future__ import annotations

import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

SCRIPTS = Path(__file__).resolve().parent
SMFS = Path(sys.executable).with_name("smfs")
PATIENCE = 60.0
TASKS = 4


def file_name(number: int) -> str:
    """The name of a file that is there from the beginning."""
    return f"f{number:05}"


def content_of(number: int) -> bytes:
    """What is in it."""
    return f"content of {file_name(number)}\n".encode()


class Proxy:
    """A way to a service that takes its time and counts (`bench_proxy.py`)."""

    def __init__(self, port: int, delay: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SCRIPTS / "bench_proxy.py", str(port), str(delay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def counts(self) -> collections.Counter[str]:
        """How often each path was asked for so far."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return collections.Counter(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """Ends it."""
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


class World:
    """What lies around the mounts; a context manager that leaves nothing behind.

    Attributes:
        home: a new directory, the home of all that runs.
        environment: for all that runs.
        profiling: whether the mounts run under a profiler.
    """

    def __init__(self, *, profiling: bool) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="smfs-bench-"))
        kept = {name: value for name, value in os.environ.items() if "SMFS" not in name}
        self.environment = {
            **{name: value for name, value in kept.items() if not name.startswith("XDG_")},
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
        }
        self.profiling = profiling
        self._database = self.make("service") / "service.db"
        self._service: subprocess.Popen | None = None
        self._port = 0
        self._proxies: dict[float, Proxy] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies.values():
            proxy.close()
        if self._service is not None:
            self._service.terminate()
            self._service.wait(PATIENCE)
            self._service.stdout.close()
        shutil.rmtree(self.home)

    def run(self, *command: str | Path, stdin: str = "") -> str:
        """Runs a program that must succeed; returns its output."""
        ended = subprocess.run(
            [str(each) for each in command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            timeout=PATIENCE,
        )
        if ended.returncode:
            said = ended.stderr.strip().splitlines() or ["nothing"]
            raise BrokenError(f"{Path(command[0]).name} ended with {ended.returncode}: {said[-1]}")
        return ended.stdout

    def make(self, name: str) -> Path:
        """A new directory."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.home))

    def fill(self, profiles: dict[str, int]) -> None:
        """Makes identities with so many secrets each, in the embedded service."""
        for profile in profiles:
            self.run(SMFS, "init", "--profile", profile)
        data = self.home / ".local" / "share" / "smfs"
        _store(data, profiles)
        for file in data.glob("service.db*"):
            shutil.copy2(file, self._database.with_name(file.name))

    def service(self) -> int:
        """The port of a service that began with what `fill` put into the embedded one."""
        if self._service is None:
            self._service = subprocess.Popen(
                [SMFS, "serve", "--listen", "127.0.0.1:0", "--db", self._database],
                stdout=subprocess.PIPE,
                text=True,
                env=self.environment,
            )
            said = self._service.stdout.readline()
            self._port = int(re.search(r":(\d+)\s*$", said)[1])
        return self._port

    def proxy(self, delay: float) -> Proxy:
        """A way to the service that adds this round trip, in seconds."""
        if delay not in self._proxies:
            self._proxies[delay] = Proxy(self.service(), delay)
        return self._proxies[delay]


class BrokenError(Exception):
    """A program did not do what it should."""


def _store(data: Path, profiles: dict[str, int]) -> None:
    """Stores the secrets through the library: by way of a mount it would take much longer."""
    import trio

    from smfs import create_client, embedded_transport
    from smfs.crypto.keyfile import load_key
    from smfs.service import create_service

    async def fill(client, numbers) -> None:
        for number in numbers:
            await client.set_secret(f"many/{file_name(number)}", content_of(number))

    async def store() -> None:
        async with create_service(data / "service.db") as service:
            for profile, count in profiles.items():
                key = load_key(data / "profiles" / profile / "key").secret_key_hex
                transport = embedded_transport(service)
                client = create_client("http://embedded.invalid", key, transport=transport)
                numbers = iter(range(count))
                async with client, trio.open_nursery() as nursery:
                    for _ in range(TASKS):
                        nursery.start_soon(fill, client, numbers)

    trio.run(store)
