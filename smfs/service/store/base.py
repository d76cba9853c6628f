"""The store's interface: transactions, each of which may be tried more than once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from smfs.crypto.identity import Identity
from smfs.service.waiting import Waiting

T = TypeVar("T")


class Cursor(Protocol):
    """The rows that a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """The next row, None when there is none."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Signature:
    """A request's signature, which is good for one use.

    Attributes:
        node_id: who signed, 32 bytes.
        timestamp: the request's, ms since 1970.
        value: 64 bytes; bytes, so that the case of its hex makes no other one of it.
    """

    node_id: bytes
    timestamp: int
    value: bytes


class Transaction(ABC):
    """One transaction; statements are written as SQLite takes them (`?`, `?1`).

    Attributes:
        touched: the node ids of the spaces that it has changed.
        locking: what ends a SELECT whose rows are to stay as they are until the end.
    """

    locking = ""

    def __init__(self) -> None:
        self.touched: set[str] = set()

    @abstractmethod
    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Carries out one statement."""

    def use_signature(self, signature: Signature, *, keep: bool) -> bool:
        """Whether a signature was not used before; it is from now on.

        Args:
            signature: which.
            keep: whether to remember it; without, it is only looked for.
        """
        return self._use_in("used_signatures", signature, keep=keep)

    def _use_in(self, table: str, signature: Signature, *, keep: bool) -> bool:
        row = (signature.node_id, signature.timestamp, signature.value)
        if keep:
            added = self.execute(
                f"INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row
            )
            return added.rowcount > 0
        found = self.execute(
            f"SELECT 1 FROM {table} WHERE node_id = ? AND timestamp = ? AND signature = ?", row
        )
        return found.fetchone() is None

    def forget_signatures(self, before: int) -> None:
        """Forgets those whose timestamps are older."""
        self.execute("DELETE FROM used_signatures WHERE timestamp < ?", (before,))


class Undone(Exception):
    """Raised by work: what it has done is undone, and `outcome` is what it returns."""

    def __init__(self, outcome: Any) -> None:
        super().__init__()
        self.outcome = outcome


Work: TypeAlias = Callable[[Transaction], T]
"""What is done in a transaction; it may be called again, and nobody sees the earlier calls."""

Committed: TypeAlias = Callable[[Collection[str]], None]

Prepared: TypeAlias = Callable[[], Work[T]]
"""Gives the work, after what takes its time; called once, before the transaction."""


class Store(ABC):
    """One database, for any number of requests at once.

    Attributes:
        committed: told on the event loop's thread which spaces a transaction has changed; it is
            set before the store is opened.
    """

    def __init__(self) -> None:
        self.committed: Committed = lambda _node_ids: None

    @abstractmethod
    async def open(self, wanted: Identity | None) -> Identity:
        """Opens it.

        Args:
            wanted: the key that a new database gets; None: a random one.

        Returns:
            the service's key.

        Raises:
            ConfigError: when it cannot be used as it is.
            ServiceBusy: when somebody else keeps it locked, or it cannot be reached now.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Closes it once what has begun is finished."""

    @abstractmethod
    async def write(self, prepared: Prepared[T], *, is_short: bool = False) -> T:
        """What the work returns, in one transaction that is on disk afterwards.

        Args:
            prepared: gives the work.
            is_short: whether both take so little that a thread for them would take longer.

        Raises:
            ServiceBusy: when the transaction does not come to its turn or its end in time.
            StoreFull: when there is no room.
            StoreFailed: when the database is broken.
        """

    @abstractmethod
    async def read(self, prepared: Prepared[T], *, is_short: bool = False) -> T:
        """As `write`, of work that changes nothing: nobody's lock is in its way."""

    @abstractmethod
    async def check(self) -> None:
        """Raises what `read` raises when the store cannot be used now."""

    @abstractmethod
    async def watch(self, waiting: Waiting) -> None:
        """Wakes who waits for what is committed, here or anywhere, until it is cancelled."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called towards an operator, without a password."""
