"""How much each node may ask: counted only once its signature was found to fit."""

from __future__ import annotations

import threading

from smfs.errors import TooManyRequests
from smfs.service.limits import OpenRequests, TokenBuckets


class NodeLimits:
    """The limits of all nodes, for any thread.

    Args:
        buckets: how many requests, one after the other; None: as many as they like.
        open_requests: how many at once; None: as many as they like.
    """

    def __init__(self, buckets: TokenBuckets | None, open_requests: OpenRequests | None) -> None:
        self._buckets = buckets
        self._open = open_requests
        self._lock = threading.Lock()

    def entry(self) -> Entry:
        """One request, of nobody yet."""
        return Entry(self)

    def take(self, node_id: str) -> None:
        """A request of a node begins.

        Raises:
            TooManyRequests: when it has too many already.
        """
        with self._lock:
            if self._buckets is not None and (wait := self._buckets.take(node_id)) > 0:
                raise TooManyRequests(seconds=wait)
            if self._open is not None and not self._open.enter(node_id):
                raise TooManyRequests(is_rate=False)

    def give_back(self, node_id: str) -> None:
        """It is over."""
        with self._lock:
            if self._open is not None:
                self._open.leave(node_id)


class Entry:
    """One request, which counts for its node from its entering to its leaving."""

    def __init__(self, limits: NodeLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._node_id: str | None = None
        self._is_over = False

    def enter(self, node_id: str) -> None:
        """It is of this node; as `NodeLimits.take`."""
        with self._lock:
            # Who has left already was cancelled before a thread came to it.
            if not self._is_over:
                self._limits.take(node_id)
                self._node_id = node_id

    def leave(self) -> None:
        """It is over."""
        with self._lock:
            self._is_over = True
            if self._node_id is not None:
                self._limits.give_back(self._node_id)
                self._node_id = None
