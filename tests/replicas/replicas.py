"""Several services over one database behind a proxy, which are killed and come back in turn."""

from __future__ import annotations

import collections
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = Path(sys.executable).with_name("smfs")
PATIENCE_S: Final = 60.0
COUNT: Final = 3
"""How many replicas there are, unless somebody says otherwise."""

_DOWN_S: Final = 1.0  # at the most, before a replica that was killed is started again


@dataclass(frozen=True)
class Death:
    """One replica was killed.

    Attributes:
        replica: its number.
        at: when, by `time.monotonic`.
        back_at: when it listened again.
    """

    replica: int
    at: float
    back_at: float


class Broken(Exception):
    """A replica did not start."""


class Replica:
    """`smfs serve` in a process of its own, always at the same port.

    Args:
        database: a path, or the URL of one.
        directory: where its log is, and what it has for a home.
        number: which one it is.
        options: further arguments.
        within: a program and its arguments, which runs it.
    """

    def __init__(
        self,
        database: str | Path,
        directory: Path,
        number: int,
        options: Sequence[str],
        within: Sequence[str] = (),
    ) -> None:
        self._command = [
            *within,
            str(PROGRAM),
            "serve",
            "--db",
            str(database),
            *options,
            "--listen",
        ]
        self._environment = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        self.log = directory / f"replica-{number}.log"
        self.address = "127.0.0.1:0"
        self.process = self._started()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.address}"

    def kill(self) -> None:
        """Ends it at once, whatever it is doing."""
        self.process.kill()
        self.process.communicate()

    def start(self) -> None:
        """Starts it once more; returns once it listens."""
        self.process = self._started()

    def terminate(self) -> int:
        """Asks it to end, and waits for that; its exit code."""
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def _started(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, self.address],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # an interrupt is for who started it
            )
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        found = re.search(r"http://([0-9.]+:\d+)", said)
        if found is None:
            process.kill()
            process.communicate()
            raise Broken(self.log.read_text(errors="replace")[-500:])
        self.address = found[1]
        return process


class Proxy:
    """The round-robin proxy in a process of its own.

    Args:
        replicas: where they listen, as `HOST:PORT`.
    """

    def __init__(self, replicas: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.replicas.proxy", *replicas],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            start_new_session=True,
        )
        self.url = f"http://127.0.0.1:{int(self._said())}"

    def counts(self) -> collections.Counter[str]:
        """What it has done, as `proxy.RoundRobin.counts`."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return collections.Counter(json.loads(self._said()))

    def close(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=PATIENCE_S)

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Replicas:
    """Replicas over one database, and the proxy before them; a context manager.

    Args:
        database: what all of them use.
        directory: for their logs.
        count: how many.
        options: further arguments of each.

    Attributes:
        deaths: who was killed, in order.
    """

    def __init__(
        self,
        database: str | Path,
        directory: Path,
        *,
        count: int = COUNT,
        options: Sequence[str] = (),
    ) -> None:
        self.deaths: list[Death] = []
        self._directory = directory
        self.replicas: list[Replica] = []
        try:
            for number in range(count):
                self.replicas.append(Replica(database, directory, number, options))
            self.proxy = Proxy([replica.address for replica in self.replicas])
        except BaseException:
            self._kill_all()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.close()
        self._kill_all()

    @property
    def url(self) -> str:
        """Of the proxy."""
        return self.proxy.url

    def logs(self) -> str:
        """All that the replicas have logged."""
        return "".join(replica.log.read_text(errors="replace") for replica in self.replicas)

    def kill_and_restart(self, number: int, down: float = 0.0) -> Death:
        """Kills a replica and starts it again after so many seconds."""
        replica = self.replicas[number]
        replica.kill()
        killed_at = time.monotonic()
        if down:
            time.sleep(down)
        replica.start()
        self.deaths.append(Death(number, killed_at, time.monotonic()))
        return self.deaths[-1]

    def _kill_all(self) -> None:
        for replica in self.replicas:
            replica.kill()


class Killer:
    """Kills one replica after the other, each of which comes back; a context manager.

    Args:
        replicas: whom.
        every: how many seconds lie between two deaths, on average; more where a replica takes
            longer than that to come back, for on so slow a machine requests take longer, too, and
            would meet one death after the other.
    """

    def __init__(self, replicas: Replicas, every: float) -> None:
        self._replicas = replicas
        self._every = every
        self._stop = threading.Event()
        self._failure: Broken | None = None
        self._thread = threading.Thread(target=self._kill_in_turn, name="killer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kills no more; returns once all replicas are there.

        Raises:
            Broken: what a replica says that did not come back.
        """
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _kill_in_turn(self) -> None:
        number, start = 0, 0.0
        while not self._stop.wait(random.uniform(0.5, 1.5) * max(self._every, start)):
            down = random.uniform(0, _DOWN_S)
            try:
                death = self._replicas.kill_and_restart(number, down)
            except Broken as error:
                self._failure = error
                return
            start = death.back_at - death.at - down
            number = (number + 1) % len(self._replicas.replicas)
