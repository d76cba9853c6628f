"""One request as one transaction: authenticated, carried out or undone, and remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from smfs.crypto.identity import Identity
from smfs.errors import AuthenticationFailed, InvalidPoint, ServiceError
from smfs.protocol import requests
from smfs.protocol.requests import Request
from smfs.service import authentication
from smfs.service.authentication import Evidence, Refused
from smfs.service.database import Database
from smfs.service.domain import FUNCTIONS, READING, Operation
from smfs.service.hook_rows import Hook, HookRows
from smfs.service.rows import Rows

_CODED: Final = (requests.OpenSecretSpace, requests.GetNodeId)


@dataclass(frozen=True)
class Rejected:
    """The request was not let in."""

    error: ServiceError


@dataclass(frozen=True)
class Done:
    """The request was let in.

    Attributes:
        answer: what its function returned, or the `ServiceError` that it raised.
        revision: the revision that it gave to the asker's own space.
        met: the hooks to tell.
        closed: the hooks to tell of a closure that the request came across.
    """

    answer: Any = field(repr=False)
    revision: int | None
    met: list[Hook]
    closed: list[Hook]


class Worker:
    """Carries requests out.

    Args:
        database: where.
        service: the service's key.
        content_bytes: the most bytes of content that a secret may have.
        now: ms since 1970.
        wake: called with the node ids of the spaces that a transaction has changed.
    """

    def __init__(
        self,
        database: Database,
        service: Identity,
        content_bytes: int,
        now: Callable[[], int],
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._service = service
        self._content_bytes = content_bytes
        self._now = now
        self._wake = wake
        self._refused = Refused()

    async def carry_out(self, request: Request) -> Done | Rejected:
        """One request, in one transaction.

        Raises:
            BadRequest: for a node id that is not in lower case.
            ServiceBusy: when the database is locked for too long.
            sqlite3.Error: when it is full or broken.
        """
        now = self._now()
        run = self._database.read if type(request) in READING else self._database.write

        def work(connection: sqlite3.Connection) -> tuple[Done | Rejected, set[str]]:
            rows = Rows(connection, now)
            return self._transaction(connection, rows, request, evidence), rows.feed.touched

        evidence = authentication.examine(request, now)
        outcome, touched = await run(work)
        self._wake(touched)
        if isinstance(outcome, Rejected) and evidence.signature is not None:
            self._refused.add(evidence.signature)
        return outcome

    async def look_again(self, request: Request) -> Done:
        """One request that was let in before and changes nothing, once more.

        Raises:
            ServiceBusy, sqlite3.Error: as `carry_out`.
        """
        now = self._now()

        def work(connection: sqlite3.Connection) -> Done:
            op = Operation(Rows(connection, now), now, self._service, self._content_bytes)
            return _carried_out(op, request)

        return await self._database.look(work)

    async def note_call(self, hook: Hook, time: int, error: str | None) -> None:
        """Stores how the last call of a hook went."""
        await self._database.read(
            lambda connection: HookRows(connection).note_call(hook, time, error)
        )

    async def sweep(self) -> list[Hook]:
        """Removes what is past its date; returns the hooks to tell."""

        def work(connection: sqlite3.Connection) -> tuple[list[Hook], set[str]]:
            rows = Rows(connection, self._now())
            rows.admission.forget_signatures()
            rows.feed.forget()
            rows.handed.forget()
            op = Operation(rows, self._now(), self._service, self._content_bytes)
            for node_id, from_id in rows.closed():
                op.close(node_id, from_id)
            return op.closed, rows.feed.touched

        closed, touched = await self._database.write(work)
        self._wake(touched)
        return closed

    def _transaction(
        self, connection: sqlite3.Connection, rows: Rows, request: Request, evidence: Evidence
    ) -> Done | Rejected:
        connection.execute("SAVEPOINT before")
        try:
            creator = authentication.authenticate(rows, request, evidence, self._refused, rows.now)
        except (AuthenticationFailed, InvalidPoint) as error:
            # Nobody who is not let in may fill the database.
            connection.execute("ROLLBACK TO before")
            return Rejected(error)
        op = Operation(rows, rows.now, self._service, self._content_bytes, creator)
        connection.execute("SAVEPOINT authenticated")
        outcome = _carried_out(op, request)
        if isinstance(outcome.answer, ServiceError):
            connection.execute("ROLLBACK TO authenticated")
        # Only now is everything in order: a code that brought nothing can be used again.
        elif creator is not None and isinstance(request, _CODED):
            rows.admission.use_code(request.auth_code)
        return outcome


def _carried_out(op: Operation, request: Request) -> Done:
    try:
        answer = FUNCTIONS[type(request)](op, request)
    except ServiceError as error:
        return Done(error, None, op.met, [])
    return Done(answer, op.revision, op.met, op.closed)
