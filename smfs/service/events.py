"""What hooks are told, and which of them (PROTOCOL.md section 14)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from smfs.errors import ServiceError
from smfs.protocol import canonical
from smfs.protocol.requests import Request, SignedRequest
from smfs.service.domain import EVENTS
from smfs.service.hook_rows import Hook
from smfs.service.http import Incoming
from smfs.service.transaction import Done

_ERROR: Final = "event onError"
_DELETE: Final = "event onDelete"
_EVERYTHING: Final = "log"


def request_messages(
    incoming: Incoming, request: Request, outcome: Done, response: Any
) -> Iterator[tuple[Hook, bytes]]:
    """The hooks to tell of a request, each with its message.

    Args:
        incoming: how it came.
        request: what was asked.
        outcome: what became of it.
        response: what was answered, True for ok.
    """
    yield from closure_messages(outcome.closed)
    failed = isinstance(outcome.answer, ServiceError)
    event = _ERROR if failed else EVENTS.get(type(request))
    if event is None:
        return
    body = request.payload() if isinstance(request, SignedRequest) else request.to_wire()
    query = f"?{incoming.query.decode('latin-1')}" if incoming.query else ""
    meta = {
        "source": f"request {type(request).route()}",
        "ip": incoming.client,
        "ips": [],
        "hostname": incoming.header(b"host").rsplit(":", 1)[0],
        "method": incoming.method,
        "originalUrl": incoming.path + query,
        "body": body,
        "response": response,
    }
    yield from _messages(outcome.met, event, meta)


def closure_messages(closed: Iterable[Hook]) -> Iterator[tuple[Hook, bytes]]:
    """The hooks to tell of a closure, each with its message."""
    yield from _messages(closed, _DELETE, {"source": "closuredatemodule.close"})


def _messages(
    hooks: Iterable[Hook], event: str, meta: dict[str, Any]
) -> Iterator[tuple[Hook, bytes]]:
    made: dict[str, bytes] = {}  # they differ in nothing but the type
    for hook in hooks:
        if hook.type in (_EVERYTHING, event):
            if hook.type not in made:
                message = {"type": hook.type, "event": event, "meta": meta}
                made[hook.type] = canonical.encode(message).encode()
            yield hook, made[hook.type]
