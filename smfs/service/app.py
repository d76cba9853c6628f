"""The ASGI application: routes, start-up, and what runs in the background."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread

from smfs.crypto.box import Box, seal_box
from smfs.crypto.identity import Identity
from smfs.errors import (
    AuthenticationFailed,
    BadRequest,
    MalformedData,
    QuotaExceeded,
    ServiceBusy,
    ServiceError,
    TooLarge,
    UnsupportedMedia,
)
from smfs.protocol import canonical, discovery, limits, requests, texts
from smfs.protocol.requests import Request, SignedRequest
from smfs.service.database import Database, error_name, is_full, is_locked
from smfs.service.domain import Checked, Sealed
from smfs.service.events import closure_messages, request_messages
from smfs.service.feed import Feed
from smfs.service.hook_rows import Hook
from smfs.service.hooks import Notifier
from smfs.service.http import (
    SMALL_BYTES,
    Disconnected,
    Incoming,
    Message,
    Receive,
    Response,
    Send,
    TooSlow,
    allowed_methods,
    json_response,
    page,
)
from smfs.service.room import Room
from smfs.service.transaction import Done, Rejected, Worker
from smfs.service.waiting import Waiting
from smfs.service.watch import Watch

_log: Final = logging.getLogger(__name__)

_SWEEP_S: Final = 60.0
_BODIES_BYTES: Final = 64 * 1024 * 1024
_DECODED_AT_ONCE: Final = 2
_PAGES: Final[Mapping[type[Exception], tuple[int, str]]] = {
    MalformedData: (400, "Bad Request"),
    TooSlow: (408, "Request Timeout"),
    TooLarge: (413, "Payload Too Large"),
    UnsupportedMedia: (415, "Unsupported Media Type"),
}
"""The refusals that are answered by a page (PROTOCOL.md section 2)."""

_ROUTES: Final = {request.path(): request for request in requests.ROUTES.values()}


@dataclass(frozen=True)
class ServiceOptions:
    """How a service is run.

    Attributes:
        allow_private_hooks: whether notification hooks may call private and loopback addresses.
        max_content_bytes: the most bytes of content that one secret may have.
        body_bytes: the largest body; None: what that content needs.
    """

    allow_private_hooks: bool = False
    max_content_bytes: int = limits.DEFAULT_CONTENT_BYTES
    body_bytes: int | None = None


def system_now() -> int:
    """The time of this machine, ms since 1970."""
    return time.time_ns() // 1_000_000


def create_service(
    database: Path,
    *,
    options: ServiceOptions | None = None,
    now: Callable[[], int] = system_now,
    identity: Identity | None = None,
) -> Service:
    """A service over one SQLite file, which several processes may use at once.

    Args:
        database: the file; it is made where there is none.
        options: how it is run.
        now: its clock, ms since 1970.
        identity: the key that a new database gets; None: a random one.
    """
    return Service(database, options or ServiceOptions(), now, identity)


class Service:
    """The ASGI 3 application; an async context manager, in which it can be used.

    Run by a server it starts and stops itself by the lifespan protocol.
    """

    def __init__(
        self,
        database: Path,
        options: ServiceOptions,
        now: Callable[[], int],
        identity: Identity | None,
    ) -> None:
        self._database = Database(database)
        self._path = database
        self._options = options
        self._now = now
        self._wanted = identity
        self._identity: Identity | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._body_bytes = options.body_bytes or limits.body_limit(options.max_content_bytes)
        self._room = Room(max(_BODIES_BYTES, self._body_bytes))
        self._decoding = anyio.CapacityLimiter(_DECODED_AT_ONCE)
        self._sealing = anyio.CapacityLimiter(1)
        self._waiting = Waiting()

    @property
    def node_id(self) -> str:
        """The service's node id, once it is started."""
        return self._key.node_id

    @property
    def _key(self) -> Identity:
        if self._identity is None:
            raise RuntimeError("the service is not started")
        return self._identity

    async def __aenter__(self) -> Self:
        """Opens the database and starts what runs in the background."""
        try:
            await self._start()
        except BaseException as error:
            # Whoever does not get in, a cancelled one included, does not get out by `__aexit__`.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _start(self) -> None:
        self._identity = await self._database.open(self._wanted)
        await anyio.lowlevel.checkpoint()  # a cancellation comes before there is more to close
        self._waiting = Waiting()
        self._worker = Worker(
            self._database,
            self._identity,
            self._options.max_content_bytes,
            self._now,
            self._waiting.wake,
        )
        self._feed = Feed(self._worker, self._waiting)
        self._notifier = Notifier(
            allow_private=self._options.allow_private_hooks,
            now=self._now,
            note=self._worker.note_call,
        )
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        await tasks.start(self._notifier.run)
        tasks.start_soon(self._sweep_regularly)
        tasks.start_soon(Watch(self._path, self._waiting).run)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Stops; what waits to be told to hooks is dropped."""
        self.end_waiting()
        if self._tasks is None:
            await self._database.aclose()
            return None
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # The block's own error is to leave it as it is, not in a group of one.
            if error is None or group.exceptions != (error,):
                raise
            return None
        finally:
            self._tasks = None
            await self._database.aclose()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            incoming = Incoming.of(scope)
            try:
                response = await self._answer(incoming, receive)
            except Disconnected:
                return
            except Exception as error:  # noqa: BLE001 - a traceback could show what was asked
                _log.error("%s failed: %s", incoming.path, type(error).__name__)
                response = json_response({"error": "The service failed!"}, 500)
            await response.send(send)

    def end_waiting(self) -> None:
        """Answers those who wait for changes, and lets nobody wait any more."""
        self._waiting.end()

    async def sweep(self) -> None:
        """Removes what is past its closure date, and the signatures that need no remembering."""
        self._notifier.tell(closure_messages(await self._worker.sweep()))

    async def _sweep_regularly(self) -> None:
        while True:
            try:
                await self.sweep()
            except (sqlite3.Error, ServiceBusy) as error:
                _log.warning("sweeping failed: %s", error_name(error))
            await anyio.sleep(_SWEEP_S)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.__aenter__()
        except Exception as error:  # noqa: BLE001 - the server is told, and ends
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})

    # --- one request --------------------------------------------------------------------------

    async def _answer(self, incoming: Incoming, receive: Receive) -> Response:
        request_type = _ROUTES.get(incoming.path)
        if request_type is not None and incoming.method == "OPTIONS":
            return allowed_methods()
        if request_type is None or incoming.method != "POST":
            return self._other(incoming)
        try:
            return await self._carry_out(request_type, incoming, receive)
        except tuple(_PAGES) as error:
            return page(*_PAGES[type(error)])
        except BadRequest as error:
            return json_response({"error": str(error)}, 400)
        except (sqlite3.Error, ServiceBusy) as error:
            return _not_stored(request_type.route(), error)

    def _other(self, incoming: Incoming) -> Response:
        if incoming.path == discovery.PATH and incoming.method in ("GET", "HEAD"):
            return json_response(self._discovery().to_wire())
        return page(404, f"Cannot {incoming.method} {incoming.path}")

    async def _carry_out(
        self, request_type: type[Request], incoming: Incoming, receive: Receive
    ) -> Response:
        size = incoming.body_bytes(self._body_bytes)
        # Who says little needs not wait for those who say much.
        async with self._room.taken(size if size > SMALL_BYTES else 0):
            body = await incoming.body(receive, self._body_bytes, self._decoding)
            request = requests.parse(request_type, body)
            if not isinstance(request, requests.GetChanges):
                outcome = await self._worker.carry_out(request)
                return await self._answer_to(request, incoming, outcome)
        # It may wait for long, and would keep the room of its body.
        return await self._answer_to(
            request, incoming, await self._feed.carry_out(request, receive)
        )

    async def _answer_to(
        self, request: Request, incoming: Incoming, outcome: Done | Rejected
    ) -> Response:
        headers = _receipt(request)
        if isinstance(outcome, Rejected):
            return json_response({"error": _reason(outcome.error)}, 401, **headers)
        value, text = await self._value(outcome)
        response_told = True if value == {"ok": True} else value
        self._notifier.tell(request_messages(incoming, request, outcome, response_told))
        if outcome.revision is not None:
            headers[discovery.REVISION_HEADER] = str(outcome.revision)
        return Response(200, text, headers=headers)

    async def _value(self, outcome: Done) -> tuple[Any, bytes]:
        """What is answered, as a JSON value and as its text."""
        answer = outcome.answer
        if isinstance(answer, ServiceError):
            value: Any = {"error": texts.text_of(answer)}
        elif isinstance(answer, Sealed):
            # One at a time: a large space takes many times its size while it is encrypted.
            value = await anyio.to_thread.run_sync(_seal, answer, limiter=self._sealing)
        elif isinstance(answer, Checked):
            value = await self._checked(answer.hook)
        elif isinstance(answer, Box):
            value = answer.to_json()
        else:
            value = {"ok": True} if answer is None else answer
        return value, canonical.encode(value).encode()

    async def _checked(self, hook: Hook) -> dict[str, Any]:
        time, error = await self._notifier.check(hook)
        await self._worker.note_call(hook, time, error)
        return {**hook.to_wire(), "lastNotification": {"time": time, "error": error}}

    def _discovery(self) -> discovery.Discovery:
        return discovery.Discovery(
            self.node_id,
            self._options.max_content_bytes,
            self._body_bytes,
            discovery.FEATURES,
            self._now(),
        )


def _seal(sealed: Sealed) -> dict[str, str]:
    return seal_box(sealed.node_id, canonical.encode(sealed.build()).encode()).to_json()


def _receipt(request: Request) -> dict[str, str]:
    if not isinstance(request, SignedRequest):
        return {}
    return {discovery.RECEIPT_HEADER: discovery.receipt_of(request.signature)}


def _not_stored(route: str, error: sqlite3.Error | ServiceBusy) -> Response:
    if isinstance(error, ServiceBusy) or is_locked(error):
        return json_response({"error": "The service is busy!"}, 503, retry_after="1")
    _log.error("%s failed: %s", route, error_name(error))
    if is_full(error):
        # To come back at once would be of no use.
        return json_response({"error": texts.text_of(QuotaExceeded())})
    return json_response({"error": "The service failed!"}, 500)


def _reason(error: ServiceError) -> str:
    # The original has several words for a signature that does not fit.
    known = str(error) if isinstance(error, AuthenticationFailed) and str(error) else ""
    return texts.AUTHENTICATION_PREFIX + (known or texts.text_of(error))
