"""PostgreSQL servers of our own: throw-away clusters that can be killed, followed and promoted."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.postgres_directory import PATIENCE, ClusterFailed, Directory

ADMINISTRATOR: Final = "postgres"
"""The role that may do all, with which tests look behind the service; also its database."""

OWNER: Final = "smfs"
"""The role that owns the other databases and may do nothing else, as operators have it."""

_HOST: Final = "127.0.0.1"
# Below the ports that the kernel hands out, so that nobody takes one while its server is down.
_PORTS: Final = range(20_000, 32_000)
_PORTS_TRIED: Final = 20
_LOOK_AGAIN_S: Final = 0.005

_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_SETTINGS: Final = {
    "listen_addresses": _HOST,
    "max_connections": "200",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # in the directory, so that it goes with it
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A standby soon finds a primary that has come back; PostgreSQL's own 5 s would be felt.
    "wal_retrieve_retry_interval": "100ms",
}


class Cluster:
    """One PostgreSQL server with a directory and a port of its own, for as long as it is entered.

    It runs as an ordinary user where we are root. The server and the directory go when the process
    that has entered it goes, even by SIGKILL.

    Args:
        fsync: whether a commit is on disk when it is acknowledged.
        settings: more of postgresql.conf.
        within: a program and its arguments, which runs the server instead of itself.

    Attributes:
        port: where it listens on 127.0.0.1, the same after each start.
    """

    def __init__(
        self,
        *,
        fsync: bool = True,
        settings: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self._within = within
        self._settings = {"fsync": "on" if fsync else "off", **(settings or {})}
        self._primary: Cluster | None = None
        self._standbys: list[Cluster] = []
        self._names = (f"smfs_{number}" for number in itertools.count(1))
        self._server: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        """Makes and starts it.

        Raises:
            ClusterFailed: PostgreSQL is not installed, or refuses.
        """
        self._directory = Directory()
        try:
            if self._primary is None:
                self._make()
            else:
                self._copy(self._primary)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends it and removes all that it has stored; its primary waits for it no more."""
        self._close()

    @property
    def is_running(self) -> bool:
        """Whether the server process is there."""
        return self._server is not None and self._server.poll() is None

    @property
    def pid(self) -> int:
        """The number of the server process, which has to be there."""
        assert self._server is not None
        return self._server.pid

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return self._directory.log.read_text(errors="replace")

    def start(self) -> None:
        """Starts the stopped or killed server where it was; returns once it takes connections.

        Raises:
            ClusterFailed: it does not start.
        """
        assert not self.is_running
        self._write_settings()
        before = len(self.log)
        self._server = self._directory.serve(self._within)
        if not self._becomes_ready(self._server):
            self._end(signal.SIGQUIT)
            raise ClusterFailed(f"the server did not start: {self.log[before:][-2000:]}")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops the server; `immediate` leaves it to be recovered at the next start.

        Raises:
            ClusterFailed: it does not stop.
        """
        self._end(_SIGNALS[mode])

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops and starts.

        Raises:
            ClusterFailed: it does not stop, or does not start.
        """
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kills the server and every process of it; returns once all are gone."""
        assert self._server is not None
        parent = self._server.pid
        # Stopped, it makes no further child and tidies nothing up.
        os.kill(parent, signal.SIGSTOP)
        os.waitid(os.P_PID, parent, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        ends = [os.pidfd_open(int(child)) for child in children.split()]
        for end in ends:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        self._end(signal.SIGKILL)
        for end in ends:
            select.select([end], [], [], PATIENCE)
            os.close(end)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """For as long as the block lasts it answers nothing and closes nothing."""
        assert self._server is not None
        parent = self._server.pid
        os.kill(parent, signal.SIGSTOP)  # so that it makes no further child
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        pids = [parent, *map(int, children.split())]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(pids):
                with suppress(ProcessLookupError):  # it was killed meanwhile
                    os.kill(pid, signal.SIGCONT)

    def dsn(self, database: str, *, user: str = OWNER) -> str:
        """The URI of a database on this server alone, whether it is a primary or a standby."""
        return f"postgresql://{user}@{_HOST}:{self.port}/{database}"

    def create_database(self, *, template: str = "template0") -> str:
        """Makes a new database, empty or a copy of another that nobody is connected to.

        Returns:
            its URI.
        """
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")
        return self.dsn(name)

    def drop(self, dsn: str) -> None:
        """Removes the database that a URI names, whoever is connected to it."""
        self.execute(f"DROP DATABASE {conninfo_to_dict(dsn)['dbname']} WITH (FORCE)")

    def execute(
        self, sql: str, *values: object, database: str = ADMINISTRATOR
    ) -> list[tuple[Any, ...]]:
        """Has the administrator run one statement, in a transaction of its own.

        Returns:
            its rows, if it gives any.

        Raises:
            psycopg.Error: whatever the server answers.
        """
        dsn = self.dsn(database, user=ADMINISTRATOR)
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def standby(self) -> Cluster:
        """A cluster that, while entered, has each commit of this one before it is acknowledged.

        Where there are several, each has it. While one is down, this one acknowledges nothing.
        """
        made = Cluster(settings=self._settings)
        made._primary = self
        return made

    def promote(self) -> None:
        """Makes a standby a primary; returns once it takes writes.

        Raises:
            ClusterFailed: it does not become one.
        """
        [(is_promoted,)] = self.execute("SELECT pg_promote(true, %s)", int(PATIENCE))
        if not is_promoted:
            raise ClusterFailed(f"the standby was not promoted: {self.log[-2000:]}")

    def _make(self) -> None:
        self._directory.run("cp", "--recursive", str(_pristine().data), str(self._directory.data))
        self._start_on_some_port()
        self.execute(f"CREATE ROLE {OWNER} LOGIN")

    def _copy(self, primary: Cluster) -> None:
        # A standby that was down reads from there what it has missed.
        primary._settings["wal_keep_size"] = "1GB"
        primary._reload()
        self._directory.run(
            *("pg_basebackup", f"--pgdata={self._directory.data}", "--checkpoint=fast"),
            *("--no-sync", f"--dbname={primary.dsn(ADMINISTRATOR, user=ADMINISTRATOR)}"),
        )
        self._directory.write("standby.signal", "")
        self._start_on_some_port()
        primary._wait_for(self)

    def _start_on_some_port(self) -> None:
        """Starts where nobody listens, which only the server's own try tells without a race."""
        for left in reversed(range(_PORTS_TRIED)):
            self.port = random.choice(_PORTS)
            try:
                self.start()
            except ClusterFailed as error:
                if "could not bind" not in str(error) or not left:
                    raise
            else:
                return

    def _becomes_ready(self, server: subprocess.Popen[bytes]) -> bool:
        """Waits for the server's own word, as `pg_ctl` does: an open port may be another's."""
        deadline = time.monotonic() + PATIENCE
        while server.poll() is None and time.monotonic() < deadline:
            lines = self._directory.status_lines()
            if lines[:1] == [str(server.pid)] and lines[7:] == ["ready   "]:
                return True
            time.sleep(_LOOK_AGAIN_S)
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        self._server.send_signal(how)
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise ClusterFailed(f"the server did not stop: {self.log[-2000:]}") from error
        self._server = None
        self._directory.has_ended()

    def _close(self) -> None:
        try:
            if self._primary is not None:
                self._primary._forget(self)
            self._end(signal.SIGQUIT)
        finally:
            self._directory.remove()

    def _wait_for(self, standby: Cluster) -> None:
        """Acknowledges from now on no commit that the standby does not have."""
        self._standbys.append(standby)
        self._reload()
        deadline = time.monotonic() + PATIENCE
        sql = (
            "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
        )
        while not self.execute(sql, standby._name):
            if time.monotonic() > deadline:
                raise ClusterFailed(f"the standby does not follow: {standby.log[-2000:]}")
            time.sleep(_LOOK_AGAIN_S)

    def _forget(self, standby: Cluster) -> None:
        if standby in self._standbys:
            self._standbys.remove(standby)
            if self.is_running:
                self._reload()

    @property
    def _name(self) -> str:
        return f"standby_{self.port}"

    def _reload(self) -> None:
        self._write_settings()
        self.execute("SELECT pg_reload_conf()")

    def _write_settings(self) -> None:
        settings = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": str(self._directory.path),
            **self._settings,
        }
        if self._standbys:
            names = ", ".join(standby._name for standby in self._standbys)
            settings["synchronous_standby_names"] = f"{len(self._standbys)} ({names})"
        if self._primary is not None:
            primary = self._primary.dsn("", user=ADMINISTRATOR)
            settings["primary_conninfo"] = f"{primary}?application_name={self._name}"
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        lines = [f"{name} = '{value}'\n" for name, value in quoted.items()]
        self._directory.write("postgresql.conf", "".join(lines))


def dsn_of(
    clusters: Sequence[Cluster],
    database: str,
    *,
    target_session_attrs: str = "read-write",
    connect_timeout: int = 2,
) -> str:
    """The URI of a database that several clusters have; it leads to the one that is asked for."""
    hosts = ",".join(f"{_HOST}:{cluster.port}" for cluster in clusters)
    return (
        f"postgresql://{OWNER}@{hosts}/{database}"
        f"?target_session_attrs={target_session_attrs}&connect_timeout={connect_timeout}"
    )


@functools.cache
def _pristine() -> Directory:
    """What `initdb` makes; a copy takes a tenth of the time."""
    made = Directory()
    atexit.register(made.remove)
    made.run(
        *("initdb", f"--pgdata={made.data}", f"--username={ADMINISTRATOR}", "--auth=trust"),
        *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
    )
    return made


__all__ = ["ADMINISTRATOR", "OWNER", "PATIENCE", "Cluster", "ClusterFailed", "dsn_of"]
