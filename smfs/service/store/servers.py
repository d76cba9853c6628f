"""Connections by the server that they lead to, and the end of those to one that was replaced.

A server that stands still answers nothing and closes nothing, so whoever waits for it would wait
for ever, though another one has taken its place.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from typing import Any, TypeAlias

import psycopg

Place: TypeAlias = tuple[str, int]


def place_of(connection: psycopg.Connection[Any]) -> Place | None:
    """The server at the other end; None when the connection is gone."""
    try:
        return connection.info.host, connection.info.port
    except psycopg.Error:
        return None


class Servers:
    """The connections of one store.

    Args:
        conninfo: for libpq; leads to the server that takes writes now.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._known: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        self._looking = threading.Lock()

    def add(self, connection: psycopg.Connection[Any]) -> None:
        """One more; for any thread."""
        self._known.add(connection)

    def doubt(self, place: Place) -> None:
        """A server has not answered in time; does not wait."""
        if self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, args=(place,), name="servers", daemon=True).start()

    def _look(self, place: Place) -> None:
        try:
            with psycopg.connect(self._conninfo) as found:
                if place_of(found) == place:
                    return  # its answer only takes long
            for connection in list(self._known):
                if place_of(connection) == place:
                    _cut(connection)
        except psycopg.Error:
            pass  # there is none now; who waits next will ask again
        finally:
            self._looking.release()


def _cut(connection: psycopg.Connection[Any]) -> None:
    """Lets the thread that waits at it go on, with an error."""
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(connection.fileno())) as end,
    ):
        end.shutdown(socket.SHUT_RDWR)
