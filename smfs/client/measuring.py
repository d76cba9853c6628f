"""How large secrets are that nobody has opened yet: found out when there is time, or at once."""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import anyio

from smfs.client.known import Key, Known
from smfs.client.versions import Version
from smfs.client.workers import off_loop
from smfs.crypto.box import Box
from smfs.crypto.envelope import Measure, measure_envelope
from smfs.crypto.identity import Identity
from smfs.errors import SmfsError

_log: Final = logging.getLogger(__name__)

_AT_ONCE: Final = 100  # secrets that are measured in one go
_PAUSE_S: Final = 0.02
_HEX_FOR_EACH: Final = 32 * 1024  # measuring takes as long as decrypting so much


class Measuring:
    """Finds out sizes, and checks no signatures: whoever opens a secret does.

    One secret that is asked for is measured on the spot, and meanwhile no thread measures others:
    each would keep the other from running.

    Args:
        reader: whose secrets they are.
        known: the maps.
    """

    def __init__(self, reader: Identity, known: Known) -> None:
        self._reader = reader
        self._known = known
        self._queue: deque[Key] = deque()
        self._begun = anyio.Event()
        self._finished = anyio.Event()
        self._asked_at = float("-inf")

    def add(self, key: Key) -> None:
        """There is a version whose size is not known."""
        self._queue.append(key)

    def begin(self) -> None:
        """Now is the time to measure what was added."""
        if self._queue:
            self._begun.set()

    async def run(self) -> None:
        """Measures whenever `begin` says so, until it is cancelled."""
        while True:
            await self._begun.wait()
            self._begun = anyio.Event()
            while self._queue:
                rest = self._asked_at + _PAUSE_S - anyio.current_time()
                if rest > 0:
                    await anyio.sleep(rest)
                else:
                    part = [self._queue.popleft() for _ in range(min(_AT_ONCE, len(self._queue)))]
                    await self._measure_in_time(part)
            finished, self._finished = self._finished, anyio.Event()
            finished.set()

    async def _measure_in_time(self, keys: Iterable[Key]) -> None:
        try:
            await self._measure(keys)
        except Exception as error:  # noqa: BLE001 - whoever asks for a size finds out on the spot
            _log.error("sizes were not found out: %s", type(error).__name__)

    async def wait(self) -> None:
        """Returns once nothing is left to be measured that has come."""
        if self._queue:
            await self._finished.wait()

    async def measure(self, key: Key) -> bool:
        """Measures one secret now; returns whether its size is known."""
        await self._measure([key])
        self._asked_at = anyio.current_time()
        known = self._known.get(key)
        return known is not None and known.is_measured

    async def _measure(self, keys: Iterable[Key]) -> None:
        versions = {key: version for key in keys if (version := self._to_measure(key))}
        boxes = {key: version.box for key, version in versions.items() if version.box}
        size = max((len(box.encrypted_content_hex) for box in boxes.values()), default=0)
        work = functools.partial(_measure_each, self._reader, boxes)
        self._take(versions, await off_loop(size + _HEX_FOR_EACH * (len(boxes) - 1), work))

    def _to_measure(self, key: Key) -> Version | None:
        version = self._known.get(key)
        is_to_do = version is not None and not version.is_measured and version.box is not None
        return version if is_to_do else None

    def _take(self, versions: Mapping[Key, Version], found: Mapping[Key, Measure | None]) -> None:
        for key, version in versions.items():
            measure = found.get(key)
            if measure is None or self._known.get(key) is not version:
                continue
            signed_at = measure.signed_at
            changed_at = version.changed_at if signed_at is None else signed_at / 1000
            self._known.put(key, replace(version, size=measure.size, changed_at=changed_at))


def _measure_each(reader: Identity, boxes: Mapping[Key, Box]) -> dict[Key, Measure | None]:
    found: dict[Key, Measure | None] = {}
    for key, box in boxes.items():
        try:
            found[key] = measure_envelope(reader, box)
        except SmfsError:
            found[key] = None  # whoever opens it is told why
    return found
