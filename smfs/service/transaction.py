"""One request as one transaction: examined, let in, carried out or undone, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from smfs.crypto.box import Box
from smfs.crypto.identity import Identity
from smfs.errors import AuthenticationFailed, InvalidPoint, ServiceError
from smfs.protocol import requests
from smfs.protocol.requests import Request
from smfs.service import authentication
from smfs.service.authentication import Evidence, Policy, Refused
from smfs.service.delivery_rows import DeliveryRows
from smfs.service.domain import (
    FUNCTIONS,
    READING,
    SEALING,
    SHORT,
    Checked,
    Operation,
    Sealed,
    SpaceLimits,
)
from smfs.service.hook_rows import Hook, HookRows
from smfs.service.node_limits import Entry, NodeLimits
from smfs.service.rows import Rows
from smfs.service.store import Store, Transaction, Undone

_CODED: Final = (requests.OpenSecretSpace, requests.GetNodeId)
_SWEPT_AT_ONCE: Final = 100
_SHORT_BYTES: Final = 16 * 1024  # of what is to be sealed

Messages = list[tuple[Hook, bytes]]


@dataclass(frozen=True)
class Rejected:
    """The request was not let in."""

    error: ServiceError


@dataclass
class Done:
    """The request was let in.

    Attributes:
        answer: what its function returned, or the `ServiceError` that it raised.
        revision: the revision that it gave to the asker's own space.
        met: the hooks to tell.
        closed: the hooks to tell of a closure that the request came across.
        is_told: whether the hooks' messages are in the queue already.
        dropped: how many had no room there.
    """

    answer: Any = field(repr=False)
    revision: int | None
    met: list[Hook]
    closed: list[Hook]
    is_told: bool = False
    dropped: int = 0


class Worker:
    """Carries requests out.

    Args:
        store: where.
        service: the service's key.
        limits: of what a space may take.
        policy: who is let in.
        nodes: how much each node may ask.
        now: ms since 1970.
    """

    def __init__(
        self,
        store: Store,
        service: Identity,
        limits: SpaceLimits,
        policy: Policy,
        nodes: NodeLimits,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._service = service
        self._limits = limits
        self._policy = policy
        self._nodes = nodes
        self._now = now
        self._refused = Refused()

    async def carry_out(
        self, request: Request, messages: Callable[[Done], Messages]
    ) -> Done | Rejected:
        """One request, in one transaction.

        Args:
            request: of the right shape.
            messages: what the hooks that it met are to be told.

        Raises:
            BadRequest: for a node id that is not in lower case.
            TooManyRequests: when the node asks too much.
            ServiceBusy, StoreFailed: as `Store.write`.
        """
        entry = self._nodes.entry()
        prepared = _Prepared(self, request, entry, messages)
        run = self._store.read if _is_reading(request) else self._store.write
        try:
            outcome = await run(prepared, is_short=_is_short(request))
        finally:
            entry.leave()
        if isinstance(outcome, Rejected) and prepared.evidence is not None:
            self._refused.add(prepared.evidence)
        return outcome

    async def look_again(self, request: Request) -> Done:
        """One request that was let in before and changes nothing, once more.

        Raises:
            ServiceBusy, StoreFailed: as `Store.read`.
        """

        def work(transaction: Transaction) -> Done:
            return _carried_out(self.operation(transaction), request)

        return await self._store.read(lambda: work)

    def operation(self, transaction: Transaction) -> Operation:
        """The domain's view of a transaction."""
        now = self._now()
        return Operation(Rows(transaction, now), now, self._service, self._limits)

    def examine(self, request: Request, entry: Entry) -> Evidence:
        """Looks at what needs no database; raises BadRequest and TooManyRequests."""
        evidence = authentication.examine(request, self._now())
        if evidence.fits and isinstance(request, requests.SignedRequest):
            entry.enter(request.public_key)
        return evidence

    def let_in(self, op: Operation, request: Request, evidence: Evidence) -> str | None:
        """As `authentication.authenticate`; Undone for who is not let in."""
        try:
            return authentication.authenticate(
                op.rows, request, evidence, self._refused, self._policy
            )
        except (AuthenticationFailed, InvalidPoint) as error:
            # Nobody who is not let in may fill the database.
            raise Undone(Rejected(_as_value(error))) from None

    async def note_call(self, hook: Hook, time: int, error: str | None) -> None:
        """Stores how the last call of a hook went."""

        def note(transaction: Transaction) -> None:
            HookRows(transaction).note_call(hook.node_id, hook.hook_id, time, error)

        await self._store.write(lambda: note)

    async def sweep(self, messages: Callable[[Done], Messages]) -> int:
        """Removes what is past its date, and what need not be remembered.

        Returns:
            how many hooks there are to tell.
        """

        def forget(transaction: Transaction) -> list[tuple[str, str]]:
            rows = Rows(transaction, self._now())
            rows.admission.forget_signatures()
            rows.feed.forget()
            rows.handed.forget()
            return rows.closed(_SWEPT_AT_ONCE)

        told = 0
        while True:
            closed = await self._store.write(lambda: forget)
            for node_id, from_id in closed:
                told += await self._close(node_id, from_id, messages)
            if len(closed) < _SWEPT_AT_ONCE:
                return told

    async def _close(self, node_id: str, from_id: str, messages: Callable[[Done], Messages]) -> int:
        def close(transaction: Transaction) -> int:
            op = self.operation(transaction)
            op.rows.lock((node_id, from_id) if from_id else (node_id, *op.rows.senders(node_id)))
            # Another replica may have been first.
            op.close(node_id, from_id)
            told = messages(Done(None, None, [], op.closed))
            DeliveryRows(transaction, op.now).add(told)
            return len(told)

        return await self._store.write(lambda: close)


