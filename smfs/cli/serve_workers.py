"""Several processes that serve one port, and the one that looks after them.

Each has a listener of its own (SO_REUSEPORT), which the supervisor keeps open too: what connects
while a worker is started anew waits in it. Nothing forks an event loop: the program starts anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from smfs.cli.databases import FILE_VARIABLE, VARIABLE
from smfs.cli.exits import FAILED, ReportedFailure
from smfs.cli.serve_hangup import hangup_held, listen_to_hangup
from smfs.cli.serve_listener import listening
from smfs.cli.serve_metrics import MetricsDirectory, metrics_directory
from smfs.cli.serve_options import PREFIX, Address, ServeSettings
from smfs.cli.serve_worker import Descriptors, has_started
from smfs.service.operating import forget_process

_log: Final = logging.getLogger(__name__)

_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
_SETTLED_S: Final = 10.0  # a worker that served for less died right at its start
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 10.0
_MOST_DEATHS: Final = 6  # one after the other, while no other worker serves
_NOT_FOR_WORKERS: Final = (VARIABLE, FILE_VARIABLE, "NOTIFY_SOCKET")
_MARGIN_S: Final = 5.0  # beyond the grace, until a worker is killed


def listeners_of(address: Address, count: int) -> list[socket.socket]:
    """Listeners on one port.

    Raises:
        ConfigError: when one cannot listen there.
    """
    if address.port:
        # Alone it meets whoever listens there; SO_REUSEPORT would share with another service.
        listening(address).close()
    first = listening(address, is_shared=True)
    same = replace(address, port=first.getsockname()[1])
    return [first, *(listening(same, is_shared=True) for _ in range(count - 1))]


def supervise(
    settings: ServeSettings,
    database: Path | str,
    listeners: Sequence[socket.socket],
    *,
    on_ready: Callable[[], None],
) -> int:
    """Has one worker serve each listener, until a signal ends them all.

    Args:
        settings: how they serve.
        database: of the service.
        listeners: one for each worker.
        on_ready: called once, when all of them answer requests.

    Returns:
        The exit code: 0, or 1 when one had to be killed in the end.

    Raises:
        ReportedFailure: when a worker could not start, or none stays alive.
    """
    with metrics_directory() as metrics:
        supervisor = _Supervisor(settings, database, metrics, on_ready)
        return asyncio.run(supervisor.run(listeners))


class _Supervisor:
    def __init__(
        self,
        settings: ServeSettings,
        database: Path | str,
        metrics: MetricsDirectory,
        on_ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._command = _command(settings, database)
        self._environment = _environment(database, metrics.path)
        self._metrics = metrics
        self._on_ready: Callable[[], None] | None = on_ready
        self._workers: set[Process] = set()
        self._ready: set[Process] = set()
        self._ending = asyncio.Event()
        self._killed = False
        # The workers have one end; the other is closed with this process, however it ends.
        self._life, self._own_life = os.pipe()

    async def run(self, listeners: Sequence[socket.socket]) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, listeners)
        has_tls = self._settings.tls_cert is not None
        reload = partial(self._signal, signal.SIGHUP) if has_tls else None
        listen_to_hangup(loop, reload, partial(self._end_once, listeners))
        try:
            async with asyncio.TaskGroup() as tasks:
                for listener in listeners:
                    tasks.create_task(self._keep(listener, len(listeners)))
        finally:
            await self._end_rest()
        return FAILED if self._killed else 0

    # --- the end ------------------------------------------------------------------------------

    def _end_once(self, listeners: Sequence[socket.socket]) -> None:
        """The kernel and the shell may both tell that a terminal is gone: none is in a hurry."""
        if not self._ending.is_set():
            self._end(listeners)

    def _end(self, listeners: Sequence[socket.socket]) -> None:
        if self._ending.is_set():
            self._signal(signal.SIGQUIT)
            return
        self._ending.set()
        for listener in listeners:
            listener.close()
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(self._patience, self._kill)

    @property
    def _patience(self) -> float:
        return self._settings.drain_delay + self._settings.grace + _MARGIN_S

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(number)

    def _kill(self) -> None:
        if self._workers:
            self._killed = True
            _log.error("workers did not end in time and are killed: %d", len(self._workers))
            self._signal(signal.SIGKILL)

    async def _end_rest(self) -> None:
        """Where one could not start, the others are not to go on."""
        self._ending.set()
        if self._workers:
            self._signal(signal.SIGTERM)
            waits = [asyncio.create_task(worker.wait()) for worker in self._workers]
            _, late = await asyncio.wait(waits, timeout=self._patience)
            if late:
                self._kill()
                await asyncio.wait(late)

    # --- one worker after the other -----------------------------------------------------------

    async def _keep(self, listener: socket.socket, count: int) -> None:
        deaths = 0
        while not self._ending.is_set():
            failure, served = await self._live(listener, count)
            if self._ending.is_set():
                break
            deaths = 1 if served > _SETTLED_S else deaths + 1
            if self._on_ready is not None or (deaths >= _MOST_DEATHS and not self._ready):
                raise failure
            _log.warning("%s; another one is started", failure)
            await self._pause(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (deaths - 1)))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _live(self, listener: socket.socket, count: int) -> tuple[ReportedFailure, float]:
        """From the start of a worker to its end: what to say of that, and how long it served, s."""
        now = asyncio.get_running_loop().time
        worker, reading = await self._start(listener)
        self._workers.add(worker)
        if self._ending.is_set():
            self._signal(signal.SIGTERM)
        failure, since = None, math.inf
        try:
            if await has_started(reading):
                since = now()
                self._note_ready(worker, count)
        except ReportedFailure as error:
            failure = error
        code = await worker.wait()
        self._workers.discard(worker)
        self._ready.discard(worker)
        forget_process(worker.pid, self._metrics.path)
        return failure or _ended(worker.pid, code), now() - since

    def _note_ready(self, worker: Process, count: int) -> None:
        self._ready.add(worker)
        if self._on_ready is not None and len(self._ready) == count:
            self._on_ready()
            self._on_ready = None

    async def _start(self, listener: socket.socket) -> tuple[Process, int]:
        reading, writing = os.pipe()
        try:
            descriptors = Descriptors(listener.fileno(), writing, self._life)
            # A worker that starts hears of a renewed certificate once it listens.
            with hangup_held():
                worker = await asyncio.create_subprocess_exec(
                    *self._command,
                    f"--worker={descriptors}",
                    env=self._environment,
                    pass_fds=(listener.fileno(), writing, self._life, self._metrics.lock),
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    # A terminal's Ctrl-C is for the supervisor, which tells the workers.
                    start_new_session=True,
                )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return worker, reading


def _command(settings: ServeSettings, database: Path | str) -> list[str]:
    # -P: no module is to be taken from the directory that one happens to be in.
    found = [sys.executable, "-P", "-m", "smfs.cli.main", "serve"]
    found += replace(settings, workers=1).arguments()
    if isinstance(database, Path):
        # Whatever it is called, an absolute path is one.
        found.append(f"--db={database.absolute()}")
    return found


def _environment(database: Path | str, metrics: Path) -> dict[str, str]:
    """That of this process, without what it was told itself; a URL is not for command lines."""
    found = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(f"{PREFIX}_") and name not in _NOT_FOR_WORKERS
    }
    found[_METRICS] = str(metrics)
    if isinstance(database, str):
        found[VARIABLE] = database
    return found


def _ended(pid: int, code: int) -> ReportedFailure:
    if code < 0:
        return ReportedFailure(f"worker {pid} was ended by {signal.Signals(-code).name}", FAILED)
    return ReportedFailure(f"worker {pid} ended with exit code {code}", code or FAILED)
