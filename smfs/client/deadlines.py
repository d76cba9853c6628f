"""One deadline for an operation: for all its requests, its waiting and its computing."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import anyio

if TYPE_CHECKING:
    from smfs.client.connection import Connection

_GRACE_S: Final = 0.1  # a request ends before, by itself, and says what went wrong

_ends_at: Final = ContextVar[float | None]("smfs_ends_at", default=None)


class HasConnection(Protocol):
    """Whose operations they are."""

    @property
    def connection(self) -> Connection:
        """Says how long an operation may take."""


T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S", bound=HasConnection)


def end_of_operation() -> float | None:
    """The `anyio.current_time()` at which the operation of this task ends; None outside of any."""
    return _ends_at.get()


def operation(
    method: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Makes a method an operation, which ends in DeadlineExceeded when its time is over.

    An operation that is part of another one ends with that.
    """

    @functools.wraps(method)
    async def bounded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if _ends_at.get() is not None:
            return await method(self, *args, **kwargs)
        connection = self.connection
        ends_at = anyio.current_time() + connection.deadline
        token = _ends_at.set(ends_at)
        try:
            with anyio.CancelScope(deadline=ends_at + _GRACE_S):
                return await method(self, *args, **kwargs)
        finally:
            _ends_at.reset(token)
        raise connection.too_late()

    return bounded