class _Prepared:
    """One request on its way into a transaction: called first in a thread, then in transactions."""

    def __init__(
        self, worker: Worker, request: Request, entry: Entry, messages: Callable[[Done], Messages]
    ) -> None:
        self._worker = worker
        self._request = request
        self._entry = entry
        self._messages = messages
        self._box: Box | None = None
        self._refusal: InvalidPoint | None = None
        self.evidence: Evidence | None = None

    def __call__(self) -> Callable[[Transaction], Done | Rejected]:
        evidence = self._worker.examine(self._request, self._entry)
        self.evidence = evidence
        seal = SEALING.get(type(self._request))
        if seal is not None and evidence.fits:
            try:
                self._box = seal(self._request)
            except InvalidPoint as error:
                self._refusal = error
        return lambda transaction: self._work(transaction, evidence)

    def _sealed(self) -> Box:
        if self._box is None:
            raise self._refusal or InvalidPoint
        return self._box

    def _work(self, transaction: Transaction, evidence: Evidence) -> Done | Rejected:
        request = self._request
        op = self._worker.operation(transaction)
        op.creator = self._worker.let_in(op, request, evidence)
        op.sealed = self._sealed
        done = _carried_out(op, request)
        is_fine = not isinstance(done.answer, ServiceError)
        # Only now is everything in order: a code that brought nothing can be used again.
        if is_fine and op.creator is not None and isinstance(request, _CODED):
            op.rows.admission.use_code(request.auth_code)
        if not _is_reading(request) and not isinstance(done.answer, Sealed | Checked):
            done.dropped = DeliveryRows(transaction, op.now).add(self._messages(done))
            done.is_told = True
        return done


def _is_reading(request: Request) -> bool:
    """Whether nothing of a request must survive a loss of power."""
    if isinstance(request, requests.GetNodeId):
        return authentication.is_public_code(request)
    return type(request) in READING


def _is_short(request: Request) -> bool:
    """Whether a request takes less than handing it to a thread and back."""
    if isinstance(request, requests.SetSecret | requests.ShareSecretTo):
        return len(request.secret) <= _SHORT_BYTES
    return type(request) in SHORT


def _as_value(error: ServiceError) -> ServiceError:
    """Without the frames that it passed, which would live as long as it does, or longer."""
    return error.with_traceback(None)


def _carried_out(op: Operation, request: Request) -> Done:
    # What a function has changed before it raises stays: only what had closed already goes so.
    try:
        answer = FUNCTIONS[type(request)](op, request)
    except ServiceError as error:
        return Done(_as_value(error), None, op.met, op.closed)
    return Done(answer, op.revision, op.met, op.closed)
