"""The cache on disk: what a mount knows of its space, so that it comes up without its service."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from smfs.client.cache_file import CacheFile, error_name, is_broken
from smfs.client.records import Header, Loaded, Place, Record
from smfs.crypto.cache_keys import CacheKeys
from smfs.crypto.identity import Identity
from smfs.errors import CacheUnusable, DecryptionFailed, MalformedData

__all__ = ["DEFAULT_MAX_BYTES", "Cache", "Loaded"]

DEFAULT_MAX_BYTES: Final = 64 * 1024 * 1024
"""The most ciphertext that is kept, in bytes."""

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_FAILURES: Final = (OSError, sqlite3.Error, CacheUnusable, DecryptionFailed, MalformedData)


class Cache:
    """What is kept of one node's space at one service.

    It is sealed with keys that follow from the node's, and never holds a content. It never fails:
    where it cannot be used it is empty and forgets what is written, and says so once in the log.
    One process has the file at a time; a second one goes without.

    Args:
        path: the file; it is made, mode 0600, and its directory, mode 0700.
        identity: the node.
        service: its service's normalised URL, or `embedded`; the records of another are dropped.
        max_bytes: the most ciphertext that is kept. Beyond it the largest are left out, and their
            records stay.
    """

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        service: str,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._file = CacheFile(path, CacheKeys(identity), service, max_bytes)
        self._thread = anyio.CapacityLimiter(1)
        self._is_open = False
        self._missed = False

    @property
    def is_open(self) -> bool:
        """Whether anything is kept at all."""
        return self._is_open

    @property
    def needs_all(self) -> bool:
        """Whether something could not be written, so that only a `write` of everything counts."""
        return self._is_open and self._missed

    def state(self) -> dict[str, Any] | None:
        """Path, size in bytes and number of entries, for `.status`; None when it is not open."""
        if not self._is_open:
            return None
        file = self._file
        return {"path": str(file.path), "size": file.size, "entries": file.tally.rows}

    async def open(self) -> None:
        """Takes the file; one that is broken, or of another key or service, is made empty."""

        def work() -> None:
            self._note_loss(self._file.open())
            self._is_open = True

        try:
            await self._in_thread(work)
        except CacheUnusable as error:
            _log.warning("going on without a cache: %s", error)
        except _FAILURES as error:
            _log.warning("going on without a cache: %s", error_name(error))

    async def load(self) -> Loaded | None:
        """All that is kept; None when that is nothing.

        A file in which anything is missing, altered or older than the rest is made empty: what is
        left of it would pass for all that there is up to its revision.
        """

        def work() -> Loaded | None:
            if not self._is_open:
                return None
            loaded, loss = self._file.load()
            self._note_loss(loss)
            return loaded

        try:
            return await self._in_thread(work)
        except _FAILURES as error:
            _log.warning("going on without a cache: %s", error_name(error))
            await self.aclose()
            return None

    async def write(
        self,
        header: Header,
        put: Sequence[Record],
        drop: Sequence[Place],
        *,
        replace: bool = False,
    ) -> None:
        """Keeps the records and the header, all or nothing of them.

        The ciphertext of a one-time secret is not kept. After a write that failed, for a full disk
        say, the file stays as it was before, and all writes are passed over until one replaces
        everything.

        Args:
            header: up to where the records are known, these included.
            put: new and changed ones.
            drop: what is gone.
            replace: whether all that was kept before goes.
        """

        def work() -> None:
            if self._is_open and (replace or not self._missed):
                self._write(header, put, drop, replace=replace)

        await self._in_thread(work)

    async def wipe(self) -> None:
        """Forgets everything."""

        def work() -> None:
            if self._is_open:
                self._begin_anew()

        await self._in_thread(work)

    async def aclose(self) -> None:
        """Gives the file up; what is kept stays for the next one."""

        def work() -> None:
            self._is_open = False
            self._file.close()

        with anyio.CancelScope(shield=True):
            await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._thread)

    def _write(
        self, header: Header, put: Sequence[Record], drop: Sequence[Place], *, replace: bool
    ) -> None:
        try:
            self._file.write(header, put, drop, replace=replace)
        except _FAILURES as error:
            if not self._missed:
                _log.warning("the cache cannot be written: %s", error_name(error))
            self._missed = True
            if is_broken(error) and self._begin_anew() and replace:
                # The new file is as good as what was to be replaced.
                self._write(header, put, drop, replace=False)
        else:
            self._missed = False

    def _begin_anew(self) -> bool:
        try:
            self._file.begin_anew()
        except _FAILURES as error:
            _log.warning("going on without a cache: %s", error_name(error))
            self._is_open = False
            self._file.close()
        return self._is_open

    @staticmethod
    def _note_loss(reason: str | None) -> None:
        if reason is not None:
            _log.warning("the cache could not be used and was made anew: %s", reason)
