"""The ASGI application: routes, start-up, and what runs in the background."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread

from smfs.crypto.identity import Identity
from smfs.errors import (
    BadRequest,
    MalformedData,
    ServiceBusy,
    StoreFailed,
    StoreFull,
    TooLarge,
    UnsupportedMedia,
)
from smfs.protocol import canonical, discovery, limits, requests
from smfs.protocol.requests import Request, SignedRequest
from smfs.service import answers
from smfs.service.authentication import Policy
from smfs.service.domain import Checked, Sealed
from smfs.service.events import closure_messages, request_messages
from smfs.service.feed import Feed
from smfs.service.hook_rows import Hook
from smfs.service.hooks import Caller
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
from smfs.service.meters import Limit, Meters, NoMeters
from smfs.service.notifier import Notifier
from smfs.service.options import ServiceOptions
from smfs.service.room import Room
from smfs.service.store import store_at
from smfs.service.transaction import Done, Messages, Rejected, Worker
from smfs.service.waiting import Waiting

_log: Final = logging.getLogger(__name__)

_SWEEP_S: Final = 60.0
_BODIES_BYTES: Final = 64 * 1024 * 1024
_NOTHING_TAKEN: Final[AbstractAsyncContextManager[None]] = nullcontext()
_DECODED_AT_ONCE: Final = 2
_PAGES: Final[Mapping[type[Exception], tuple[int, str]]] = {
    MalformedData: (400, "Bad Request"),
    TooSlow: (408, "Request Timeout"),
    TooLarge: (413, "Payload Too Large"),
    UnsupportedMedia: (415, "Unsupported Media Type"),
}
"""The refusals that are answered by a page (PROTOCOL.md section 2)."""

_ROUTES: Final = {request.path(): request for request in requests.ROUTES.values()}


def system_now() -> int:
    """The time of this machine, ms since 1970."""
    return time.time_ns() // 1_000_000


def create_service(
    database: Path | str,
    *,
    options: ServiceOptions | None = None,
    now: Callable[[], int] = system_now,
    identity: Identity | None = None,
    meters: Meters | None = None,
) -> Service:
    """A service over one database, which several processes may use at once.

    Args:
        database: a SQLite file, which is made where there is none; or the URL of a PostgreSQL
            database that `smfs service migrate` has made.
        options: how it is run.
        now: its clock, ms since 1970.
        identity: the key that a new file gets; None: a random one.
        meters: where it counts what happens; None: nowhere.
    """
    return Service(database, options or ServiceOptions(), now, identity, meters or NoMeters())


class Service:
    """The ASGI 3 application; an async context manager, in which it can be used.

    Run by a server it starts and stops itself by the lifespan protocol.
    """

    def __init__(
        self,
        database: Path | str,
        options: ServiceOptions,
        now: Callable[[], int],
        identity: Identity | None,
        meters: Meters,
    ) -> None:
        self._store = store_at(database, notify=options.notify)
        self._options = options
        self._now = now
        self._wanted = identity
        self._meters = meters
        self._identity: Identity | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._body_bytes = options.body_bytes or limits.body_limit(options.max_content_bytes)
        self._room = Room(max(_BODIES_BYTES, self._body_bytes))
        self._decoding = anyio.CapacityLimiter(_DECODED_AT_ONCE)
        self._sealing = anyio.CapacityLimiter(1)
        self._waiting = Waiting(options.node_open or 0)

    @property
    def node_id(self) -> str:
        """The service's node id, once it is started."""
        return self._key.node_id

    @property
    def waiting_count(self) -> int:
        """How many requests wait for changes."""
        return len(self._waiting)

    async def queued_hooks(self) -> int:
        """How many messages to hooks wait; raises as `check_ready`."""
        return await self._notifier.count()

    async def check_ready(self) -> None:
        """Whether requests can be carried out now.

        Raises:
            ServiceBusy, StoreFailed: when they cannot.
        """
        await self._store.check()

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
        self._waiting = Waiting(self._options.node_open or 0)
        self._store.committed = self._waiting.wake
        self._identity = await self._store.open(self._wanted)
        await anyio.lowlevel.checkpoint()  # a cancellation comes before there is more to close
        self._worker = Worker(
            self._store,
            self._identity,
            self._options.space_limits(),
            Policy(self._options.anonymous),
            self._options.node_limits(),
            self._now,
        )
        self._feed = Feed(self._worker, self._waiting)
        self._caller = Caller(allow_private=self._options.allow_private_hooks, now=self._now)
        self._notifier = Notifier(
            self._store, self._caller, self._options.retries, self._meters, self._now
        )
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        tasks.start_soon(self._notifier.run)
        tasks.start_soon(self._sweep_regularly)
        tasks.start_soon(self._store.watch, self._waiting)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Stops; what waits to be told to hooks stays in the queue."""
        self.end_waiting()
        if self._tasks is None:
            await self._store.aclose()
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
            await self._caller.aclose()
            await self._store.aclose()

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
        if await self._worker.sweep(lambda done: list(closure_messages(done.closed))):
            self._notifier.wake()

    async def _sweep_regularly(self) -> None:
        while True:
            try:
                await self.sweep()
            except (StoreFailed, ServiceBusy) as error:
                _log.warning("sweeping failed: %s", error)
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
        except (StoreFailed, ServiceBusy) as error:
            return self._not_stored(request_type.route(), error, {})

    def _other(self, incoming: Incoming) -> Response:
        if incoming.path == discovery.PATH and incoming.method in ("GET", "HEAD"):
            return json_response(self._discovery().to_wire())
        return page(404, f"Cannot {incoming.method} {incoming.path}")

    async def _carry_out(
        self, request_type: type[Request], incoming: Incoming, receive: Receive
    ) -> Response:
        size = incoming.body_bytes(self._body_bytes)
        # Who says little needs not wait for those who say much.
        async with self._room.taken(size) if size > SMALL_BYTES else _NOTHING_TAKEN:
            body = await incoming.body(receive, self._body_bytes, self._decoding)
            request = requests.parse(request_type, body)
            messages = functools.partial(_messages, incoming, request)
            if not isinstance(request, requests.GetChanges):
                carried_out = self._worker.carry_out(request, messages)
                return await self._answer_to(request, incoming, carried_out)
        # It may wait for long, and would keep the room of its body.
        carried_out = self._feed.carry_out(request, receive, messages)
        return await self._answer_to(request, incoming, carried_out)

    async def _answer_to(
        self, request: Request, incoming: Incoming, carried_out: Awaitable[Done | Rejected]
    ) -> Response:
        headers = _receipt(request)
        try:
            outcome = await carried_out
        except StoreFull as error:
            return self._not_stored(request.route(), error, headers)
        if isinstance(outcome, Rejected):
            return json_response({"error": answers.reason(outcome.error)}, 401, **headers)
        value, text = await self._value(outcome)
        await self._tell(incoming, request, outcome, value)
        if outcome.revision is not None:
            headers[discovery.REVISION_HEADER] = str(outcome.revision)
        return Response(200, text, headers=headers)

    async def _tell(self, incoming: Incoming, request: Request, outcome: Done, value: Any) -> None:
        if not outcome.met and not outcome.closed:
            return
        if outcome.is_told:
            self._notifier.dropped(outcome.dropped)
            self._notifier.wake()
        elif messages := list(request_messages(incoming, request, outcome, answers.told(value))):
            await self._notifier.add(messages)

    async def _value(self, outcome: Done) -> tuple[Any, bytes]:
        """What is answered, as a JSON value and as its text."""
        answer = outcome.answer
        if isinstance(answer, Sealed):
            # One at a time: a large space takes many times its size while it is encrypted.
            value: Any = await anyio.to_thread.run_sync(answers.seal, answer, limiter=self._sealing)
        elif isinstance(answer, Checked):
            value = await self._checked(answer.hook)
        else:
            value = answers.plain(answer)
        return value, canonical.encode(value).encode()

    async def _checked(self, hook: Hook) -> dict[str, Any]:
        called = await self._caller.check(hook.url)
        await self._worker.note_call(hook, called.began, called.error)
        return {
            **hook.to_wire(),
            "lastNotification": {"time": called.began, "error": called.error},
        }

    def _not_stored(
        self, route: str, error: StoreFailed | ServiceBusy, headers: Mapping[str, str]
    ) -> Response:
        fault = answers.fault_of(error)
        if isinstance(fault, Limit):
            self._meters.limited(fault)
        else:
            self._meters.store_error(fault)
            if not isinstance(error, ServiceBusy):
                _log.error("%s failed: %s", route, error)
        return answers.not_stored(error, headers)

    def _discovery(self) -> discovery.Discovery:
        return discovery.Discovery(
            self.node_id,
            self._options.max_content_bytes,
            self._body_bytes,
            discovery.FEATURES,
            self._now(),
        )


def _receipt(request: Request) -> dict[str, str]:
    if not isinstance(request, SignedRequest):
        return {}
    return {discovery.RECEIPT_HEADER: discovery.receipt_of(request.signature)}


def _messages(incoming: Incoming, request: Request, done: Done) -> Messages:
    """What the hooks are to be told of an answer that needs no more work."""
    if not done.met and not done.closed:
        return []
    told = answers.told(answers.plain(done.answer))
    return list(request_messages(incoming, request, done, told))
