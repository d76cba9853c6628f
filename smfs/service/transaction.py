"""One request as one transaction: authenticated, carried out or undone, and remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
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
    """

    def __init__(
        self, database: Database, service: Identity, content_bytes: int, now: Callable[[], int]
    ) -> None:
        self._database = database
        self._service = service
        self._content_bytes = content_bytes
        self._now = now
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

        def work(connection: sqlite3.Connection) -> Done | Rejected:
            return self._transaction(connection, request, evidence, now)

        evidence = authentication.examine(request, now)
        outcome = await run(work)
        if isinstance(outcome, Rejected) and evidence.signature is not None:
            self._refused.add(evidence.signature)
        return outcome

    async def note_call(self, hook: Hook, time: int, error: str | None) -> None:
        """Stores how the last call of a hook went."""
        await self._database.read(
            lambda connection: HookRows(connection).note_call(hook, time, error)
        )

    async def sweep(self) -> list[Hook]:
        """Removes what is past its date; returns the hooks to tell."""

        def work(connection: sqlite3.Connection) -> list[Hook]:
            rows = Rows(connection, self._now())
            rows.admission.forget_signatures()
            op = Operation(rows, self._now(), self._service, self._content_bytes)
            for node_id, from_id in rows.closed():
                op.close(node_id, from_id)
            return op.closed

        return await self._database.write(work)

    def _transaction(
        self, connection: sqlite3.Connection, request: Request, evidence: Evidence, now: int
    ) -> Done | Rejected:
        rows = Rows(connection, now)
        connection.execute("SAVEPOINT before")
        try:
            creator = authentication.authenticate(rows, request, evidence, self._refused, now)
        except (AuthenticationFailed, InvalidPoint) as error:
            # Nobody who is not let in may fill the database.
            connection.execute("ROLLBACK TO before")
            return Rejected(error)
        op = Operation(rows, now, self._service, self._content_bytes, creator)
        connection.execute("SAVEPOINT authenticated")
        try:
            answer = FUNCTIONS[type(request)](op, request)
        except ServiceError as error:
            connection.execute("ROLLBACK TO authenticated")
            return Done(error, None, op.met, [])
        # Only now is everything in order: a code that brought nothing can be used again.
        if creator is not None and isinstance(request, _CODED):
            rows.admission.use_code(request.auth_code)
        return Done(answer, op.revision, op.met, op.closed)
