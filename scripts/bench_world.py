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
SHARED_MEMORY = Path("/dev/shm")
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
            start_new_session=True,  # an interrupt is for the benchmark alone
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
        self._stored = self.make("stored")
        self._services: dict[str, tuple[subprocess.Popen, int]] = {}
        self._proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies.values():
            proxy.close()
        for process, _ in self._services.values():
            process.terminate()
            process.wait(PATIENCE)
            process.stdout.close()
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
        """Makes identities with so many secrets each.

        The embedded service gets them, and so does every other one when it starts.
        """
        for profile in profiles:
            self.run(SMFS, "init", "--profile", profile)
        data = self.home / ".local" / "share" / "smfs"
        # In memory: nobody has to wait for the disk at each of thousands of commits.
        memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="smfs-bench-", dir=memory) as quick:
            _store(Path(quick, "service.db"), data / "profiles", profiles)
            for file in Path(quick).iterdir():
                shutil.copy2(file, data)
                shutil.copy2(file, self._stored)

    def service(self, name: str) -> int:
        """The port of a service, one for each name; it begins with what `fill` stored."""
        if name not in self._services:
            database = self.make("service") / "service.db"
            for file in self._stored.iterdir():
                shutil.copy2(file, database.parent)
            process = subprocess.Popen(
                [SMFS, "serve", "--listen", "127.0.0.1:0", "--db", database],
                stdout=subprocess.PIPE,
                text=True,
                env=self.environment,
                start_new_session=True,
            )
            port = re.search(r":(\d+)\s*$", process.stdout.readline())
            self._services[name] = process, int(port[1])
        return self._services[name][1]

    def service_process(self, name: str) -> int:
        """The process id of a service that is running."""
        return self._services[name][0].pid

    def proxy(self, name: str, delay: float) -> Proxy:
        """A way to the service of this name, which adds a round trip in seconds."""
        if name not in self._proxies:
            self._proxies[name] = Proxy(self.service(name), delay)
        return self._proxies[name]


def resident_memory(process: int) -> float:
    """How much memory a process has, in bytes."""
    text = Path(f"/proc/{process}/status").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return float(lines["VmRSS"].split()[0]) * 1024


class BrokenError(Exception):
    """A program did not do what it should."""


def _store(database: Path, keys: Path, profiles: dict[str, int]) -> None:
    """Stores the secrets through the library: by way of a mount it would take much longer."""
    import trio

    from smfs import create_client, embedded_transport
    from smfs.crypto.keyfile import load_key
    from smfs.service import create_service

    async def fill(client, numbers) -> None:
        for number in numbers:
            await client.set_secret(f"many/{file_name(number)}", content_of(number))

    async def store() -> None:
        async with create_service(database) as service:
            for profile, count in profiles.items():
                key = load_key(keys / profile / "key").secret_key_hex
                transport = embedded_transport(service)
                client = create_client("http://embedded.invalid", key, transport=transport)
                numbers = iter(range(count))
                async with client, trio.open_nursery() as nursery:
                    for _ in range(TASKS):
                        nursery.start_soon(fill, client, numbers)

    trio.run(store)
