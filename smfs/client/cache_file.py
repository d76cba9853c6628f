"""The SQLite file of a cache: it belongs to one process at a time, and is whole or made anew.

Everything here blocks; `Cache` calls it in a worker thread.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from smfs.client.record_bytes import (
    box_size,
    decode_header,
    decode_record,
    encode_header,
    encode_record,
    place_parts,
)
from smfs.client.records import Header, Loaded, Place, Record, SecretRecord, Tally, without_box
from smfs.crypto.cache_keys import NONCE_BYTES, CacheKeys
from smfs.errors import CacheUnusable, DecryptionFailed, MalformedData

T = TypeVar("T")

_TABLES: Final = (
    "CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), sealed BLOB NOT NULL)",
    "CREATE TABLE row (name BLOB PRIMARY KEY, box INTEGER NOT NULL, sealed BLOB NOT NULL)",
    "CREATE INDEX by_box ON row (box) WHERE box > 0",
)
_KNOWN_ROW: Final = "SELECT substr(sealed, 1, ?), box FROM row WHERE name = ?"
_LARGEST: Final = "SELECT name, sealed FROM row WHERE box > 0 ORDER BY box DESC LIMIT 1"
_BESIDE: Final = ("-wal", "-shm", "-journal")
_PAGE_BYTES: Final = 4096
_SPARE_BYTES: Final = 32 * 1024 * 1024  # what the names, sizes and dates of records may take
_LOG_BYTES: Final = 4 * 1024 * 1024

# What says that there is no room or no right; any other error says that the file is broken.
_NOT_ITS_FAULT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)
_KIND: Final = 0xFF  # the lower byte is the kind, what is above it says more


class CacheFile:
    """One file, from its opening to its closing.

    Args:
        path: where it is.
        keys: what seals it.
        service: whose records it holds; those of another service are dropped.
        max_bytes: of ciphertext.

    Attributes:
        path: as given.
        tally: what its rows come to.
        size: bytes on disk.
    """

    def __init__(self, path: Path, keys: CacheKeys, service: str, max_bytes: int) -> None:
        self.path = path
        self.tally = Tally()
        self.size = 0
        self._keys = keys
        self._header_name = keys.name(b"header")
        self._service = service
        self._max_bytes = max_bytes
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> str | None:
        """Takes the file for this process; makes it where there is none that can be used.

        Returns:
            why the old one was given up; None when it was not.

        Raises:
            CacheUnusable: when another process has it.
            OSError, sqlite3.Error: when there can be none.
        """
        try:
            self._lock = _locked(self.path)
            if os.fstat(self._lock).st_size == 0:
                self.begin_anew()
                return None
            return self._or_begin(self._look)[1]
        except BaseException:
            self.close()
            raise

    def load(self) -> tuple[Loaded | None, str | None]:
        """What the file holds, None when that is nothing; and why that was given up, as `open`.

        Raises:
            OSError, sqlite3.Error: when it cannot be read.
        """
        return self._or_begin(self._load)

    def write(
        self, header: Header, put: Sequence[Record], drop: Sequence[Place], *, replace: bool
    ) -> None:
        """Puts and drops records in one transaction.

        Raises:
            OSError, sqlite3.Error, MalformedData: when it cannot be done; then nothing was.
        """
        before = self.tally
        try:
            with self._transaction() as connection:
                if replace:
                    connection.execute("DELETE FROM row")
                    self.tally = Tally()
                self._drop(connection, {self._name(place) for place in drop})
                self._put(connection, self._fitting(put))
                self._keep_bounds(connection)
                self._put_header(connection, header)
        except BaseException:
            self.tally = before
            raise
        self._measure()

    def close(self) -> None:
        """Gives the file up for others."""
        self._disconnect()
        # Not before: who closes a file that SQLite has open takes SQLite's own locks away.
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    # --- the file ------------------------------------------------------------------------------

    def _or_begin(self, work: Callable[[], T]) -> tuple[T | None, str | None]:
        """What `work` returns; when the file turns out to be broken, an empty one is made."""
        try:
            return work(), None
        except (sqlite3.Error, MalformedData, DecryptionFailed) as error:
            if not is_broken(error):
                raise
            reason = error_name(error)
        self.begin_anew()
        return None, reason

    def begin_anew(self) -> None:
        """Makes the file an empty one.

        Raises:
            OSError, sqlite3.Error: when it cannot be written.
        """
        # The name and the lock stay: a new file would have neither.
        self._disconnect()
        assert self._lock is not None  # noqa: S101  # open() has taken it
        os.ftruncate(self._lock, 0)
        for suffix in _BESIDE:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._connect()
        with self._transaction() as connection:
            for statement in _TABLES:
                connection.execute(statement)
        self.tally = Tally()
        self._measure()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        most_pages = (2 * self._max_bytes + _SPARE_BYTES) // _PAGE_BYTES
        for pragma in (
            f"page_size = {_PAGE_BYTES}",
            # Before the log is used, so that no shared memory is: nobody else opens the file.
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "secure_delete = ON",
            "trusted_schema = OFF",
            f"journal_size_limit = {_LOG_BYTES}",
            f"max_page_count = {most_pages}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise MalformedData("the cache is not open")
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open_connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # A full disk, for one, has undone it already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _measure(self) -> None:
        if self._lock is not None:
            self.size = os.fstat(self._lock).st_size

    # --- reading -------------------------------------------------------------------------------

    def _look(self) -> None:
        """Refuses, as broken, a file that is not ours, and takes over what its header says."""
        connection = self._connect()
        found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        # Whoever wrote the file may have put anything into it that SQLite would carry out.
        if sorted(found) != sorted((each,) for each in _TABLES):
            raise MalformedData("the file is no cache of this version")
        header = self._header(connection)
        if header is not None and header.service != self._service:
            raise MalformedData("the cache is of another service")
        self._measure()

    def _header(self, connection: sqlite3.Connection) -> Header | None:
        found = connection.execute("SELECT sealed FROM header").fetchone()
        if found is None:
            self.tally = Tally()
            return None
        header, self.tally = decode_header(self._keys.unseal(self._header_name, found[0]))
        return header

    def _load(self) -> Loaded | None:
        connection = self._open_connection()
        header = self._header(connection)
        records: dict[bytes, Record] = {}
        box_bytes = total = 0
        for name, size, sealed in connection.execute("SELECT name, box, sealed FROM row"):
            record = decode_record(self._keys.unseal(name, sealed))
            if name in records or size != box_size(record):
                raise MalformedData("the cache has a row that it cannot have")
            records[name] = record
            box_bytes += size
            total ^= self._keys.part_of_sum(name, sealed[:NONCE_BYTES])
        if Tally(len(records), box_bytes, total) != self.tally:
            raise MalformedData("the cache's rows are not those that were written last")
        if header is None:
            return None
        found = Loaded(header, [], [])
        for record in records.values():
            if isinstance(record, SecretRecord):
                found.secrets.append(record)
            else:
                found.nodes.append(record)
        return found

    # --- writing -------------------------------------------------------------------------------

    def _name(self, place: Place) -> bytes:
        return self._keys.name(*place_parts(place))

    def _put(self, connection: sqlite3.Connection, records: Mapping[bytes, Record]) -> None:
        self._discount(connection, records)
        rows = (self._row(name, record) for name, record in records.items())
        connection.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?)", rows)

    def _fitting(self, put: Sequence[Record]) -> dict[bytes, Record]:
        """The records by the names of their rows, the largest without ciphertext if need be."""
        found = {self._name(record.place): _as_kept(record) for record in put}
        total = sum(map(box_size, found.values()))
        if total > self._max_bytes:
            for name, record in sorted(found.items(), key=lambda item: -box_size(item[1])):
                if total <= self._max_bytes:
                    break
                total -= box_size(record)
                found[name] = without_box(record)
        return found

    def _row(self, name: bytes, record: Record) -> tuple[bytes, int, bytes]:
        sealed, box_bytes = self._keys.seal(name, encode_record(record)), box_size(record)
        part = self._keys.part_of_sum(name, sealed[:NONCE_BYTES])
        self.tally = self.tally.plus(box_bytes, part)
        return name, box_bytes, sealed

    def _drop(self, connection: sqlite3.Connection, names: Collection[bytes]) -> None:
        self._discount(connection, names)
        connection.executemany("DELETE FROM row WHERE name = ?", ((name,) for name in names))

    def _discount(self, connection: sqlite3.Connection, names: Collection[bytes]) -> None:
        """Takes rows that are about to go out of the tally."""
        if not self.tally.rows:
            return
        for name in names:
            match connection.execute(_KNOWN_ROW, (NONCE_BYTES, name)).fetchone():
                case None:
                    continue
                case (bytes(nonce), int(box_bytes)):
                    part = self._keys.part_of_sum(name, nonce)
                    self.tally = self.tally.minus(box_bytes, part)
                case _:
                    raise MalformedData("a cached row is of another type")

    def _put_header(self, connection: sqlite3.Connection, header: Header) -> None:
        sealed = self._keys.seal(self._header_name, encode_header(header, self.tally))
        connection.execute("INSERT OR REPLACE INTO header VALUES (1, ?)", (sealed,))

    def _keep_bounds(self, connection: sqlite3.Connection) -> None:
        """Leaves the largest ciphertexts out until the others have room."""
        while self.tally.box_bytes > self._max_bytes:
            found = connection.execute(_LARGEST).fetchone()
            if found is None:
                raise MalformedData("the cache holds less than its header says")
            name, sealed = found
            record = decode_record(self._keys.unseal(name, sealed))
            self._put(connection, {name: without_box(record)})


def _as_kept(record: Record) -> Record:
    """The record; one for one time without its ciphertext, which is not to outlive its reading."""
    is_for_once = isinstance(record, SecretRecord) and record.one_time
    return without_box(record) if is_for_once else record


def _locked(path: Path) -> int:
    """A descriptor of the file, which has the lock, is ours, and is still the one at its path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            found = os.fstat(descriptor)
            _check(found)
            _lock(descriptor)
            os.fchmod(descriptor, 0o600)
            if path.exists() and path.stat().st_ino == found.st_ino:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise CacheUnusable("there is something else in the cache's place")


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CacheUnusable("another process has the cache") from None


def is_broken(error: Exception) -> bool:
    """Whether an error says that the file is no good, rather than that there is no room."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, MalformedData | DecryptionFailed)
    code = getattr(error, "sqlite_errorcode", 0)
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or (code & _KIND) not in _NOT_ITS_FAULT


def error_name(error: Exception) -> str:
    """The kind of an error, as logs may show it."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
