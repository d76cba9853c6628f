#!/usr/bin/env python3
"""What `bench` measures: mounts of smfs in several places, and the floor below them."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench_world import PATIENCE, SCRIPTS, SMFS, BrokenError, World, resident_memory

PAUSE = 0.002


class Subject(ABC):
    """A filesystem that is measured.

    Attributes:
        name: for people.
        round_trip: in seconds, from it to what it asks.
        is_baseline: whether the others are compared with it.
        is_local: whether each operation is quick enough for many of them.
        folder: where its files lie: some in `many`, others are made in `work`.
    """

    round_trip = 0.0
    is_baseline = False
    is_local = True

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.mountpoint = world.make("mount")
        self.folder = self.mountpoint

    @abstractmethod
    def start(self) -> None:
        """Mounts; returns once it can be used."""

    def stop(self) -> None:
        """Unmounts; does nothing where it is not mounted."""
        if self.mountpoint.is_mount():
            self.world.run("fusermount3", "-u", self.mountpoint)

    def is_running(self) -> bool:
        """Whether it is mounted."""
        return self.mountpoint.is_mount()

    def requests(self) -> collections.Counter[str] | None:
        """How often it asked for what so far; None where nobody counts."""
        return None

    def resident(self) -> float | None:
        """How much memory the mount has, in bytes; None where that is of no interest."""
        return None

    def close(self) -> None:  # noqa: B027 - most need nothing besides the mount
        """Ends what it needed besides the mount."""

    def work(self) -> Path:
        """The directory in which files are made."""
        made = self.folder / "work"
        made.mkdir(exist_ok=True)
        return made


def wait_until_mounted(directory: Path, process: subprocess.Popen) -> None:
    """Returns once a process has mounted something."""
    end = time.monotonic() + PATIENCE
    while not directory.is_mount():
        if process.poll() is not None or time.monotonic() > end:
            raise BrokenError(f"{Path(process.args[0]).name} does not mount")
        time.sleep(PAUSE)


class Floor(Subject):
    """The filesystem in memory (`bench_floor.py`)."""

    is_baseline = True

    def __init__(self, world: World, files: int) -> None:
        super().__init__("floor", world)
        self._files = files
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        program = SCRIPTS / "bench_floor.py"
        self._process = subprocess.Popen(
            [sys.executable, program, self.mountpoint, str(self._files)],
            start_new_session=True,
        )
        wait_until_mounted(self.mountpoint, self._process)

    def stop(self) -> None:
        super().stop()
        if self._process is not None:
            self._process.wait(PATIENCE)
            self._process = None


class Smfs(Subject):
    """A mount of smfs.

    Args:
        name: for people.
        world: where.
        profile: of which identity.
        distance: to its service, as a round trip in seconds; None: it is embedded.
    """

    def __init__(self, name: str, world: World, profile: str, distance: float | None) -> None:
        super().__init__(name, world)
        self.folder = self.mountpoint / "own"
        self._profile = profile
        self._distance = distance
        self.round_trip = distance or 0.0
        self.is_local = not distance
        self._proxy = None
        self._process: subprocess.Popen | None = None
        self._twin: Smfs | None = None

    def start(self) -> None:
        command = ["mount", "--profile", self._profile]
        if self._distance:
            self._proxy = self.world.proxy(self.name, self._distance)
            command += ["--service", self._proxy.url]
        elif self._distance is not None:
            command += ["--service", f"http://127.0.0.1:{self.world.service(self.name)}"]
        if self.world.profiling:
            self._start_profiled([*command, "--foreground", str(self.mountpoint)])
        else:
            self.world.run(SMFS, *command, self.mountpoint)

    def _start_profiled(self, command: list[str]) -> None:
        file = self.world.home / f"{self.name}-{time.monotonic_ns()}.prof"
        self._process = subprocess.Popen(
            [sys.executable, SCRIPTS / "bench_profile.py", file, *command],
            env=self.world.environment,
            start_new_session=True,
        )
        wait_until_mounted(self.mountpoint, self._process)

    def stop(self) -> None:
        if self._twin is not None:
            self._twin.stop()
        if self.mountpoint.is_mount():
            self.world.run(SMFS, "umount", self.mountpoint)
        if self._process is not None:
            self._process.wait(PATIENCE)
            self._process = None

    def requests(self) -> collections.Counter[str] | None:
        return self._proxy.counts() if self._proxy is not None else None

    def status(self) -> dict[str, Any]:
        """What the mount says of itself."""
        return json.loads((self.mountpoint / ".status").read_bytes())

    def resident(self) -> float | None:
        return resident_memory(self.status()["pid"])

    def twin(self) -> Smfs:
        """Another mount of the same identity at the same service; there is one, and it is kept."""
        if self._twin is None:
            self._twin = Smfs(self.name, self.world, self._profile, self._distance)
        if not self._twin.mountpoint.is_mount():
            self._twin.start()
        return self._twin


def stop_all(subjects: list[Subject]) -> None:
    """Unmounts them all, whatever happened to them."""
    for subject in subjects:
        with suppress(OSError, BrokenError, subprocess.SubprocessError):
            subject.stop()
        if os.path.ismount(subject.mountpoint):
            subprocess.run(["fusermount3", "-uz", subject.mountpoint], check=False)
