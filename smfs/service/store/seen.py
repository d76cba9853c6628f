"""The signatures of reading requests, in a file of their own that no sync is spent on.

Nothing is lost with them but the refusal of a replay, which changes nothing. So they are not worth
a sync, nor the lock for which writes wait.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

from smfs.service.store.base import Signature
from smfs.service.store.sqlite_file import is_full

_SUFFIX: Final = "-seen"
_DIGEST_BYTES: Final = 16
_BUSY_S: Final = 1.0
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS seen (
    timestamp INTEGER, digest BLOB, PRIMARY KEY (timestamp, digest)
) WITHOUT ROWID
"""


class Seen:
    """A set of signatures, some 40 bytes each, for any thread and any process.

    Args:
        database: the file beside which it is kept.
        wait_s: for how long to wait while another process writes it, once it is open.

    Raises:
        OSError, sqlite3.Error: when it cannot be.
    """

    def __init__(self, database: Path, *, wait_s: float = _BUSY_S) -> None:
        self._lock = threading.Lock()
        path = database.with_name(database.name + _SUFFIX)
        try:
            self._connection = _opened(path, wait_s)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise
            # Without a sync that is what the power going off may leave.
            for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                each.unlink(missing_ok=True)
            self._connection = _opened(path, wait_s)

    def use(self, signature: Signature, *, keep: bool) -> bool:
        """As `Transaction.use_signature`."""
        row = (signature.timestamp, _digest(signature))
        with self._lock:
            if keep:
                try:
                    added = self._connection.execute(
                        "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING", row
                    )
                except sqlite3.Error as error:
                    if not is_full(error):  # else reading goes on
                        raise
                else:
                    return added.rowcount > 0
            found = self._connection.execute(
                "SELECT 1 FROM seen WHERE timestamp = ? AND digest = ?", row
            )
            return found.fetchone() is None

    def forget(self, before: int) -> None:
        """Those with older timestamps."""
        with self._lock:
            self._connection.execute("DELETE FROM seen WHERE timestamp < ?", (before,))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()


def _opened(path: Path, wait_s: float) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF", _TABLE):
            connection.execute(statement)
        [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            error = sqlite3.DatabaseError("damaged")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * wait_s)}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _digest(signature: Signature) -> bytes:
    return hashlib.blake2b(signature.value, digest_size=_DIGEST_BYTES).digest()
